package modelkeys

import (
	"context"

	"uaol/providers/api"
	"uaol/services"
)

// Handler is the keys over HTTP.
type Handler struct{ service *Service }

// NewHandler makes a Handler.
func NewHandler(service *Service) *Handler { return &Handler{service: service} }

// Operations is the keys' part of the API, as data.
func Operations() []api.Operation { return (*Handler)(nil).Operations() }

// Operations is the keys' part of the API.
func (h *Handler) Operations() []api.Operation {
	signIn := api.SignIn("Authentication required. Please sign in to manage API keys.")
	admins := api.Needs(services.OrgAdmin)
	return []api.Operation{
		api.Get("/api-keys", "Keys of model providers", h.list, signIn),
		api.Post("/api-keys", "Store a provider's key, sealed", h.set, signIn, admins, api.Audited("provider-key.set")),
		api.Get("/api-keys/{provider}", "The key of a provider", h.get, signIn),
		api.Delete("/api-keys/{provider}", "Forget a provider's key", h.delete, signIn, admins, api.Audited("provider-key.delete")),
		api.Put("/api-keys/{provider}/default", "Use this provider unless another is named", h.setDefault, signIn, admins, api.Audited("provider-key.default")),
	}
}

// Internal is what other services ask.
func (h *Handler) Internal() []api.Operation {
	return []api.Operation{api.Internal("/internal/auth/model-access", h.service.ModelAccess)}
}

func (h *Handler) list(ctx context.Context, caller services.Caller, _ *struct{}) (api.Page[ModelKey], error) {
	keys, err := h.service.List(ctx, caller)
	return api.List(keys, ""), err
}

type setInput struct {
	Body struct {
		Provider string `json:"provider,omitempty" maxLength:"50" doc:"openai, gemini or claude"`
		APIKey   string `json:"apiKey,omitempty" maxLength:"500"`
		Default  bool   `json:"isDefault,omitempty"`
	}
}

func (h *Handler) set(ctx context.Context, caller services.Caller, in *setInput) (api.Data[ModelKey], error) {
	key, err := h.service.Set(ctx, caller, in.Body.Provider, in.Body.APIKey, in.Body.Default)
	return api.OK(key), err
}

type providerInput struct {
	Provider string `path:"provider" maxLength:"50"`
}

func (h *Handler) get(ctx context.Context, caller services.Caller, in *providerInput) (api.Data[*ModelKey], error) {
	key, err := h.service.Get(ctx, caller, in.Provider)
	return api.OK(key), err
}

type messageBody struct {
	Message string `json:"message"`
}

func (h *Handler) delete(ctx context.Context, caller services.Caller, in *providerInput) (api.Data[messageBody], error) {
	err := h.service.Delete(ctx, caller, in.Provider)
	return api.OK(messageBody{Message: "API key for " + in.Provider + " deleted successfully"}), err
}

type defaultBody struct {
	Provider string `json:"provider"`
	Default  bool   `json:"isDefault"`
}

func (h *Handler) setDefault(ctx context.Context, caller services.Caller, in *providerInput) (api.Data[defaultBody], error) {
	err := h.service.SetDefault(ctx, caller, in.Provider)
	return api.OK(defaultBody{Provider: in.Provider, Default: true}), err
}
