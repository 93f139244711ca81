package registry

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"

	"uaol/providers/api"
	"uaol/services"
	"uaol/services/registry/credentials"
)

// Handler is the registry over HTTP.
type Handler struct{ service *Service }

// NewHandler makes a Handler.
func NewHandler(service *Service) *Handler { return &Handler{service: service} }

// Operations is the registry's part of the API, as data.
func Operations() []api.Operation {
	return slices.Concat((*Handler)(nil).operations(), (*Handler)(nil).importOperations(), (*credentials.Handler)(nil).Operations())
}

func (h *Handler) operations() []api.Operation {
	const required = "Name and gateway_url are required"
	return []api.Operation{
		api.Get("/tools", "Approved tools, by name", h.list, api.Allow(api.Public)),
		api.Get("/tools/{toolId}", "One tool", h.get, api.Allow(api.Public)),
		api.Get("/tools/my/tools", "The caller's own tools, newest first", h.own),
		api.Post("/tools", "Register a tool", h.register, api.Status(http.StatusCreated),
			api.Says("body.name", required), api.Says("body.gateway_url", required)),
		api.Put("/tools/{toolId}", "Change a tool of one's own", h.update),
		api.Delete("/tools/{toolId}", "Disable a tool of one's own", h.delete),
		api.Post("/tools/{toolId}/approve", "Let everybody call it", h.approve, api.Allow(api.Admin), api.Audited("tool.approve")),
		api.Post("/tools/{toolId}/disable", "End all calls to it", h.disable, api.Allow(api.Admin), api.Audited("tool.disable")),
	}
}

type toolInput struct {
	ID uuid.UUID `path:"toolId" format:"uuid"`
}

func (h *Handler) list(ctx context.Context, _ services.Caller, in *struct{ api.Paging }) (api.Page[Tool], error) {
	after, err := api.ReadCursor[struct {
		Name string
		ID   uuid.UUID
	}](in.Cursor)
	if err != nil {
		return api.Page[Tool]{}, err
	}
	tools, err := h.service.Approved(ctx, after.Name, after.ID, in.Limit+1)
	return api.Cut(tools, in.Limit, func(t Tool) any { return map[string]any{"Name": t.Name, "ID": t.ID} }), err
}

func (h *Handler) own(ctx context.Context, caller services.Caller, in *struct{ api.Paging }) (api.Page[Tool], error) {
	return api.NewestFirst(in.Paging, func(before time.Time, beforeID uuid.UUID, limit int) ([]Tool, error) {
		return h.service.Own(ctx, caller, before, beforeID, limit)
	}, func(row Tool) (time.Time, uuid.UUID) { return row.CreatedAt.Time, row.ID })
}

func (h *Handler) get(ctx context.Context, _ services.Caller, in *toolInput) (api.Data[Tool], error) {
	tool, err := h.service.Tool(ctx, in.ID)
	return api.OK(tool), err
}

type registerInput struct {
	Body struct {
		Name       string `json:"name" minLength:"1" maxLength:"100"`
		GatewayURL string `json:"gateway_url" minLength:"1" maxLength:"2048"`
		Price      *int64 `json:"credit_cost_per_call,omitempty" minimum:"0" maximum:"1000000000" doc:"whole credits; default 1"`
		Protocol   string `json:"protocol,omitempty" enum:"mcp,sse,json-rpc,rest" default:"mcp"`
	}
}

func (h *Handler) register(ctx context.Context, caller services.Caller, in *registerInput) (api.Data[Tool], error) {
	tool, err := h.service.Register(ctx, caller, Change{
		Name: &in.Body.Name, GatewayURL: &in.Body.GatewayURL, Price: in.Body.Price, Protocol: &in.Body.Protocol,
	})
	return api.OK(tool), err
}

type updateInput struct {
	ID   uuid.UUID `path:"toolId" format:"uuid"`
	Body struct {
		Name       *string `json:"name,omitempty" minLength:"1" maxLength:"100"`
		GatewayURL *string `json:"gateway_url,omitempty" minLength:"1" maxLength:"2048"`
		Price      *int64  `json:"credit_cost_per_call,omitempty" minimum:"0" maximum:"1000000000"`
		Protocol   *string `json:"protocol,omitempty" enum:"mcp,sse,json-rpc,rest"`
	}
}

func (h *Handler) update(ctx context.Context, caller services.Caller, in *updateInput) (api.Data[Tool], error) {
	tool, err := h.service.Update(ctx, caller, in.ID, Change{
		Name: in.Body.Name, GatewayURL: in.Body.GatewayURL, Price: in.Body.Price, Protocol: in.Body.Protocol,
	})
	return api.OK(tool), err
}

func (h *Handler) delete(ctx context.Context, caller services.Caller, in *toolInput) (api.Message, error) {
	return api.Done("Tool deleted successfully"), h.service.Delete(ctx, caller, in.ID)
}

func (h *Handler) approve(ctx context.Context, caller services.Caller, in *toolInput) (api.Message, error) {
	return api.Done("Tool approved successfully"), h.service.Approve(ctx, caller, in.ID, Decision{})
}

func (h *Handler) disable(ctx context.Context, caller services.Caller, in *toolInput) (api.Message, error) {
	return api.Done("Tool disabled successfully"), h.service.Disable(ctx, caller, in.ID, Decision{})
}
