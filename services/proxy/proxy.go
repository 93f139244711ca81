package proxy

import (
	"context"
	"encoding/json"

	"github.com/google/uuid"

	"uaol/providers/upstream"
	"uaol/services"
)

// Invoker is what other services see of the proxy.
type Invoker interface {
	// Call calls a tool's method. Kinds: NotFound for a tool that is unknown, not
	// approved or not the caller's to see, and for a method that it does not have;
	// Conflict when it is not at the asked version any more, or the method is in
	// quarantine; Invalid for arguments that its schema does not take, Limited,
	// Insufficient, Upstream, Unavailable and Timeout before the tool was
	// reached; Timeout with code OUTCOME_UNKNOWN when it may have been.
	Call(ctx context.Context, in CallRequest) (CallResult, error)
	// Methods asks a tool what it can do. Kinds as for Call.
	Methods(ctx context.Context, in MethodsRequest) ([]upstream.Method, error)
}

// CallRequest is one call.
type CallRequest struct {
	Caller    services.Caller `json:"caller"`
	ID        uuid.UUID       `json:"id,omitzero"` // of the call, of its record and its receipt; made where it is nil
	ToolID    uuid.UUID       `json:"toolId"`
	Version   int64           `json:"version,omitempty"` // of the tool; 0 takes any
	Method    string          `json:"method"`
	Params    json.RawMessage `json:"params,omitempty"`    // an object
	Operation string          `json:"operation,omitempty"` // tells the tool which calls are the same one
	Key       string          `json:"key,omitempty"`       // tells the tool that instead, in the caller's words
	Prepaid   *uuid.UUID      `json:"prepaid,omitempty"`   // the job's hold that pays for it
}

// CallResult is what the tool answered, as it wrote it.
type CallResult struct {
	Result json.RawMessage `json:"result"`
	Failed bool            `json:"failed"` // the tool says isError
}

// MethodsRequest asks for a tool's methods.
type MethodsRequest struct {
	Caller services.Caller `json:"caller"`
	ToolID uuid.UUID       `json:"toolId"`
}

// Repeatable reports whether a method may be called again without harm when
// nobody knows whether it was called.
func Repeatable(methods []upstream.Method, name string) bool {
	for _, m := range methods {
		if m.Name == name {
			return m.Annotations != nil && (m.Annotations.ReadOnly || m.Annotations.Idempotent || m.Annotations.TakesKey)
		}
	}
	return false
}
