package proxy

import (
	"context"
	"time"

	"github.com/google/uuid"

	"uaol/providers/api"
	"uaol/providers/minutes"
	"uaol/services"
)

// CallsHandler shows what has been called.
type CallsHandler struct{ calls *Calls }

// NewCallsHandler makes a CallsHandler.
func NewCallsHandler(calls *Calls) *CallsHandler { return &CallsHandler{calls: calls} }

func (h *CallsHandler) operations() []api.Operation {
	return []api.Operation{
		api.Get("/proxy/calls", "Calls of tools, newest first: one's own; for admins the organisation's", h.list),
		api.Get("/proxy/calls/statistics", "How many calls of tools there were, how they ended, what they cost and how long they took, by the minute or longer", h.statistics),
		api.Get("/proxy/calls/{callId}", "One call", h.find),
	}
}

// internal is for other services only.
func (h *CallsHandler) internal() []api.Operation {
	return []api.Operation{
		api.Internal("/internal/proxy/export", h.calls.Export),
		api.Internal("/internal/proxy/erase", services.ErasedBy(h.calls)),
	}
}

type callsInput struct {
	api.Paging
	Organization uuid.UUID `query:"organization" format:"uuid" doc:"platform admins only; the request's own by default"`
	Account      uuid.UUID `query:"account" format:"uuid" doc:"who called"`
	Tool         uuid.UUID `query:"tool" format:"uuid"`
	Key          uuid.UUID `query:"key" format:"uuid" doc:"the API key that it was called with"`
	Job          uuid.UUID `query:"job" format:"uuid" doc:"the job whose step it was"`
	Method       string    `query:"method" maxLength:"256"`
	Outcome      Outcome   `query:"outcome" enum:"success,failed,refused,unknown,asked"`
	From         time.Time `query:"from"`
	To           time.Time `query:"to" doc:"not included"`
}

func (h *CallsHandler) list(ctx context.Context, caller services.Caller, in *callsInput) (api.Page[Record], error) {
	f := Filter{
		Organization: in.Organization, Account: in.Account, Tool: in.Tool, Key: in.Key, Job: in.Job,
		Method: in.Method, Outcome: in.Outcome, From: in.From, To: in.To,
	}
	return api.NewestFirst(in.Paging, func(before time.Time, beforeID uuid.UUID, limit int) ([]Record, error) {
		return h.calls.List(ctx, caller, f, before, beforeID, limit)
	}, func(r Record) (time.Time, uuid.UUID) { return r.CreatedAt.Time, r.ID })
}

func (h *CallsHandler) statistics(ctx context.Context, caller services.Caller, in *struct{ minutes.Query }) (api.Page[Statistics], error) {
	all, err := h.calls.Statistics(ctx, caller, in.Query)
	return api.List(all, ""), err
}

type callIDInput struct {
	ID uuid.UUID `path:"callId" format:"uuid"`
}

func (h *CallsHandler) find(ctx context.Context, caller services.Caller, in *callIDInput) (api.Data[Record], error) {
	record, err := h.calls.Find(ctx, caller, in.ID)
	return api.OK(record), err
}
