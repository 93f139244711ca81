package mcpserver

import (
	"net/http"
	"slices"

	"github.com/gin-gonic/gin"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"uaol/providers/api"
	"uaol/providers/upstream"
	"uaol/services"
	"uaol/services/proxy"
)

// Handler is the endpoint over HTTP.
type Handler struct{ endpoint *Endpoint }

// NewHandler makes a Handler.
func NewHandler(endpoint *Endpoint) *Handler { return &Handler{endpoint} }

// Operations is the proxy's part of the API with the endpoint's, as data.
func Operations() []api.Operation {
	return slices.Concat(proxy.Operations(), (*Handler)(nil).operations())
}

func (h *Handler) operations() []api.Operation {
	var all []api.Operation
	resource := api.Resource("/mcp")
	for _, at := range []struct {
		path, about string
		shelf       shelving
	}{
		{"/mcp", "all tools that the caller may call", h.everything},
		{"/mcp/search", "two methods, by which all other tools are found and called", h.searched(h.everything)},
		{"/mcp/t/{toolId}", "one tool", h.oneTool},
		{"/mcp/p/{profile}", "the tools of a profile", h.chosen},
		{"/mcp/p/{profile}/search", "two methods, by which those of a profile are found and called", h.searched(h.chosen)},
	} {
		all = append(all,
			api.Raw(http.MethodPost, at.path, "MCP, streamable HTTP: "+at.about, h.with(at.shelf, h.post), api.MaxBody(maxBody), resource),
			api.Raw(http.MethodGet, at.path, "MCP: what the server says unasked, for clients of the older protocols", h.with(at.shelf, h.listen), resource),
			api.Raw(http.MethodDelete, at.path, "MCP: end a session of the older protocols", h.with(at.shelf, h.end), resource))
	}
	return append(all, h.profileOperations()...)
}

// maxBody leaves room for arguments as large as the REST route takes them.
const maxBody = api.MaxJSON + 64<<10

// shelving finds which tools an address has; kind NotFound.
type shelving func(c *gin.Context, caller services.Caller) (shelf, error)

func (h *Handler) everything(*gin.Context, services.Caller) (shelf, error) {
	return h.endpoint.all, nil
}

func (h *Handler) oneTool(c *gin.Context, caller services.Caller) (shelf, error) {
	id, err := api.PathID(c, "toolId")
	if err != nil {
		return nil, err
	}
	if _, err := offerOf(c.Request.Context(), h.endpoint.catalog, caller, id); err != nil {
		return nil, err
	}
	return oneTool{h.endpoint.catalog, id}, nil
}

// searched is a shelf that is searched and not listed.
func (h *Handler) searched(find shelving) shelving {
	return func(c *gin.Context, caller services.Caller) (shelf, error) {
		found, err := find(c, caller)
		return searched{found}, err
	}
}

// with checks where a request comes from and what it is about before it is served.
func (h *Handler) with(find shelving, serve func(c *gin.Context, caller services.Caller, shelf shelf)) func(*gin.Context, services.Caller) {
	return func(c *gin.Context, caller services.Caller) {
		if err := h.endpoint.hosts.check(c.Request); err != nil {
			api.Fail(c, err)
			return
		}
		shelf, err := find(c, caller)
		if err != nil {
			api.Fail(c, err)
			return
		}
		serve(c, caller, shelf)
	}
}

func (h *Handler) post(c *gin.Context, caller services.Caller, shelf shelf) {
	r := newReply(c.Writer, c.Request)
	defer r.close()
	body, err := readBody(c.Request)
	if err != nil {
		r.failWith(api.StatusOf(err), &upstream.RPCError{Code: jsonrpc.CodeInvalidRequest, Message: api.MessageOf(err)})
		return
	}
	if isBatch(c.Request, body) {
		count := func(more int) error { return api.CountMore(c, more) }
		h.batch(c.Writer, c.Request, count, caller, shelf, body)
		return
	}
	m, fault := readMessage(body)
	r.id = m.id
	h.serve(c.Request, caller, shelf, r, m, fault)
}

// listen opens the stream on which clients of the older protocols hear what nobody has
// asked for.
func (h *Handler) listen(c *gin.Context, caller services.Caller, shelf shelf) {
	r := newReply(c.Writer, c.Request)
	defer r.close()
	if !r.streams {
		api.Fail(c, services.Errorf(services.Invalid, "The header Accept must name text/event-stream"))
		return
	}
	ctx := c.Request.Context()
	is, _, err := h.endpoint.sessions.of(ctx, caller, c.GetHeader(sessionHeader))
	if err != nil {
		api.Fail(c, err)
		return
	}
	if r.open() != nil {
		return
	}
	s := newStream(&request{endpoint: h.endpoint, caller: caller, shelf: shelf, http: c.Request, reply: r}, nil)
	defer s.close()
	s.lists(ctx, wanted{Tools: true, Prompts: true, Resources: true}, func() { s.follow(ctx, is.ID) })
}

func (h *Handler) end(c *gin.Context, caller services.Caller, _ shelf) {
	ctx := c.Request.Context()
	is, state, err := h.endpoint.sessions.of(ctx, caller, c.GetHeader(sessionHeader))
	if err == nil {
		state.Ended = true
		err = h.endpoint.sessions.change(ctx, is, state)
	}
	if err != nil {
		api.Fail(c, err)
		return
	}
	c.Status(http.StatusNoContent)
}
