package registry

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"uaol/providers/upstream"
	"uaol/services"
	"uaol/services/registry/credentials"
)

// Decision is what an admin says about a tool.
type Decision struct {
	Version  int64  // that was looked at; 0 means the newest
	Digest   string // of the methods that were looked at; "" takes whatever the server lists
	Reason   string // for people
	Unpinned bool   // approve it although its methods can't be read: any may be called
}

// Approve puts a version of a tool in force and pins its server's methods. Kinds:
// Conflict when it is not what was looked at any more; those of
// upstream.Client.List, and nothing is approved, when they can't be read.
func (s *Service) Approve(ctx context.Context, caller services.Caller, id uuid.UUID, d Decision) error {
	tool, err := s.Tool(ctx, id)
	if err != nil {
		return err
	}
	version, err := decidable(tool, d.Version)
	if err != nil {
		return err
	}
	a := approval{tool: id, version: version, pending: tool.PendingVersion != nil, status: tool.Status, every: s.every, by: caller.Account, reason: d.Reason}
	known, err := s.repository.version(ctx, id, version)
	if services.Is(err, services.NotFound) {
		return errOvertaken
	}
	if err != nil {
		return err
	}
	if !d.Unpinned {
		if a.pins, err = s.read(ctx, caller, tool, version, known.Definition); err != nil {
			return err
		}
	}
	a.seen = a.pins != nil && known.Definition.Protocol != upstream.ProtocolREST // a document is no answer
	if d.Digest != "" && (a.pins == nil || a.pins.Digest != d.Digest) {
		return services.Errorf(services.Conflict, "The tool's server lists other methods now than those that were looked at; look again")
	}
	// What was in force before keeps its number only while it is what it was.
	if known.DecidedAt != nil && known.Status == string(Approved) {
		a.fresh = known.Pinned != (a.pins != nil) || (a.pins != nil && a.pins.Digest != known.Digest)
	}
	_, happened, err := s.repository.approve(ctx, a)
	if err == nil {
		s.bus.Publish(happened)
	}
	return err
}

// decidable is the version that a decision is about.
func decidable(tool Tool, asked int64) (int64, error) {
	newest := tool.Version
	if tool.PendingVersion != nil {
		newest = *tool.PendingVersion
	}
	if asked != 0 && asked != newest {
		return 0, services.Errorf(services.Conflict, "Version %d is not the one to decide about; that is version %d", asked, newest)
	}
	return newest, nil
}

// read asks a tool's server for its methods. Without pins and without an error
// the server has no way to tell.
func (s *Service) read(ctx context.Context, caller services.Caller, tool Tool, version int64, d Definition) (*pins, error) {
	listed, err := s.list(ctx, caller, tool.credentialedAs(version, d), d)
	if unlisted(d, err) {
		return nil, nil
	}
	if err != nil {
		return nil, unread(err)
	}
	p, err := pin(listed)
	if err != nil {
		return nil, unread(err)
	}
	return &p, nil
}

// unread says what to do about methods that can't be read.
func unread(err error) error {
	kind := services.KindOf(err)
	switch kind {
	case services.Upstream, services.Unavailable, services.Timeout:
	case services.Invalid: // credentials that are missing, an address that is refused
		kind = services.Upstream
		if e := (*services.Error)(nil); errors.As(err, &e) && e.Code == credentials.CodeRequired {
			kind = services.Conflict
		}
	default:
		return err
	}
	return services.Errorf(kind, "The tool's methods can't be read: %s. Nothing was approved; see to it that they can be, or approve with unpinned: true, and any method may be called with any arguments",
		messageOf(err)).Because(err)
}

// lookTime is the longest that one look at a server may take.
const lookTime = 10 * time.Second

// list asks a server, with what the platform itself carries or, where that does
// not do, with the caller's own.
func (s *Service) list(ctx context.Context, caller services.Caller, tool credentials.Tool, d Definition) ([]upstream.Method, error) {
	if d.Protocol == upstream.ProtocolREST {
		methods := make([]upstream.Method, len(d.Operations)) // nobody has to be asked
		for i, operation := range d.Operations {
			methods[i] = operation.Method
		}
		return methods, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	var carried credentials.Carried
	tool.Inject.Arguments = nil // a list takes none
	if tool.Needs() {
		var err error
		if carried, err = s.wallet.For(ctx, tool, services.Caller{}); services.Is(err, services.Invalid) && caller.Known() {
			carried, err = s.wallet.For(ctx, tool, caller)
		}
		if err != nil {
			return nil, err
		}
	}
	methods, err := s.inspector.List(ctx, Offer{ToolID: tool.ID, Version: tool.Version, Definition: d}.Target(carried))
	return methods, carried.VeilError(err)
}

// unlisted reports a server that has no way to tell what it offers. MCP servers
// always have.
func unlisted(d Definition, err error) bool {
	switch d.Protocol {
	case upstream.ProtocolREST:
		return len(d.Operations) == 0
	case upstream.ProtocolJSONRPC:
		return err != nil && saysNoMethod(err)
	default:
		return false
	}
}

// saysNoMethod reports JSON-RPC's "method not found" and its likes of HTTP.
func saysNoMethod(err error) bool {
	var said struct {
		Status int   `json:"upstreamStatus"`
		Code   int64 `json:"upstreamCode"`
	}
	text, marshalErr := json.Marshal(detailsOf(err))
	return services.Is(err, services.Upstream) && marshalErr == nil && json.Unmarshal(text, &said) == nil &&
		(said.Code == -32601 || said.Code == 0 && (said.Status == 404 || said.Status == 405))
}

// Reject ends the wait of a tool's newest version. The one in force goes on.
func (s *Service) Reject(ctx context.Context, caller services.Caller, id uuid.UUID, d Decision) error {
	tool, err := s.Tool(ctx, id)
	if err != nil {
		return err
	}
	if tool.PendingVersion == nil {
		return services.Errorf(services.Conflict, "No version waits for a decision")
	}
	version, err := decidable(tool, d.Version)
	if err != nil {
		return err
	}
	_, happened, err := s.repository.reject(ctx, id, version, caller.Account, d.Reason)
	if err == nil {
		s.bus.Publish(happened)
	}
	return err
}

// Disable ends all calls to a tool.
func (s *Service) Disable(ctx context.Context, caller services.Caller, id uuid.UUID, d Decision) error {
	return s.end(ctx, caller, id, disabled, d.Reason)
}

// Inspection is what a server lists now, as an approval would pin it.
type Inspection struct {
	Version int64   `json:"version"`
	Pinned  bool    `json:"pinned" doc:"false: the server has no way to tell what it offers"`
	Digest  string  `json:"digest" doc:"approve with it, and nothing else is approved"`
	Methods []Shown `json:"methods"`
}

// Look reads what the server of a tool's newest version lists now. It decides
// nothing; where that version is in force and the server has changed, what
// differs is quarantined at once.
func (s *Service) Look(ctx context.Context, caller services.Caller, id uuid.UUID) (Inspection, error) {
	tool, err := s.reviewed(ctx, caller, id)
	if err != nil {
		return Inspection{}, err
	}
	version, err := decidable(tool, 0)
	if err != nil {
		return Inspection{}, err
	}
	d, err := s.repository.definition(ctx, id, version)
	if err != nil {
		return Inspection{}, err
	}
	found := Inspection{Version: version, Methods: []Shown{}}
	p, err := s.read(ctx, caller, tool, version, d)
	if err != nil || p == nil {
		return found, err
	}
	found.Pinned, found.Digest = true, p.Digest
	for _, m := range p.Methods {
		found.Methods = append(found.Methods, show(m, flagsOf(m.Method)))
	}
	offer, err := s.offer(ctx, id)
	if err == nil && offer.Version == version && offer.Pinned && offer.Digest != p.Digest {
		_, err = s.Inspect(ctx, InspectRequest{ToolID: id, Version: version, Method: afresh})
	}
	if services.Is(err, services.NotFound) { // it is not in force
		err = nil
	}
	return found, err
}

// afresh stands for a method where only a new look at the server will do.
const afresh = "*"

// Versions lists a tool's versions, newest first, below the given one.
func (s *Service) Versions(ctx context.Context, caller services.Caller, id uuid.UUID, below int64, limit int) ([]Version, error) {
	if _, err := s.reviewed(ctx, caller, id); err != nil {
		return nil, err
	}
	versions, err := s.repository.versions(ctx, id, below, limit)
	for i := range versions {
		versions[i].Definition.Operations = nil // they may be thousands; inspecting shows them
	}
	return versions, err
}

// History lists what was decided about a tool, newest first.
func (s *Service) History(ctx context.Context, caller services.Caller, id uuid.UUID, before time.Time, beforeID uuid.UUID, limit int) ([]Decided, error) {
	if _, err := s.reviewed(ctx, caller, id); err != nil {
		return nil, err
	}
	return s.repository.history(ctx, id, before, beforeID, limit)
}

// Difference is what an admin has to look at.
type Difference struct {
	Version        int64        `json:"version"`
	PendingVersion *int64       `json:"pending_version"`
	Definition     []Member     `json:"definition" doc:"what the pending version changes"`
	Methods        []MethodDiff `json:"methods" doc:"what the server lists differently from what was approved; these are quarantined"`
}

// Member is a part of a definition that changes.
type Member struct {
	Name string          `json:"member"`
	Old  json.RawMessage `json:"old,omitempty"`
	New  json.RawMessage `json:"new,omitempty"`
}

// MethodDiff is a method that a server lists differently.
type MethodDiff struct {
	Name string `json:"name"`
	Kind string `json:"kind" enum:"changed,added,removed"`
	Old  *Shown `json:"old,omitempty"`
	New  *Shown `json:"new,omitempty"`
}

// Diff says what a tool's pending version changes, and its server.
func (s *Service) Diff(ctx context.Context, caller services.Caller, id uuid.UUID) (Difference, error) {
	tool, err := s.reviewed(ctx, caller, id)
	if err != nil {
		return Difference{}, err
	}
	diff := Difference{Version: tool.Version, PendingVersion: tool.PendingVersion, Definition: []Member{}, Methods: []MethodDiff{}}
	if tool.PendingVersion != nil {
		var old Definition // of a tool that was never approved everything is new
		if *tool.PendingVersion != tool.Version {
			if old, err = s.repository.definition(ctx, id, tool.Version); err != nil {
				return Difference{}, err
			}
			old.Visibility = tool.Visibility
		}
		proposed, err := s.repository.definition(ctx, id, *tool.PendingVersion)
		if err != nil {
			return Difference{}, err
		}
		if diff.Definition, err = members(old, proposed, *tool.PendingVersion == tool.Version); err != nil {
			return Difference{}, err
		}
	}
	rows, err := s.repository.offers(ctx, []uuid.UUID{id})
	if err != nil || len(rows) == 0 {
		return diff, err
	}
	diff.Methods, err = rows[0].diff()
	return diff, err
}

// members compares two definitions part by part.
func members(old, now Definition, allNew bool) ([]Member, error) {
	parts := func(d Definition) (map[string]json.RawMessage, error) {
		var of map[string]json.RawMessage
		return of, json.Unmarshal([]byte(spelling(d)), &of)
	}
	before, err := parts(old)
	if err != nil {
		return nil, err
	}
	after, err := parts(now)
	if err != nil {
		return nil, err
	}
	if allNew {
		before = nil
	}
	changes := []Member{}
	for name, value := range after {
		if string(before[name]) != string(value) {
			changes = append(changes, Member{Name: name, Old: before[name], New: value})
		}
	}
	for name, value := range before {
		if _, there := after[name]; !there {
			changes = append(changes, Member{Name: name, Old: value})
		}
	}
	slices.SortFunc(changes, func(a, b Member) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return changes, nil
}

// Review is one place in the admins' queue.
type Review struct {
	Tool        Tool          `json:"tool"`
	Version     int64         `json:"version" doc:"that waits or, when its server's methods changed, that is in force"`
	Reason      string        `json:"reason" enum:"new,change,quarantine"`
	Definition  *Definition   `json:"definition,omitempty" doc:"what is proposed"`
	SubmittedBy *uuid.UUID    `json:"submitted_by,omitempty"`
	Since       services.Time `json:"since"`

	place waiting
}

// Queue lists what waits for an admin, oldest first, after the given place.
func (s *Service) Queue(ctx context.Context, after waiting, limit int) ([]Review, error) {
	places, err := s.repository.queue(ctx, after, limit)
	if err != nil {
		return nil, err
	}
	ids := make([]uuid.UUID, len(places))
	for i, place := range places {
		ids[i] = place.ID
	}
	tools, err := s.repository.byIDs(ctx, ids)
	if err != nil {
		return nil, err
	}
	proposals, err := s.repository.proposals(ctx, ids)
	if err != nil {
		return nil, err
	}
	var queue []Review
	for _, place := range places {
		at := slices.IndexFunc(tools, func(t Tool) bool { return t.ID == place.ID })
		if at < 0 { // gone since
			continue
		}
		review := Review{Tool: listed(tools[at : at+1])[0], Version: place.Version, Since: services.Time{Time: place.At}, place: place}
		switch {
		case place.Version == 0:
			review.Version, review.Reason = review.Tool.Version, "quarantine"
		case review.Tool.Status == Approved:
			review.Reason = "change"
		default:
			review.Reason = "new"
		}
		for _, p := range proposals {
			if p.ID == place.ID && p.Version == place.Version {
				p.Definition.Operations = nil
				review.Definition, review.SubmittedBy = &p.Definition, &p.By
			}
		}
		queue = append(queue, review)
	}
	return queue, nil
}
