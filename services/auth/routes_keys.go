package auth

import (
	"context"
	"time"

	"github.com/google/uuid"

	"uaol/providers/api"
	"uaol/services"
)

type maskedBody struct {
	APIKey string `json:"apiKey" doc:"masked: only a hash of it is stored"`
	Hint   string `json:"hint"`
}

func (h *Handler) defaultKey(ctx context.Context, caller services.Caller, _ *struct{}) (api.Data[maskedBody], error) {
	key, err := h.service.DefaultKey(ctx, caller)
	return api.OK(maskedBody{
		APIKey: key.Masked,
		Hint:   "Keys are shown once, when they are made. POST /auth/api-key/regenerate replaces this one, POST /auth/keys makes another.",
	}), err
}

type secretBody struct {
	APIKey string `json:"apiKey" doc:"shown only this once"`
}

func (h *Handler) regenerateDefaultKey(ctx context.Context, caller services.Caller, _ *struct{}) (api.Data[secretBody], error) {
	secret, err := h.service.RegenerateDefaultKey(ctx, caller)
	return api.OK(secretBody{APIKey: secret}), err
}

func (h *Handler) keys(ctx context.Context, caller services.Caller, _ *struct{}) (api.Page[Key], error) {
	keys, err := h.service.Keys(ctx, caller)
	return api.List(keys, ""), err
}

type newKeyBody struct {
	Key
	APIKey string `json:"apiKey" doc:"shown only this once"`
}

type keyInput struct {
	api.Once
	Body struct {
		Name      string     `json:"name" minLength:"1" maxLength:"100"`
		Scopes    []string   `json:"scopes,omitempty" maxItems:"50" doc:"such as jobs:read or tools:write; none means everything"`
		ExpiresAt *time.Time `json:"expiresAt,omitempty"`
	}
}

func (h *Handler) addKey(ctx context.Context, caller services.Caller, in *keyInput) (api.Data[newKeyBody], error) {
	key, secret, err := h.service.AddKey(ctx, caller, KeyRequest{Name: in.Body.Name, Scopes: in.Body.Scopes, Expires: in.Body.ExpiresAt})
	return api.OK(newKeyBody{Key: key, APIKey: secret}), err
}

type keyIDInput struct {
	ID uuid.UUID `path:"keyId" format:"uuid"`
}

func (h *Handler) revokeKey(ctx context.Context, caller services.Caller, in *keyIDInput) (api.Message, error) {
	return api.Done("API key revoked"), h.service.RevokeKey(ctx, caller, in.ID)
}

func (h *Handler) regenerateKey(ctx context.Context, caller services.Caller, in *keyIDInput) (api.Data[newKeyBody], error) {
	key, secret, err := h.service.RegenerateKey(ctx, caller, in.ID)
	return api.OK(newKeyBody{Key: key, APIKey: secret}), err
}

func (h *Handler) sessions(ctx context.Context, caller services.Caller, _ *struct{}) (api.Page[Session], error) {
	sessions, err := h.service.Sessions(ctx, caller)
	return api.List(sessions, ""), err
}

func (h *Handler) endOtherSessions(ctx context.Context, caller services.Caller, _ *struct{}) (api.Message, error) {
	return api.Done("All other sessions have ended"), h.service.EndOtherSessions(ctx, caller)
}

type sessionInput struct {
	ID uuid.UUID `path:"sessionId" format:"uuid"`
}

func (h *Handler) endSession(ctx context.Context, caller services.Caller, in *sessionInput) (api.Message, error) {
	ended, err := h.service.EndSession(ctx, caller, in.ID)
	if err == nil && !ended {
		err = services.Errorf(services.NotFound, "Session not found")
	}
	return api.Done("The session has ended"), err
}
