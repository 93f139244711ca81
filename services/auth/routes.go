package auth

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"uaol/providers/api"
	"uaol/services"
	"uaol/services/billing"
)

// Handler is auth over HTTP.
type Handler struct {
	service       *Service
	authenticator *Authenticator
}

// NewHandler makes a Handler.
func NewHandler(service *Service, authenticator *Authenticator) *Handler {
	return &Handler{service: service, authenticator: authenticator}
}

// Operations is auth's part of the API, as data.
func Operations() []api.Operation { return (*Handler)(nil).operations() }

func (h *Handler) operations() []api.Operation {
	return []api.Operation{
		api.Post("/auth/register", "Make an account", h.register, api.Bare("/register"), api.Allow(api.Public),
			api.Status(http.StatusCreated), api.Says("body.email", "Email is required")),
		api.Post("/auth/login", "Get a token for an API key or a password", h.login, api.Bare("/login"), api.Allow(api.Public)),
		api.Post("/auth/logout", "Make the token useless", h.logout, api.Bare("/logout")),
		api.Get("/auth/me", "Who is calling", h.me, api.Bare("/me")),
	}
}

type userBody struct {
	ID      uuid.UUID    `json:"id"`
	Email   string       `json:"email"`
	Tier    billing.Tier `json:"subscriptionTier"`
	Credits string       `json:"credits"`
	APIKey  string       `json:"apiKey,omitempty" doc:"shown only this once"`
}

func newUserBody(a Account, b billing.Balance) userBody {
	body := userBody{ID: a.ID, Tier: b.Tier, Credits: strconv.FormatInt(b.Available, 10)}
	if a.Email != nil {
		body.Email = *a.Email
	}
	return body
}

type registerInput struct {
	GuestID string `header:"X-Guest-Id" doc:"the guest whose jobs, files and chats the new account keeps"`
	Body    struct {
		Email    string `json:"email" minLength:"1" maxLength:"254"`
		Password string `json:"password,omitempty" maxLength:"1024"`
	}
}

type registeredBody struct {
	Token string   `json:"token"`
	User  userBody `json:"user"`
}

func (h *Handler) register(ctx context.Context, _ services.Caller, in *registerInput) (api.Data[registeredBody], error) {
	made, err := h.service.Register(ctx, in.Body.Email, in.Body.Password, in.GuestID)
	if err != nil {
		return api.Data[registeredBody]{}, err
	}
	user := newUserBody(made.Account, made.Balance)
	user.APIKey = made.Key
	return api.OK(registeredBody{Token: made.Token, User: user}), nil
}

type loginInput struct {
	Body struct {
		APIKey   string `json:"apiKey,omitempty" maxLength:"1024"`
		Email    string `json:"email,omitempty" maxLength:"254"`
		Password string `json:"password,omitempty" maxLength:"1024"`
	}
}

type tokenBody struct {
	Token string `json:"token"`
}

func (h *Handler) login(ctx context.Context, _ services.Caller, in *loginInput) (api.Data[tokenBody], error) {
	token, err := h.service.Login(ctx, in.Body.APIKey, in.Body.Email, in.Body.Password)
	return api.OK(tokenBody{Token: token}), err
}

type logoutInput struct {
	Authorization string `header:"Authorization"`
}

func (h *Handler) logout(ctx context.Context, _ services.Caller, in *logoutInput) (api.Message, error) {
	_, bearer, _ := strings.Cut(in.Authorization, " ")
	bearer = strings.TrimSpace(bearer)
	if err := h.service.Logout(ctx, bearer); err != nil {
		return api.Message{}, err
	}
	h.authenticator.Forget(bearer)
	return api.Done("Logged out successfully"), nil
}

func (h *Handler) me(ctx context.Context, caller services.Caller, _ *struct{}) (api.Data[userBody], error) {
	account, balance, err := h.service.Me(ctx, caller)
	return api.OK(newUserBody(account, balance)), err
}
