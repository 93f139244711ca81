package oauth

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"uaol/providers/api"
	"uaol/services"
)

const (
	authorizePath = "/oauth/authorize"
	signInPath    = "/oauth/sign-in"
	tokenPath     = "/oauth/token"
	registerPath  = "/oauth/register"
	revokePath    = "/oauth/revoke"
)

// Handler is oauth over HTTP.
type Handler struct{ service *Service }

// NewHandler makes a Handler.
func NewHandler(service *Service) *Handler { return &Handler{service: service} }

// Operations is oauth's part of the API, as data.
func Operations() []api.Operation { return (*Handler)(nil).Operations() }

// maxForm bounds what is posted here, in bytes.
const maxForm = 64 << 10

// Operations is oauth's part of the API. What OAuth's own RFCs describe answers in
// their words, errors too.
func (h *Handler) Operations() []api.Operation {
	open, form := api.Anonymous(), api.MaxBody(maxForm)
	return []api.Operation{
		api.Get(api.ResourceMetadata, "Where to get a token for /mcp (RFC 9728)", h.wholeServer, open),
		api.Get(api.ResourceMetadata+Family, "Where to get a token for /mcp (RFC 9728)", h.resource, open),
		api.Get(api.ResourceMetadata+Family+"/search", "Where to get a token for /mcp/search (RFC 9728)", h.search, open),
		api.Get(api.ResourceMetadata+Family+"/{kind}/{part}", "Where to get a token for a part of /mcp (RFC 9728)", h.part, open),
		api.Get(api.ResourceMetadata+Family+"/{kind}/{part}/search", "Where to get a token for the search in a part of /mcp (RFC 9728)", h.partSearch, open),
		api.Get("/.well-known/oauth-authorization-server", "How to ask for tokens (RFC 8414)", h.server, open),

		api.Raw(http.MethodGet, authorizePath, "The page on which somebody lets a program in", h.show, open),
		api.Raw(http.MethodPost, signInPath, "Sign in on that page", h.signIn, open, form, api.Audited("session.begin")),
		api.Raw(http.MethodPost, authorizePath, "Decide on that page", h.decide, open, form, api.Audited("grant.create")),
		api.Raw(http.MethodPost, tokenPath, "Get tokens for a code or a refresh token (RFC 6749)", h.token, open, form),
		api.Raw(http.MethodPost, registerPath, "Make a program known (RFC 7591)", h.register, open, form, api.Audited("client.register")),
		api.Raw(http.MethodPost, revokePath, "End a token (RFC 7009)", h.revoke, open, form, api.Audited("grant.revoke")),

		api.Get("/auth/grants", "Programs that the caller has let in", h.grants, api.Bare("/grants"), api.Account()),
		api.Delete("/auth/grants/{grantId}", "Let a program in no longer", h.end, api.Bare("/grants/{grantId}"), api.Account(), api.Audited("grant.end")),
	}
}

func (h *Handler) wholeServer(ctx context.Context, _ services.Caller, _ *struct{}) (ProtectedResource, error) {
	return h.service.Resource(ctx, "")
}

func (h *Handler) resource(ctx context.Context, _ services.Caller, _ *struct{}) (ProtectedResource, error) {
	return h.service.Resource(ctx, Family)
}

func (h *Handler) search(ctx context.Context, _ services.Caller, _ *struct{}) (ProtectedResource, error) {
	return h.service.Resource(ctx, Family+"/search")
}

type partInput struct {
	Kind string `path:"kind" doc:"t for a tool, p for a profile"`
	Part string `path:"part"`
}

func (h *Handler) part(ctx context.Context, _ services.Caller, in *partInput) (ProtectedResource, error) {
	return h.service.Resource(ctx, Family+"/"+in.Kind+"/"+in.Part)
}

func (h *Handler) partSearch(ctx context.Context, _ services.Caller, in *partInput) (ProtectedResource, error) {
	return h.service.Resource(ctx, Family+"/"+in.Kind+"/"+in.Part+"/search")
}

func (h *Handler) server(ctx context.Context, _ services.Caller, _ *struct{}) (AuthorizationServer, error) {
	return h.service.Server(ctx), nil
}

func (h *Handler) grants(ctx context.Context, caller services.Caller, _ *struct{}) (api.Page[Grant], error) {
	all, err := h.service.Grants(ctx, caller.Account)
	return api.List(all, ""), err
}

type grantInput struct {
	ID uuid.UUID `path:"grantId" format:"uuid"`
}

func (h *Handler) end(ctx context.Context, caller services.Caller, in *grantInput) (api.Message, error) {
	return api.Done("The program is let in no longer"), h.service.End(ctx, caller, in.ID)
}
