package proxy

import (
	"context"
	"encoding/json"

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
func Operations() []api.Operation { return (*Handler)(nil).operations() }

func (h *Handler) operations() []api.Operation {
	return []api.Operation{
		api.Post("/proxy/{toolId}/call", "Call a method of a tool", h.call, api.Says("body.method", "Method is required")),
		api.Get("/proxy/{toolId}/tools", "A tool's methods", h.methods),
	}
}

type callInput struct {
	ID   uuid.UUID `path:"toolId" format:"uuid"`
	Body struct {
		Method string          `json:"method" minLength:"1" maxLength:"256" doc:"the MCP tool's name"`
		Params json.RawMessage `json:"params,omitempty" doc:"its arguments, an object"`
	}
}

func (h *Handler) call(ctx context.Context, caller services.Caller, in *callInput) (api.Data[json.RawMessage], error) {
	result, err := h.service.Call(ctx, CallRequest{Caller: caller, ToolID: in.ID, Method: in.Body.Method, Params: in.Body.Params})
	return api.OK(result.Result), err
}

type methodsInput struct {
	ID uuid.UUID `path:"toolId" format:"uuid"`
}

func (h *Handler) methods(ctx context.Context, _ services.Caller, in *methodsInput) (api.Page[upstream.Method], error) {
	methods, err := h.service.Methods(ctx, MethodsRequest{ToolID: in.ID})
	return api.List(methods, ""), err
}
