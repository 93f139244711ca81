package registry

import (
	"context"
	"encoding/json"
	"errors"
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
	as := tool.credentialedAs(version, d)
	listed, err := s.list(ctx, caller, as, d)
	if unlisted(d, err) {
		return nil, nil
	}
	if scopes, ok := upstream.Insufficient(err); ok && as.Consents() {
		err = as.Wants(scopes)
	} else if as.Consents() && upstream.Unauthorized(err) {
		err = as.Refused()
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
	var details any // of what has to be given first
	switch kind {
	case services.Upstream, services.Unavailable, services.Timeout:
	case services.Invalid: // credentials that are missing, an address that is refused
		kind = services.Upstream
		if e := (*services.Error)(nil); errors.As(err, &e) && e.Code == credentials.CodeRequired {
			kind, details = services.Conflict, e.Details
		}
	default:
		return err
	}
	return services.Errorf(kind, "The tool's methods can't be read: %s. Nothing was approved; see to it that they can be, or approve with unpinned: true (uaol tools approve --unpinned), and any method may be called with any arguments",
		messageOf(err)).WithDetails(details).Because(err)
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
