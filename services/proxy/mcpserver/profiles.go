package mcpserver

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/maypok86/otter/v2"

	"uaol/services"
	"uaol/services/registry"
)

// Profile is a chosen set of tools behind an address of its own, /mcp/p/{name}. It is
// its organisation's; each caller finds there what it may call.
type Profile struct {
	ID           uuid.UUID     `json:"profileId" db:"profile_id"`
	Name         string        `json:"name" db:"name"`
	Description  string        `json:"description" db:"description"`
	Tools        []Choice      `json:"tools" db:"-"`
	Organization uuid.UUID     `json:"-" db:"organization_id"`
	Account      uuid.UUID     `json:"-" db:"account_id"`
	Definition   string        `json:"-" db:"definition"`
	CreatedAt    services.Time `json:"createdAt" db:"created_at"`
	UpdatedAt    services.Time `json:"updatedAt" db:"updated_at"`
}

// Choice is a tool in a profile, and what its methods are called there.
type Choice struct {
	Tool    string            `json:"tool" minLength:"1" maxLength:"64" doc:"its id or slug; workflow for the saved workflows"`
	Methods []string          `json:"methods,omitempty" maxItems:"1000" doc:"those of its methods that are there; all by default"`
	Names   map[string]string `json:"names,omitempty" doc:"what single methods are called there, by their own names"`
	Prefix  *string           `json:"prefix,omitempty" doc:"what stands before the names of the others, with two underscores; the tool's slug by default, nothing if it is empty"`
}

// Profiles are the use cases.
type Profiles struct {
	repository *Repository
	catalog    registry.Catalog
	workflows  *workflows
	kept       *otter.Cache[profileKey, Profile]
}

type profileKey struct {
	organization uuid.UUID
	name         string
}

// profileFor is how long another process may not know of a change.
const profileFor = 2 * time.Second

func newProfiles(repository *Repository, catalog registry.Catalog, workflows *workflows) *Profiles {
	return &Profiles{repository, catalog, workflows, otter.Must(&otter.Options[profileKey, Profile]{
		MaximumSize: 10_000, ExpiryCalculator: otter.ExpiryWriting[profileKey, Profile](profileFor),
	})}
}

func (p *Profiles) close() { p.kept.StopAllGoroutines() }

var (
	profileName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$`)
	prefixForm  = regexp.MustCompile(`^([a-z0-9-]{1,24})?$`)
	nameForm    = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)
)

// Save writes a profile down: a new one where its id is nil. Kinds: Invalid with every
// fault and its path, NotFound, Conflict for a name that another one has.
func (p *Profiles) Save(ctx context.Context, caller services.Caller, given Profile) (Profile, error) {
	if !profileName.MatchString(given.Name) {
		return Profile{}, services.Faults(services.Fault{Path: "body.name", Message: "must be a word of a to z, 0 to 9 and -, of at most 64"})
	}
	if err := p.check(ctx, caller, given.Tools); err != nil {
		return Profile{}, err
	}
	text, err := json.Marshal(given.Tools)
	if err != nil {
		return Profile{}, err
	}
	given.Organization, given.Account, given.Definition = caller.Organization, caller.Account, string(text)
	saved, err := p.repository.saveProfile(ctx, given)
	if err != nil {
		return Profile{}, err
	}
	p.kept.InvalidateAll()
	return saved.read()
}

// check refuses tools that the caller may not call, methods that they do not have and
// names that two would have.
func (p *Profiles) check(ctx context.Context, caller services.Caller, choices []Choice) error {
	var faults []services.Fault
	taken := map[string]string{}
	for i := range choices {
		at := fmt.Sprintf("body.tools[%d]", i)
		fault := func(path, format string, args ...any) {
			faults = append(faults, services.Fault{Path: at + path, Message: fmt.Sprintf(format, args...)})
		}
		choice := &choices[i]
		if choice.Prefix != nil && !prefixForm.MatchString(*choice.Prefix) {
			fault(".prefix", "must be of a to z, 0 to 9 and -, of at most 24, or empty")
			continue
		}
		offer, err := p.named(ctx, caller, choice)
		if services.Is(err, services.NotFound) {
			fault(".tool", "there is no approved tool %.64q that you may call", choice.Tool)
			continue
		}
		if err != nil {
			return err
		}
		has := func(method string) bool {
			return !offer.Pinned || slices.ContainsFunc(offer.Methods, func(m registry.Method) bool { return m.Name == method })
		}
		for j, method := range choice.Methods {
			if !has(method) {
				fault(fmt.Sprintf(".methods[%d]", j), "%s has no method %.100q", offer.Name, method)
			}
		}
		for method, name := range choice.Names {
			switch {
			case !has(method):
				fault(".names", "%s has no method %.100q", offer.Name, method)
			case !nameForm.MatchString(name):
				fault(".names", "%.100q is no name for a method: letters, digits, _, - and . up to 64", name)
			}
		}
		tool := choice.lay(offer)
		for _, m := range offer.Methods {
			name := tool.name(m.Name)
			if other, twice := taken[name]; twice && name != "" {
				fault("", "%s of %s and %s would both be called %s", m.Name, offer.Name, other, name)
			}
			taken[name] = m.Name + " of " + offer.Name
		}
	}
	if len(faults) > 0 {
		return services.Faults(faults...)
	}
	return nil
}

// named gives the tool that a choice names, which from then on has its id. Kind
// NotFound.
func (p *Profiles) named(ctx context.Context, caller services.Caller, choice *Choice) (registry.Offer, error) {
	if choice.Tool == registry.Workflows {
		mine, err := p.workflows.of(ctx, caller)
		return mine.offer, err
	}
	found, err := p.catalog.Callable(ctx, registry.CallableRequest{Caller: caller, Named: []string{choice.Tool}})
	if err == nil && len(found) == 0 {
		err = services.Errorf(services.NotFound, "Tool not found")
	}
	if err != nil {
		return registry.Offer{}, err
	}
	choice.Tool = found[0].ToolID.String()
	return found[0], nil
}

// lay puts a tool on a profile's shelf.
func (c Choice) lay(offer registry.Offer) laid {
	l := layout{prefix: offer.Slug, names: c.Names}
	if c.Prefix != nil {
		l.prefix = *c.Prefix
	}
	if len(c.Methods) > 0 {
		l.only = make(map[string]struct{}, len(c.Methods))
		for _, m := range c.Methods {
			l.only[m] = struct{}{}
		}
	}
	return laid{offer, l}
}

// read makes a profile's tools out of what is stored.
func (p Profile) read() (Profile, error) {
	p.Tools = []Choice{}
	return p, json.Unmarshal([]byte(p.Definition), &p.Tools)
}

// Find gives a profile of the caller's organisation by its name or id; kind NotFound.
func (p *Profiles) Find(ctx context.Context, caller services.Caller, name string) (Profile, error) {
	key := profileKey{caller.Organization, name}
	if known, ok := p.kept.GetIfPresent(key); ok {
		return known, nil
	}
	found, err := p.repository.profile(ctx, caller.Organization, name)
	if services.Is(err, services.NotFound) {
		return Profile{}, services.Errorf(services.NotFound, "Profile not found")
	}
	if err != nil {
		return Profile{}, err
	}
	if found, err = found.read(); err == nil {
		p.kept.Set(key, found)
	}
	return found, err
}

// Remove ends a profile; kind NotFound.
func (p *Profiles) Remove(ctx context.Context, caller services.Caller, id uuid.UUID) error {
	n, err := p.repository.removeProfile(ctx, caller.Organization, id)
	if err == nil && n == 0 {
		return services.Errorf(services.NotFound, "Profile not found")
	}
	p.kept.InvalidateAll()
	return err
}

// chosen is a profile's shelf.
type chosen struct {
	catalog   registry.Catalog
	workflows *workflows
	profile   Profile
}

func (s chosen) offers(ctx context.Context, caller services.Caller) ([]laid, error) {
	ids := make([]uuid.UUID, 0, len(s.profile.Tools))
	for _, c := range s.profile.Tools {
		if id, err := uuid.Parse(c.Tool); err == nil {
			ids = append(ids, id)
		}
	}
	var found []registry.Offer
	if len(ids) > 0 {
		var err error
		if found, err = s.catalog.Offers(ctx, registry.ToolsRequest{IDs: ids}); err != nil {
			return nil, err
		}
	}
	var all []laid
	for _, c := range s.profile.Tools {
		if c.Tool == registry.Workflows {
			all = s.workflows.lay(ctx, caller, all, c.lay)
			continue
		}
		for _, o := range found {
			if o.ToolID.String() == c.Tool && o.VisibleTo(caller) {
				all = append(all, c.lay(o))
			}
		}
	}
	return all, nil
}

func (s chosen) find(ctx context.Context, caller services.Caller, name string) (laid, string, error) {
	tools, err := s.offers(ctx, caller)
	if err != nil {
		return laid{}, "", err
	}
	for _, tool := range tools {
		if own, ok := tool.own(name); ok {
			return tool, own, nil
		}
	}
	for _, c := range s.profile.Tools {
		for method, called := range c.Names {
			if c.Tool != registry.Workflows || called != name {
				continue
			}
			if _, err := s.workflows.find(ctx, caller, method); err != nil { // it may be called otherwise by now
				return laid{}, "", err
			}
		}
	}
	return laid{}, "", unknownMethod(name)
}
