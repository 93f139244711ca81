package library

import (
	"context"
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"uaol/providers/api"
	"uaol/services"
)

// Handler is documents over HTTP.
type Handler struct{ service *Service }

// NewHandler makes a Handler.
func NewHandler(service *Service) *Handler { return &Handler{service: service} }

// Operations are those of the API.
func (h *Handler) Operations() []api.Operation {
	return []api.Operation{
		api.Post("/documents/search", "The passages of the caller's documents that answer a question, the best first", h.search, api.Allow(api.Guest), api.Reads()),
		api.Get("/documents/{fileId}", "What is known of a file as a document: whether it is read, and its pages, rows and columns", h.get, api.Allow(api.Guest)),
		api.Raw(http.MethodGet, "/documents/{fileId}/text", "What a file says, as plain text", h.text, api.Allow(api.Guest)),
		api.Get("/documents/{fileId}/passages", "What a file says, passage by passage in the order of reading, with pages, sheets and headings", h.passages, api.Allow(api.Guest)),
		api.GetStream("/documents/{fileId}/events", "How a file is being read, as server-sent events, until it is", h.events, api.Allow(api.Guest)),
		api.Post("/documents/{fileId}/read", "Read a file once more, for instance when it could not be read before", h.again, api.Allow(api.Guest)),
	}
}

type searchInput struct {
	Body struct {
		Query string      `json:"query" minLength:"1" maxLength:"4000"`
		Files []uuid.UUID `json:"fileIds,omitempty" maxItems:"20" doc:"files to look in; without them all that the caller has"`
		Limit int         `json:"limit,omitempty" minimum:"1" maximum:"50" default:"5"`
	}
}

func (h *Handler) search(ctx context.Context, caller services.Caller, in *searchInput) (api.Page[Passage], error) {
	found, err := h.service.Search(ctx, caller, Question{Query: in.Body.Query, Files: in.Body.Files, Limit: in.Body.Limit})
	return api.List(found, ""), err
}

type fileInput struct {
	ID uuid.UUID `path:"fileId" format:"uuid"`
}

func (h *Handler) get(ctx context.Context, caller services.Caller, in *fileInput) (api.Data[Document], error) {
	d, err := h.service.Get(ctx, caller, in.ID)
	return api.OK(d), err
}

func (h *Handler) again(ctx context.Context, caller services.Caller, in *fileInput) (api.Data[Document], error) {
	d, err := h.service.Again(ctx, caller, in.ID)
	return api.OK(d), err
}

// mostText is more than is taken out of any file, in characters.
const mostText = 1 << 30

func (h *Handler) text(c *gin.Context, caller services.Caller) {
	id, err := api.PathID(c, "fileId")
	text := ""
	if err == nil {
		text, err = h.service.Text(c.Request.Context(), caller, id, mostText)
	}
	if err != nil {
		api.Fail(c, err)
		return
	}
	c.Header("X-Content-Type-Options", "nosniff")
	c.Header("Cache-Control", "private, no-cache")
	c.Data(http.StatusOK, "text/plain; charset=utf-8", []byte(text))
}

type passagesInput struct {
	api.Paging
	ID   uuid.UUID `path:"fileId" format:"uuid"`
	Page int       `query:"page" minimum:"1" doc:"begin with this page, or the first one after it that has text"`
	From int       `query:"from" minimum:"0" doc:"begin with the passage of this ordinal"`
}

func (h *Handler) passages(ctx context.Context, caller services.Caller, in *passagesInput) (api.Page[Passage], error) {
	from, err := api.ReadCursor[int](in.Cursor)
	if err != nil {
		return api.Page[Passage]{}, err
	}
	if in.Cursor == "" {
		from = in.From
	} else {
		in.Page = 0
	}
	found, err := h.service.Passages(ctx, caller, in.ID, Stretch{Page: in.Page, From: from, Limit: in.Limit + 1})
	return api.Cut(found, in.Limit, func(p Passage) any { return p.Ordinal + 1 }), err
}

func (h *Handler) events(ctx context.Context, caller services.Caller, in *fileInput, out *api.Events) error {
	return h.service.Follow(ctx, caller, in.ID, func(d Document) error { return out.Send("document", d) })
}
