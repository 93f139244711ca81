package registry

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

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
}

// Inspector asks a tool's server what it offers: *upstream.Client.
type Inspector interface {
	List(ctx context.Context, target upstream.Target) ([]upstream.Method, error)
}

// Wallet gives what calls of a tool carry: *credentials.Service.
type Wallet interface {
	For(ctx context.Context, tool credentials.Tool, caller services.Caller) (credentials.Carried, error)
}

// NewService makes a Service.
func NewService(repository *Repository, policy *egress.Policy, inspector Inspector, wallet Wallet, bus *events.Bus) *Service {
	return &Service{repository: repository, policy: policy, inspector: inspector, wallet: wallet, bus: bus}
}

// Tools implements Catalog.
func (s *Service) Tools(ctx context.Context, in ToolsRequest) ([]Tool, error) {
	if len(in.IDs) == 0 {
		return nil, nil
	}
	tools, err := s.repository.byIDs(ctx, in.IDs)
	for i := range tools {
		tools[i].Organization = uuid.Nil // it does not cross the wire either
	}
	return tools, err
}

// Tool gives one tool in any status.
func (s *Service) Tool(ctx context.Context, id uuid.UUID) (Tool, error) {
	tools, err := s.repository.byIDs(ctx, []uuid.UUID{id})
	if err != nil {
		return Tool{}, err
	}
	if len(tools) == 0 {
		return Tool{}, errNotFound
	}
	return tools[0], nil
}

// Approved lists what everybody may call, by name, after the given tool.
func (s *Service) Approved(ctx context.Context, afterName string, afterID uuid.UUID, limit int) ([]Tool, error) {
	return s.repository.approved(ctx, afterName, afterID, limit)
}

// Own lists the caller's organisation's tools, newest first.
func (s *Service) Own(ctx context.Context, caller services.Caller, before time.Time, beforeID uuid.UUID, limit int) ([]Tool, error) {
	return s.repository.owned(ctx, caller.Organization, before, beforeID, limit)
}

// Change is what a tool's owner decides.
type Change struct {
	Name       *string
	GatewayURL *string
	Price      *int64
	Protocol   *string
}

// Register adds a tool that waits for approval.
func (s *Service) Register(ctx context.Context, caller services.Caller, d Change) (Tool, error) {
	tool := Tool{
		ID: uuid.Must(uuid.NewV7()), Developer: caller.Account, Organization: caller.Organization,
		Price: 1, Protocol: "mcp",
	}
	d.applyTo(&tool)
	if err := s.policy.CheckURL(tool.GatewayURL); err != nil {
		return Tool{}, atPath("body.gateway_url", err)
	}
	tool.Slug = slugOf(tool.Name)
	for {
		added, happened, err := s.repository.insert(ctx, tool)
		if postgres.Violates(err, "tools_slug") {
			tool.Slug = another(slugOf(tool.Name))
			continue
		}
		if err == nil {
			s.bus.Publish(happened)
		}
		return added, err
	}
}

// Update changes a tool of the caller's organisation. What is called or paid
// for does not change silently: the tool waits for approval again.
func (s *Service) Update(ctx context.Context, caller services.Caller, id uuid.UUID, d Change) (Tool, error) {
	tool, err := s.Tool(ctx, id)
	if err != nil {
		return Tool{}, err
	}
	if !caller.Owns(tool.Organization) {
		return Tool{}, services.Errorf(services.Invalid, "You can only update your own tools")
	}
	changed := tool
	d.applyTo(&changed)
	if err := s.policy.CheckURL(changed.GatewayURL); err != nil {
		return Tool{}, atPath("body.gateway_url", err)
	}
	status, version := tool.Status, tool.Version
	if changed.GatewayURL != tool.GatewayURL || changed.Protocol != tool.Protocol || changed.Price != tool.Price {
		status, version = Pending, version+1
	}
	changed, happened, err := s.repository.update(ctx, changed, status, version)
	if services.Is(err, services.NotFound) {
		return Tool{}, services.Errorf(services.Conflict, "The tool was changed at the same time; read it again and repeat")
	}
	if err == nil {
		s.bus.Publish(happened)
	}
	return changed, err
}

// Decision is what an admin says about a tool.
type Decision struct {
	Version  int64  // that was looked at; 0 means the newest
	Reason   string // for people
	Unpinned bool   // approve it although its methods can't be read: any may be called
}

// Approve puts a version of a tool in force.
func (s *Service) Approve(ctx context.Context, caller services.Caller, id uuid.UUID, d Decision) error {
	return s.decide(ctx, id, Approved)
}

// Disable ends all calls to a tool.
func (s *Service) Disable(ctx context.Context, caller services.Caller, id uuid.UUID, d Decision) error {
	return s.decide(ctx, id, Disabled)
}

// Delete disables a tool of the caller's organisation: jobs that name it stay readable.
func (s *Service) Delete(ctx context.Context, caller services.Caller, id uuid.UUID) error {
	tool, err := s.Tool(ctx, id)
	if err != nil {
		return err
	}
	if !caller.Owns(tool.Organization) {
		return services.Errorf(services.Invalid, "You can only delete your own tools")
	}
	return s.decide(ctx, id, Disabled)
}

func (s *Service) decide(ctx context.Context, id uuid.UUID, status Status) error {
	_, happened, err := s.repository.setStatus(ctx, id, status)
	if services.Is(err, services.NotFound) {
		return errNotFound
	}
	if err == nil {
		s.bus.Publish(happened)
	}
	return err
}

func (d Change) applyTo(t *Tool) {
	if d.Name != nil {
		t.Name = *d.Name
	}
	if d.GatewayURL != nil {
		t.GatewayURL = *d.GatewayURL
	}
	if d.Price != nil {
		t.Price = *d.Price
	}
	if d.Protocol != nil {
		t.Protocol = *d.Protocol
	}
}

// atPath says where in the input an error lies.
func atPath(path string, err error) error {
	message := err.Error()
	var e *services.Error
	if errors.As(err, &e) {
		message = e.Message // its cause is for the log
	}
	return services.Faults(services.Fault{Path: path, Message: message})
}
