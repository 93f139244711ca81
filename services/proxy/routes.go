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
type Handler struct {
	service *Service
	once    *Once
}

// NewHandler makes a Handler.
func NewHandler(service *Service, once *Once) *Handler { return &Handler{service: service, once: once} }

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
	Key  string    `header:"Idempotency-Key" maxLength:"255" doc:"requests with the same one are the same request: for 24 hours they are answered what the first one was, and charged once"`
	Most int64     `header:"X-Max-Credits" minimum:"0" doc:"the most that the call may cost; the answer says in X-Credits what it did cost, and in X-Call-Id the call's id"`
	Body struct {
		Method string          `json:"method" minLength:"1" maxLength:"256" doc:"the MCP tool's name"`
		Params json.RawMessage `json:"params,omitempty" doc:"its arguments, an object"`
	}
}

// untrusted is an answer whose data a tool's server wrote.
type untrusted[T any] struct {
	Success   bool `json:"success"`
	Data      T    `json:"data"`
	Untrusted bool `json:"untrusted" doc:"always true: data is the tool's own text, which may hold instructions to whoever reads it"`
}

// described stands for call in the API's description. call writes such answers
// by hand.
func described(context.Context, services.Caller, *callInput) (untrusted[json.RawMessage], error) {
	return untrusted[json.RawMessage]{}, services.Errorf(services.Internal, "A call is served by its own handler")
}

type methodsInput struct {
	ID uuid.UUID `path:"toolId" format:"uuid"`
}

func (h *Handler) methods(ctx context.Context, caller services.Caller, in *methodsInput) (untrusted[[]upstream.Method], error) {
	methods, err := h.service.Methods(ctx, MethodsRequest{Caller: caller, ToolID: in.ID})
	list := append([]upstream.Method{}, methods...) // an array on the wire also when it is empty
	return untrusted[[]upstream.Method]{Success: true, Data: list, Untrusted: true}, err
}
