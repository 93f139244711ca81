package proxy

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/google/uuid"

	"uaol/providers/api"
	"uaol/providers/upstream"
	"uaol/services"
)

// Handler is the proxy over HTTP.
type Handler struct{ service *Service }

// NewHandler makes a Handler.
func NewHandler(service *Service) *Handler { return &Handler{service: service} }

// Operations is the proxy's part of the API, as data.
func Operations() []api.Operation {
	return slices.Concat((*Handler)(nil).operations(), (*CallsHandler)(nil).operations())
}

func (h *Handler) operations() []api.Operation {
	return []api.Operation{
		api.Post("/proxy/{toolId}/call", "Call a method of a tool", described, api.Says("body.method", required)).Served(h.call),
		api.Get("/proxy/{toolId}/tools", "A tool's methods", h.methods),
	}
}

const (
	required      = "Method is required"
	longestMethod = 256
)

type callInput struct {
	ID   uuid.UUID `path:"toolId" format:"uuid"`
	Body struct {
		Method string          `json:"method" minLength:"1" maxLength:"256" doc:"the MCP tool's name"`
		Params json.RawMessage `json:"params,omitempty" doc:"its arguments, an object"`
	}
}

// described stands for call in the API's description.
func described(context.Context, services.Caller, *callInput) (api.Data[json.RawMessage], error) {
	return api.Data[json.RawMessage]{}, services.Errorf(services.Internal, "A call is served by its own handler")
}

type methodsInput struct {
	ID uuid.UUID `path:"toolId" format:"uuid"`
}

func (h *Handler) methods(ctx context.Context, caller services.Caller, in *methodsInput) (api.Page[upstream.Method], error) {
	methods, err := h.service.Methods(ctx, MethodsRequest{Caller: caller, ToolID: in.ID})
	return api.List(methods, ""), err
}
