package registry

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/singleflight"

	"uaol/providers/egress"
	"uaol/providers/events"
	"uaol/providers/postgres"
	"uaol/providers/upstream"
	"uaol/services"
	"uaol/services/registry/credentials"
)

// Service is the registry where it runs; it is a Catalog.
type Service struct {
	repository *Repository
	policy     *egress.Policy
	inspector  Inspector
	wallet     Wallet
	bus        *events.Bus
	every      time.Duration // between looks at a server
	looks      *singleflight.Group
}

// Inspector asks a tool's server what it offers: *upstream.Client.
type Inspector interface {
	List(ctx context.Context, target upstream.Target) ([]upstream.Method, error)
}

// Wallet gives what calls of a tool carry, and keeps it: *credentials.Service.
type Wallet interface {
	For(ctx context.Context, tool credentials.Tool, caller services.Caller) (credentials.Carried, error)
	Another(ctx context.Context, tool credentials.Tool, caller services.Caller, refused string) (credentials.Carried, error)
	Set(ctx context.Context, caller services.Caller, tool credentials.Tool, in credentials.SetRequest) (credentials.Entry, error)
}

// NewService makes a Service.
func NewService(repository *Repository, policy *egress.Policy, inspector Inspector, wallet Wallet, bus *events.Bus) *Service {
	return &Service{
		repository: repository, policy: policy, inspector: inspector, wallet: wallet, bus: bus,
		every: defaultLook, looks: &singleflight.Group{},
	}
}

// With is the service with settings of its own.
func (s *Service) With(cfg Config) *Service {
	s.every = cfg.Look
	return s
}

// Tools implements Catalog.
func (s *Service) Tools(ctx context.Context, in ToolsRequest) ([]Tool, error) {
	if len(in.IDs) == 0 {
		return nil, nil
	}
	tools, err := s.repository.byIDs(ctx, in.IDs)
	for i := range tools {
		tools[i].Organization = uuid.Nil // it does not cross the wire either
		tools[i].revision = 0
	}
	return tools, err
}

// Tool gives one tool in any status.
func (s *Service) Tool(ctx context.Context, id uuid.UUID) (Tool, error) {
	return s.repository.one(ctx, s.repository.pool, id)
}

// visible gives a tool that the caller may know of.
func (s *Service) visible(ctx context.Context, caller services.Caller, id uuid.UUID) (Tool, error) {
	tool, err := s.Tool(ctx, id)
	if err == nil && !tool.VisibleTo(caller) {
		return Tool{}, errNotFound
	}
	return tool, err
}

// reviewed gives a tool whose inner life the caller may see: its owner and admins.
func (s *Service) reviewed(ctx context.Context, caller services.Caller, id uuid.UUID) (Tool, error) {
	tool, err := s.Tool(ctx, id)
	if err == nil && !tool.insider(caller) {
		return Tool{}, errNotFound
	}
	return tool, err
}

// Show gives one tool with all that the caller may see of it.
func (s *Service) Show(ctx context.Context, caller services.Caller, id uuid.UUID) (Tool, error) {
	tool, err := s.visible(ctx, caller, id)
	if err != nil {
		return Tool{}, err
	}
	return s.detailed(ctx, caller, tool)
}

// detailed adds what lists leave out.
func (s *Service) detailed(ctx context.Context, caller services.Caller, tool Tool) (Tool, error) {
	d, err := s.repository.definition(ctx, tool.ID, tool.Version)
	if services.Is(err, services.NotFound) { // changed in between
		return Tool{}, errOvertaken
	}
	if err != nil {
		return Tool{}, err
	}
	tool.OAuth, tool.Limits = d.OAuth, d.Limits
	if tool.Inject = &d.Inject; !tool.credentialed(d).Needs() {
		tool.Inject = nil
	}
	if tool.Status == Approved {
		rows, err := s.repository.offers(ctx, []uuid.UUID{tool.ID})
		if err != nil {
			return Tool{}, err
		}
		for _, row := range rows {
			if tool.Methods, err = row.shown(); err != nil {
				return Tool{}, err
			}
		}
	}
	if !tool.insider(caller) {
		return tool, nil
	}
	tool.Command, tool.Egress = d.Command, d.Egress
	if tool.PendingVersion != nil && *tool.PendingVersion != tool.Version {
		proposed, err := s.repository.definition(ctx, tool.ID, *tool.PendingVersion)
		if err != nil {
			return Tool{}, err
		}
		proposed.Operations = nil // they may be thousands; inspecting shows them
		tool.Proposed = &proposed
	}
	return tool, nil
}

// Find lists the tools that the caller looks for.
func (s *Service) Find(ctx context.Context, in Search) ([]Tool, error) {
	tools, err := s.repository.search(ctx, in)
	return listed(tools), err
}

// Own lists the caller's organisation's tools, newest first.
func (s *Service) Own(ctx context.Context, caller services.Caller, before time.Time, beforeID uuid.UUID, limit int) ([]Tool, error) {
	tools, err := s.repository.owned(ctx, caller, before, beforeID, limit)
	return listed(tools), err
}

// listedDescription is how much of a description lists show, in bytes.
const listedDescription = 4 << 10

func listed(tools []Tool) []Tool {
	for i := range tools {
		tools[i].Description = capped(tools[i].Description, listedDescription)
	}
	return tools
}

// capped is the beginning of a text, at most so many bytes of whole characters.
func capped(text string, most int) string {
	if len(text) <= most {
		return text
	}
	const more = "…"
	end := most - len(more)
	for end > 0 && text[end]&0xC0 == 0x80 { // inside a character
		end--
	}
	return text[:end] + more
}

// Register adds a tool that waits for approval.
func (s *Service) Register(ctx context.Context, caller services.Caller, c Change) (Tool, error) {
	if err := c.privileges(caller); err != nil {
		return Tool{}, err
	}
	tool := Tool{ID: services.NewID(ctx, caller.Account, caller.Organization, "tool"), Developer: caller.Account, Organization: caller.Organization, Tags: []string{}}
	c.applyTo(&tool)
	definition := c.definition(Definition{Price: 1, Protocol: upstream.ProtocolMCP, Visibility: Public})
	if err := s.checked(&tool, definition); err != nil {
		return Tool{}, err
	}
	tool.Slug = slugOf(tool.Name)
	for {
		added, happened, err := s.repository.insert(ctx, tool, definition)
		if postgres.Violates(err, "tools_slug") {
			tool.Slug = another(slugOf(tool.Name))
			continue
		}
		if postgres.Violates(err, "tools_pkey") {
			return s.registered(ctx, caller, tool, definition)
		}
		if err != nil {
			return Tool{}, err
		}
		s.bus.Publish(happened)
		return s.detailed(ctx, caller, added)
	}
}

// registered gives a tool that the same request has registered before; kind Conflict when
// it asked for another one, or the tool is no longer called what it was.
func (s *Service) registered(ctx context.Context, caller services.Caller, asked Tool, definition Definition) (Tool, error) {
	first, err := s.repository.definition(ctx, asked.ID, 1)
	if err != nil {
		return Tool{}, err
	}
	was, _, err := written(first)
	if err != nil {
		return Tool{}, err
	}
	if now, _, err := written(definition); err != nil || now != was {
		return Tool{}, services.ErrRepeated.Because(err)
	}
	tool, err := s.mine(ctx, caller, asked.ID, "register")
	if err != nil {
		return Tool{}, err
	}
	if tool.Name != asked.Name || tool.Description != asked.Description || tool.DocumentationURL != asked.DocumentationURL || !slices.Equal(tool.Tags, asked.Tags) {
		return Tool{}, services.ErrRepeated
	}
	return s.detailed(ctx, caller, tool)
}

func (s *Service) checked(tool *Tool, d Definition) error {
	if err := tool.check(); err != nil {
		return err
	}
	return d.check(s.policy)
}

// Update changes a tool of the caller's organisation. What the tool says of
// itself counts at once; what is called or paid for does not change silently: it
// is a version, which waits while the one in force goes on.
func (s *Service) Update(ctx context.Context, caller services.Caller, id uuid.UUID, c Change) (Tool, error) {
	tool, err := s.mine(ctx, caller, id, "update")
	if err != nil {
		return Tool{}, err
	}
	if err := c.privileges(caller); err != nil {
		return Tool{}, err
	}
	waits, base := tool.PendingVersion != nil, tool.Version
	if waits {
		base = *tool.PendingVersion
	}
	before, err := s.repository.definition(ctx, id, base)
	if services.Is(err, services.NotFound) {
		return Tool{}, errOvertaken
	}
	if err != nil {
		return Tool{}, err
	}
	if !waits {
		before.Visibility = tool.Visibility // it may have been narrowed since
	}
	definition := c.definition(before)
	c.applyTo(&tool)
	if err := s.checked(&tool, definition); err != nil {
		return Tool{}, err
	}
	var proposed *Definition
	narrowed := before
	if !waits && !definition.Visibility.widerThan(before.Visibility) {
		narrowed.Visibility = definition.Visibility
	}
	if !same(definition, narrowed) {
		proposed = &definition
	}
	changed, happened, err := s.repository.update(ctx, tool, definition.Visibility, proposed, caller.Account)
	if err != nil {
		return Tool{}, err
	}
	s.bus.Publish(happened)
	return s.detailed(ctx, caller, changed)
}

// mine gives a tool that the caller may change. Somebody else's that is in sight
// is refused in the contract's words.
func (s *Service) mine(ctx context.Context, caller services.Caller, id uuid.UUID, what string) (Tool, error) {
	tool, err := s.visible(ctx, caller, id)
	if err == nil && !tool.belongsTo(caller) {
		return Tool{}, services.Errorf(services.Invalid, "You can only %s your own tools", what)
	}
	return tool, err
}

// Delete disables a tool of the caller's organisation: jobs that name it stay readable.
func (s *Service) Delete(ctx context.Context, caller services.Caller, id uuid.UUID) error {
	if _, err := s.mine(ctx, caller, id, "delete"); err != nil {
		return err
	}
	return s.end(ctx, caller, id, deleted, "")
}

func (s *Service) end(ctx context.Context, caller services.Caller, id uuid.UUID, act Act, reason string) error {
	_, happened, err := s.repository.disable(ctx, id, act, caller.Account, reason)
	if err == nil {
		s.bus.Publish(happened)
	}
	return err
}
