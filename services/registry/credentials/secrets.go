package credentials

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"uaol/providers/postgres"
	"uaol/services"
)

// Entry is a secret that a tool's templates want, or that was given. Its value
// is never shown.
type Entry struct {
	Name    string  `json:"name"`
	Wanted  bool    `json:"wanted" doc:"whether the tool's definition has a place for it"`
	Missing bool    `json:"missing" doc:"whether calls of the caller fail until it is given"`
	Given   []Given `json:"given" doc:"by whom; user counts before organization before tool"`
}

// Given is a secret that one holder gave.
type Given struct {
	Scope     Scope         `json:"scope" enum:"tool,organization,user"`
	Set       bool          `json:"set"`
	Current   bool          `json:"current" doc:"false: the tool's address has changed since, so that it is not sent; give it again"`
	UpdatedAt services.Time `json:"updated_at"`
}

const maxValue = 16 << 10 // bytes

// holder tells who holds what a caller gives in a scope. Kind Forbidden for what
// is not the caller's to give; reads is for those who only look.
func holder(caller services.Caller, tool Tool, scope Scope, reads bool) (uuid.UUID, error) {
	switch scope {
	case ofTool:
		if caller.Owns(tool.Organization) && (reads || caller.OrgRole.AtLeast(services.OrgMember)) {
			return tool.ID, nil
		}
		return uuid.Nil, services.Errorf(services.Forbidden, "Only the tool's own organisation decides what all its callers share; give it for yourself, with the scope user")
	case ofOrganization:
		if reads || caller.OrgRole.AtLeast(services.OrgAdmin) {
			return caller.Organization, nil
		}
		return uuid.Nil, services.Errorf(services.Forbidden, "This needs the role %s in the organisation; yours is %s", services.OrgAdmin, caller.OrgRole)
	case ofUser:
		if caller.Key == uuid.Nil || caller.Personal {
			return caller.Account, nil
		}
		return uuid.Nil, services.Errorf(services.Forbidden, "This API key belongs to an organisation and reaches nothing of the account; sign in, or use a personal key")
	default:
		return uuid.Nil, services.Faults(services.Fault{Path: "scope", Message: "must be tool, organization or user"})
	}
}

// SetRequest is a secret that somebody gives.
type SetRequest struct {
	Name  string
	Value string
	Scope Scope
}

func (in SetRequest) check(tool Tool) error {
	var faults []services.Fault
	fault := func(path, message string) { faults = append(faults, services.Fault{Path: path, Message: message}) }
	if !nameForm.MatchString(in.Name) {
		fault("path.name", "must be of letters, digits and _, at most 64, and not begin with a digit")
	}
	switch {
	case in.Value == "" || len(in.Value) > maxValue:
		fault("body.value", "must have 1 to 16384 bytes")
	case !utf8.ValidString(in.Value) || strings.Contains(in.Value, "\x00"):
		fault("body.value", "must be a text without NUL")
	case tool.Inject.inHeader(in.Name) && strings.ContainsFunc(in.Value, control):
		fault("body.value", "must not have control characters: it goes into a header")
	}
	if in.Scope != ofTool {
		wanted := tool.Inject.names()
		switch {
		case tool.Proposed:
			fault("body.scope", "must be tool: a version that waits for approval calls with the tool's own secrets alone")
		case in.Name == clientSecret:
			fault("body.scope", "must be tool: the client's secret is the tool's own")
		case !slices.Contains(wanted, in.Name) && len(wanted) == 0:
			fault("path.name", tool.Name+" takes no secrets")
		case !slices.Contains(wanted, in.Name):
			fault("path.name", tool.Name+" has no place for it; it wants "+strings.Join(wanted, ", "))
		}
	}
	if len(faults) > 0 {
		return services.Faults(faults...)
	}
	return nil
}

// Set stores a secret, in place of an earlier one. The value is kept before the
// index says so: whoever is killed in between has changed nothing that counts.
func (s *Service) Set(ctx context.Context, caller services.Caller, tool Tool, in SetRequest) (Entry, error) {
	owner, err := holder(caller, tool, in.Scope, false)
	if err != nil {
		return Entry{}, atBody(err)
	}
	if err := in.check(tool); err != nil {
		return Entry{}, err
	}
	services.Note(ctx, "scope", string(in.Scope))
	at := place{Tool: tool.ID, Scope: in.Scope, Holder: owner, Name: in.Name, Origin: tool.originOf(in.Name)}
	sealed, err := s.store.put(ctx, at, in.Value)
	if err != nil {
		return Entry{}, err
	}
	happened := changed(tool)
	_, err = s.repository.set(ctx, at, sealed, happened)
	switch {
	case services.Is(err, services.NotFound):
		return Entry{}, services.Errorf(services.Conflict, "There may be at most %d secrets for one tool; delete some", maxSecrets)
	case postgres.Violates(err, "secrets_tool_id_fkey"):
		return Entry{}, errNoTool
	case err != nil:
		return Entry{}, err
	}
	s.bus.Publish(happened)
	return s.Entry(ctx, caller, tool, in.Name)
}

var (
	errNoTool   = services.Errorf(services.NotFound, "Tool not found")
	errNoSecret = services.Errorf(services.NotFound, "Secret not found")
)

// atBody puts a fault's path into the request's body.
func atBody(err error) error {
	var e *services.Error
	if faults, ok := detailsOf(err, &e); ok {
		moved := slices.Clone(faults)
		for i := range moved {
			moved[i].Path = "body." + moved[i].Path
		}
		return services.Faults(moved...)
	}
	return err
}

func detailsOf(err error, e **services.Error) (faults []services.Fault, ok bool) {
	if errors.As(err, e) {
		faults, ok = (*e).Details.([]services.Fault)
	}
	return faults, ok
}

// Delete forgets a secret, whatever address it was given for; it may be repeated.
// It counts no more before its value is gone.
func (s *Service) Delete(ctx context.Context, caller services.Caller, tool Tool, scope Scope, name string) error {
	owner, err := holder(caller, tool, scope, false)
	if err != nil {
		return err
	}
	if !nameForm.MatchString(name) {
		return errNoSecret
	}
	services.Note(ctx, "scope", string(scope))
	at := place{Tool: tool.ID, Scope: scope, Holder: owner, Name: name}
	happened := changed(tool)
	places, err := s.repository.forget(ctx, at, happened)
	if err != nil {
		return err
	}
	s.bus.Publish(happened)
	for _, at := range places {
		if err := s.store.remove(ctx, at); err != nil {
			return err
		}
		if err := s.repository.drop(ctx, at); err != nil {
			return err
		}
	}
	return nil
}

// Entries lists what the tool wants of the caller and what there is, by name.
func (s *Service) Entries(ctx context.Context, caller services.Caller, tool Tool) ([]Entry, error) {
	rows, err := s.repository.secrets(ctx, holdersOf(tool.ID, caller))
	if err != nil {
		return nil, err
	}
	owns := caller.Owns(tool.Organization)
	byName := map[string]*Entry{}
	entry := func(name string) *Entry {
		if byName[name] == nil {
			byName[name] = &Entry{Name: name, Given: []Given{}}
		}
		return byName[name]
	}
	for _, name := range tool.Inject.names() {
		e := entry(name)
		e.Wanted = true
		row, found := nearest(rows, tool, name)
		e.Missing = !found || !row.goesTo(tool)
	}
	if tool.OAuth != nil && owns {
		e := entry(clientSecret)
		row, found := nearest(rows, tool, clientSecret)
		e.Wanted = true
		e.Missing = found && !row.goesTo(tool) || !found && tool.OAuth.Grant == clientCredentials
	}
	for _, row := range rows {
		if row.Scope == ofTool && !owns {
			continue
		}
		e := entry(row.Name)
		given := Given{Scope: row.Scope, Set: true, Current: row.goesTo(tool), UpdatedAt: services.Time{Time: row.UpdatedAt}}
		at := slices.IndexFunc(e.Given, func(g Given) bool { return g.Scope == row.Scope })
		switch {
		case at < 0:
			e.Given = append(e.Given, given)
		case given.Current, !e.Given[at].Current && given.UpdatedAt.After(e.Given[at].UpdatedAt.Time):
			e.Given[at] = given // of several addresses: the tool's, else the last
		}
	}
	entries := make([]Entry, 0, len(byName))
	for _, e := range byName {
		slices.SortFunc(e.Given, func(a, b Given) int { return rank(a.Scope) - rank(b.Scope) })
		entries = append(entries, *e)
	}
	slices.SortFunc(entries, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	return entries, nil
}

// Entry gives one of Entries; kind NotFound when it is neither wanted nor given.
func (s *Service) Entry(ctx context.Context, caller services.Caller, tool Tool, name string) (Entry, error) {
	entries, err := s.Entries(ctx, caller, tool)
	if err != nil {
		return Entry{}, err
	}
	for _, e := range entries {
		if e.Name == name {
			return e, nil
		}
	}
	return Entry{}, errNoSecret
}

// order is which scope counts before which.
var order = []Scope{ofUser, ofOrganization, ofTool}

func rank(scope Scope) int { return slices.Index(order, scope) }

// nearest is the row that counts of those with a name: the nearest scope's, and
// of that the one for the tool's address. What somebody gave for another address
// is found too: calls shall not go on with somebody else's secret instead.
func nearest(rows []kept, tool Tool, name string) (best kept, found bool) {
	for _, row := range rows {
		if row.Name != name {
			continue
		}
		if !found || rank(row.Scope) < rank(best.Scope) || row.Scope == best.Scope && row.goesTo(tool) {
			best, found = row, true
		}
	}
	return best, found
}

// goesTo reports whether a secret may go where the tool is: it was given for that
// address. That holds for the tool's own as well: whoever may propose another
// address need not be who gave them.
func (k kept) goesTo(tool Tool) bool { return k.Origin == tool.originOf(k.Name) }

// originOf is an address without its path: scheme, host and port, in one
// spelling. What is no such address stays as it is.
func originOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" {
		return raw
	}
	scheme, host, port := strings.ToLower(u.Scheme), strings.TrimSuffix(strings.ToLower(u.Hostname()), "."), u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[scheme]
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return scheme + "://" + host + ":" + port
}
