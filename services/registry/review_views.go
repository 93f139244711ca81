package registry

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/google/uuid"

	"uaol/services"
	"uaol/services/registry/credentials"
)

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
	// It is not in force, or it was listed with what the caller alone has given: nobody else
	// can tell whether that has changed for them too.
	if services.Is(err, services.NotFound) || services.IsCode(err, credentials.CodeRequired) {
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
