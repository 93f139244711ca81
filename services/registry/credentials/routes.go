package credentials

import (
	"context"
	"net/http"
	"net/url"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"uaol/providers/api"
	"uaol/services"
)

// Handler is the package's part of the registry's routes.
type Handler struct {
	service *Service
	tools   Tools
}

// NewHandler makes a Handler.
func NewHandler(service *Service, tools Tools) *Handler {
	return &Handler{service: service, tools: tools}
}

// Service is what the handler works with; nil for one that only describes.
func (h *Handler) Service() *Service {
	if h == nil {
		return nil
	}
	return h.service
}

// Operations is the routes, as data.
func (h *Handler) Operations() []api.Operation {
	anyRole := api.Needs(services.OrgViewer) // each scope asks for its own
	return []api.Operation{
		api.Get("/tools/{toolId}/secrets", "Secrets that a tool wants, and that were given; never their values", h.list),
		api.Get("/tools/{toolId}/secrets/{name}", "One of them", h.get),
		api.Put("/tools/{toolId}/secrets/{name}", "Give a secret; it can't be read again", h.set, anyRole, api.MaxBody(64<<10), api.Audited("secret.set")),
		api.Delete("/tools/{toolId}/secrets/{name}", "Forget a secret", h.delete, anyRole, api.Audited("secret.delete")),
		api.Post("/tools/{toolId}/authorize", "Begin a consent at the tool's authorization server", h.authorize, anyRole, api.Audited("tool.authorize")),
		api.Get("/tools/{toolId}/authorization", "Whether there is a consent", h.connection),
		api.Delete("/tools/{toolId}/authorization", "Forget a consent", h.disconnect, anyRole, api.Audited("tool.disconnect")),
		api.Raw(http.MethodGet, callbackPath, "Where tools' authorization servers send people back to", h.callback, api.Allow(api.Public)),
		api.Raw(http.MethodGet, documentPath, "UAOL as a client of tools' authorization servers (client ID metadata document)", h.document, api.Allow(api.Public)),
		api.Post("/tools/oauth/finish", "End a consent: what the browser came back with, from the account that began it", h.finish, anyRole, api.Audited("tool.connect")),
	}
}

type toolInput struct {
	Tool uuid.UUID `path:"toolId" format:"uuid"`
}

type secretsInput struct {
	Tool    uuid.UUID `path:"toolId" format:"uuid"`
	Version int64     `query:"version" minimum:"0" doc:"the tool's pending version, for its owner: what that wants"`
}

type secretInput struct {
	Tool    uuid.UUID `path:"toolId" format:"uuid"`
	Name    string    `path:"name" maxLength:"64"`
	Version int64     `query:"version" minimum:"0" doc:"the tool's pending version, for its owner"`
}

func (h *Handler) list(ctx context.Context, caller services.Caller, in *secretsInput) (api.Page[Entry], error) {
	tool, err := h.tools.Credentialed(ctx, caller, in.Tool, in.Version)
	if err != nil {
		return api.Page[Entry]{}, err
	}
	entries, err := h.service.Entries(ctx, caller, tool)
	return api.List(entries, ""), err
}

func (h *Handler) get(ctx context.Context, caller services.Caller, in *secretInput) (api.Data[Entry], error) {
	tool, err := h.tools.Credentialed(ctx, caller, in.Tool, in.Version)
	if err != nil {
		return api.Data[Entry]{}, err
	}
	entry, err := h.service.Entry(ctx, caller, tool, in.Name)
	return api.OK(entry), err
}

type setInput struct {
	Tool uuid.UUID `path:"toolId" format:"uuid"`
	Name string    `path:"name" maxLength:"64"`
	Body struct {
		Value   string `json:"value" doc:"1 to 16384 bytes"`
		Scope   Scope  `json:"scope,omitempty" enum:"tool,organization,user" default:"user" doc:"whose it is: all callers', the organisation's, or the caller's own"`
		Version int64  `json:"version,omitempty" minimum:"0" doc:"of the tool that was looked at; when it has changed since, nothing is stored. With its pending version the secret is for that one's address, which matters when it differs; its owner may give the tool's own before it is approved"`
	}
}

func (h *Handler) set(ctx context.Context, caller services.Caller, in *setInput) (api.Data[Entry], error) {
	tool, err := h.tools.Credentialed(ctx, caller, in.Tool, in.Body.Version)
	if err != nil {
		return api.Data[Entry]{}, err
	}
	entry, err := h.service.Set(ctx, caller, tool, SetRequest{Name: in.Name, Value: in.Body.Value, Scope: in.Body.Scope})
	return api.OK(entry), err
}

type deleteInput struct {
	Tool  uuid.UUID `path:"toolId" format:"uuid"`
	Name  string    `path:"name" maxLength:"64"`
	Scope Scope     `query:"scope" enum:"tool,organization,user" default:"user"`
}

func (h *Handler) delete(ctx context.Context, caller services.Caller, in *deleteInput) (api.Message, error) {
	tool, err := h.tools.Credentialed(ctx, caller, in.Tool, 0)
	if err == nil {
		err = h.service.Delete(ctx, caller, tool, in.Scope, in.Name)
	}
	return api.Done("The secret is forgotten"), err
}

type authorizeInput struct {
	Tool uuid.UUID `path:"toolId" format:"uuid"`
	Body struct {
		Scope    Scope    `json:"scope,omitempty" enum:"tool,organization,user" default:"user" doc:"for whom the consent shall count"`
		Scopes   []string `json:"scopes,omitempty" maxItems:"50" doc:"that a call was refused for, as details.scopes of CREDENTIALS_REQUIRED tell; they are asked for besides those granted already"`
		ReturnTo string   `json:"return_to,omitempty" enum:"/console" doc:"/console: the browser comes back to the console; else to the frontend"`
	}
}

type authorizeBody struct {
	AuthorizeURL string `json:"authorizeUrl" doc:"the page to open in the browser, within ten minutes; what it comes back with, at /tools/consent of the frontend or of the console, goes to POST /tools/oauth/finish"`
}

func (h *Handler) authorize(ctx context.Context, caller services.Caller, in *authorizeInput) (api.Data[authorizeBody], error) {
	tool, err := h.tools.Credentialed(ctx, caller, in.Tool, 0)
	if err != nil {
		return api.Data[authorizeBody]{}, err
	}
	page, err := h.service.Authorize(ctx, caller, tool, AuthorizeRequest{Scope: in.Body.Scope, More: in.Body.Scopes, ReturnTo: in.Body.ReturnTo})
	return api.OK(authorizeBody{AuthorizeURL: page}), err
}

func (h *Handler) connection(ctx context.Context, caller services.Caller, in *toolInput) (api.Data[Connection], error) {
	tool, err := h.tools.Credentialed(ctx, caller, in.Tool, 0)
	if err != nil {
		return api.Data[Connection]{}, err
	}
	connection, err := h.service.Connection(ctx, caller, tool)
	return api.OK(connection), err
}

type disconnectInput struct {
	Tool  uuid.UUID `path:"toolId" format:"uuid"`
	Scope Scope     `query:"scope" enum:"tool,organization,user" default:"user"`
}

func (h *Handler) disconnect(ctx context.Context, caller services.Caller, in *disconnectInput) (api.Message, error) {
	tool, err := h.tools.Credentialed(ctx, caller, in.Tool, 0)
	if err == nil {
		err = h.service.Disconnect(ctx, caller, tool, in.Scope)
	}
	return api.Done("The consent is forgotten"), err
}

// callback sends the browser on to the frontend or the console with what the authorization
// server says. It stores nothing: see Finish.
func (h *Handler) callback(c *gin.Context, _ services.Caller) {
	said := url.Values{}
	for _, name := range []string{"state", "code", "error", "iss"} {
		if value := c.Query(name); value != "" {
			said.Set(name, value)
		}
	}
	c.Header("Cache-Control", "no-store")
	c.Header("Referrer-Policy", "no-referrer")
	c.Redirect(http.StatusFound, h.service.back(said.Get("state"))+"?"+said.Encode())
}

// document is read by programs that know nothing of our envelope.
func (h *Handler) document(c *gin.Context, _ services.Caller) {
	c.Header("Cache-Control", "max-age=3600")
	c.JSON(http.StatusOK, h.service.Document())
}

type finishInput struct {
	Body Return
}

// finished is the tool with the consent that counts for the caller now.
type finished struct {
	Tool uuid.UUID `json:"tool_id"`
	Connection
}

func (h *Handler) finish(ctx context.Context, caller services.Caller, in *finishInput) (api.Data[finished], error) {
	tool, err := h.service.Finish(ctx, caller, h.tools, in.Body)
	if err != nil {
		return api.Data[finished]{}, err
	}
	connection, err := h.service.Connection(ctx, caller, tool)
	return api.OK(finished{tool.ID, connection}), err
}
