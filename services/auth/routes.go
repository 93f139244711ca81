package auth

import (
	"context"
	"net/http"
	"slices"
	"strconv"

	"github.com/google/uuid"

	"uaol/providers/api"
	"uaol/providers/events"
	"uaol/services"
	"uaol/services/auth/modelkeys"
	"uaol/services/auth/oauth"
	"uaol/services/auth/teams"
	"uaol/services/billing"
)

// Handler is auth over HTTP.
type Handler struct {
	service  *Service
	audit    *AuditLog
	signIns  *SignIns
	consents *oauth.Service
}

// NewHandler makes a Handler.
func NewHandler(service *Service, audit *AuditLog, signIns *SignIns, consents *oauth.Service) *Handler {
	return &Handler{service: service, audit: audit, signIns: signIns, consents: consents}
}

// Operations is auth's part of the API, as data.
func Operations() []api.Operation {
	return slices.Concat((*Handler)(nil).operations(), modelkeys.Operations(), teams.Operations(), (*ProfileHandler)(nil).operations(), oauth.Operations(),
		events.NewOutbox(services.Auth).Administration(nil, events.Outlet{}))
}

func (h *Handler) operations() []api.Operation {
	return slices.Concat(h.signInOperations(), h.accountOperations(), []api.Operation{
		api.Post("/auth/register", "Make an account", h.register, api.Bare("/register"), api.Allow(api.Public),
			api.Status(http.StatusCreated), api.Says("body.email", "Email is required"), api.Audited("account.register")),
		api.Post("/auth/login", "Get a token for an API key, a password or a sign-in link", h.login, api.Bare("/login"), api.Allow(api.Public), api.Audited("session.begin")),
		api.Post("/auth/links", "Make a link by which whoever has it signs in once as this account, within 10 minutes; its secret is shown only here", h.link,
			api.Bare("/links"), api.Account(), api.Status(http.StatusCreated), api.Audited("link.create")),
		api.Post("/auth/logout", "End the session of this token", h.logout, api.Bare("/logout"), api.Account(), api.AnyKey(), api.Audited("session.end")),
		api.Get("/auth/me", "Who is calling", h.me, api.Bare("/me"), api.Account(), api.AnyKey()),

		api.Get("/auth/api-key", "The key named default, masked", h.defaultKey, api.Bare("/api-key"), api.Account()),
		api.Post("/auth/api-key/regenerate", "Replace the key named default; the new one is shown only here", h.regenerateDefaultKey,
			api.Bare("/api-key/regenerate"), api.Account(), api.Audited("key.regenerate")),
		api.Get("/auth/keys", "API keys of this account", h.keys, api.Bare("/keys"), api.Account()),
		api.Post("/auth/keys", "Make an API key; it is shown only here", h.addKey, api.Bare("/keys"), api.Account(),
			api.Status(http.StatusCreated), api.Audited("key.create")),
		api.Delete("/auth/keys/{keyId}", "Revoke an API key", h.revokeKey, api.Bare("/keys/{keyId}"), api.Account(), api.Audited("key.revoke")),
		api.Post("/auth/keys/{keyId}/regenerate", "Replace an API key by one like it; it is shown only here", h.regenerateKey,
			api.Bare("/keys/{keyId}/regenerate"), api.Account(), api.Audited("key.regenerate")),

		api.Get("/auth/sessions", "Sign-ins of this account", h.sessions, api.Bare("/sessions"), api.Account()),
		api.Delete("/auth/sessions", "End all sign-ins but this one", h.endOtherSessions, api.Bare("/sessions"), api.Account(), api.Audited("session.end")),
		api.Delete("/auth/sessions/{sessionId}", "End a sign-in", h.endSession, api.Bare("/sessions/{sessionId}"), api.Account(), api.Audited("session.end")),

		api.Get("/audit", "The audit log, newest first", h.acts, api.Allow(api.Admin), api.Needs("")),
		api.Raw(http.MethodGet, "/audit/export", "The audit log as JSON lines", h.exportActs, api.Allow(api.Admin), api.Needs(""), api.Audited("audit.export")),
	})
}

// UserBody is an account as the API shows it. It is exported because only the fields of
// embedded types that are can be described.
type UserBody struct {
	ID      uuid.UUID    `json:"id"`
	Email   string       `json:"email"`
	Tier    billing.Tier `json:"subscriptionTier"`
	Credits string       `json:"credits"`
	APIKey  string       `json:"apiKey,omitempty" doc:"shown only this once"`
}

func newUserBody(c services.Caller, b billing.Balance) UserBody {
	return UserBody{ID: c.Account, Email: c.Email, Tier: b.Tier, Credits: strconv.FormatInt(b.Available, 10)}
}

type registerInput struct {
	GuestID string `header:"X-Guest-Id" doc:"the guest whose jobs, files and chats the new account keeps"`
	Body    struct {
		Email      string `json:"email" minLength:"1" maxLength:"254"`
		Password   string `json:"password,omitempty" maxLength:"1024"`
		Invitation string `json:"invitation,omitempty" maxLength:"200" doc:"the secret of an invitation to this e-mail address"`
	}
}

type registeredBody struct {
	Token string   `json:"token"`
	User  UserBody `json:"user"`
}

func (h *Handler) register(ctx context.Context, _ services.Caller, in *registerInput) (api.Data[registeredBody], error) {
	made, err := h.service.Register(ctx, RegisterRequest{
		Email: in.Body.Email, Password: in.Body.Password, GuestID: in.GuestID, Invitation: in.Body.Invitation,
	})
	if err != nil {
		return api.Data[registeredBody]{}, err
	}
	user := newUserBody(made.Account.Caller(), made.Balance)
	user.APIKey = made.Key
	return api.OK(registeredBody{Token: made.Token, User: user}), nil
}

type loginInput struct {
	Body struct {
		APIKey   string `json:"apiKey,omitempty" maxLength:"1024"`
		Email    string `json:"email,omitempty" maxLength:"254"`
		Password string `json:"password,omitempty" maxLength:"1024"`
		Link     string `json:"link,omitempty" maxLength:"200" doc:"the secret of a link of POST /auth/links; it is used up"`
	}
}

type tokenBody struct {
	Token string `json:"token"`
}

func (h *Handler) login(ctx context.Context, _ services.Caller, in *loginInput) (api.Data[tokenBody], error) {
	if in.Body.Link != "" && in.Body.APIKey == "" {
		token, err := h.service.LoginByLink(ctx, in.Body.Link)
		return api.OK(tokenBody{Token: token}), err
	}
	token, err := h.service.Login(ctx, in.Body.APIKey, in.Body.Email, in.Body.Password)
	return api.OK(tokenBody{Token: token}), err
}

type signInLinkBody struct {
	Secret    string        `json:"secret" doc:"signs in once, at POST /auth/login; shown only this once"`
	ExpiresAt services.Time `json:"expiresAt"`
	URL       string        `json:"url" doc:"the console's page that signs in with it"`
}

func (h *Handler) link(ctx context.Context, caller services.Caller, _ *struct{}) (api.Data[signInLinkBody], error) {
	link, err := h.service.Link(ctx, caller)
	return api.OK(signInLinkBody{Secret: link.Secret, ExpiresAt: link.ExpiresAt, URL: link.URL(h.consents.Base(ctx))}), err
}

func (h *Handler) logout(ctx context.Context, caller services.Caller, _ *struct{}) (api.Message, error) {
	return api.Done("Logged out successfully"), h.service.Logout(ctx, caller)
}

type meBody struct {
	UserBody
	Admin bool `json:"admin,omitempty" doc:"a platform admin"`
}

func (h *Handler) me(ctx context.Context, caller services.Caller, _ *struct{}) (api.Data[meBody], error) {
	balance, err := h.service.Me(ctx, caller)
	return api.OK(meBody{UserBody: newUserBody(caller, balance), Admin: caller.Admin()}), err
}
