package jobs

import (
	"context"

	"uaol/providers/api"
	"uaol/services"
)

// CallbacksHandler is the callbacks over HTTP.
type CallbacksHandler struct{ callbacks *Callbacks }

// NewCallbacksHandler makes a CallbacksHandler.
func NewCallbacksHandler(callbacks *Callbacks) *CallbacksHandler { return &CallbacksHandler{callbacks} }

func (h *CallbacksHandler) operations() []api.Operation {
	return []api.Operation{
		api.Get("/jobs/{jobId}/callback", "How it went to tell callback_url of a job's end", h.get, api.Allow(api.Guest)),
		api.Get("/jobs/callback-secret", "What the organisation's callbacks are signed with", h.secret,
			api.Needs(services.OrgAdmin), writing, api.Audited("callback-secret.show")),
	}
}

// writing is the scope of keys that may see the secret: with it somebody else can
// speak in our name, which is more than reading.
func writing(op *api.Operation) { op.Scope = "jobs:write" }

func (h *CallbacksHandler) get(ctx context.Context, caller services.Caller, in *jobInput) (api.Data[Callback], error) {
	found, err := h.callbacks.Get(ctx, caller, in.ID)
	return api.OK(found), err
}

func (h *CallbacksHandler) secret(_ context.Context, caller services.Caller, _ *struct{}) (api.Data[CallbackSecret], error) {
	return api.OK(h.callbacks.Secret(caller)), nil
}
