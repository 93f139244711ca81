package conversations

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"uaol/providers/api"
	"uaol/services"
)

// Handler is conversations over HTTP.
type Handler struct{ service *Service }

// NewHandler makes a Handler.
func NewHandler(service *Service) *Handler { return &Handler{service: service} }

// Operations are those of the API.
func (h *Handler) Operations() []api.Operation {
	return []api.Operation{
		api.Get("/chat/conversations", "The caller's conversations, the one that was spoken in last first", h.list, api.Allow(api.Guest)),
		api.Get("/chat/conversations/{conversationId}", "A conversation and what was said in it", h.get, api.Allow(api.Guest)),
		api.Put("/chat/conversations/{conversationId}", "Give a conversation another title", h.rename, api.Allow(api.Guest)),
		api.Delete("/chat/conversations/{conversationId}", "Remove a conversation", h.delete, api.Allow(api.Guest)),
		api.Raw(http.MethodGet, "/chat/conversations/{conversationId}/export", "A conversation as a text (Markdown), or with ?format=json", h.export, api.Allow(api.Guest)),
	}
}

func (h *Handler) list(ctx context.Context, caller services.Caller, in *struct{ api.Paging }) (api.Page[Conversation], error) {
	return api.NewestFirst(in.Paging, func(before time.Time, beforeID uuid.UUID, limit int) ([]Conversation, error) {
		return h.service.List(ctx, caller, before, beforeID, limit)
	}, func(c Conversation) (time.Time, uuid.UUID) { return c.UpdatedAt.Time, c.ID })
}

type getInput struct {
	ID uuid.UUID `path:"conversationId" format:"uuid"`
	api.Paging
}

// withMessages is a conversation as it is read: some of its messages, and where to go on.
type withMessages struct {
	Conversation
	Said       []Message `json:"said"`
	NextCursor string    `json:"nextCursor,omitempty" doc:"for the messages that follow"`
}

func (h *Handler) get(ctx context.Context, caller services.Caller, in *getInput) (api.Data[withMessages], error) {
	after, err := api.ReadCursor[int](in.Cursor)
	if err != nil {
		return api.Data[withMessages]{}, err
	}
	c, err := h.service.Get(ctx, caller, in.ID)
	if err != nil {
		return api.Data[withMessages]{}, err
	}
	said, err := h.service.repository.after(ctx, in.ID, after, in.Limit+1)
	page := api.Cut(said, in.Limit, func(m Message) any { return m.Seq })
	return api.OK(withMessages{c, page.Data, page.NextCursor}), err
}

type renameInput struct {
	ID   uuid.UUID `path:"conversationId" format:"uuid"`
	Body struct {
		Title string `json:"title" minLength:"1" maxLength:"200"`
	}
}

func (h *Handler) rename(ctx context.Context, caller services.Caller, in *renameInput) (api.Data[Conversation], error) {
	c, err := h.service.Rename(ctx, caller, in.ID, in.Body.Title)
	return api.OK(c), err
}

type idInput struct {
	ID uuid.UUID `path:"conversationId" format:"uuid"`
}

func (h *Handler) delete(ctx context.Context, caller services.Caller, in *idInput) (api.Message, error) {
	return api.Done("Conversation deleted"), h.service.Delete(ctx, caller, in.ID)
}

// exportPage is how many messages are read at once.
const exportPage = 200

// export hands a conversation out as one file.
func (h *Handler) export(c *gin.Context, caller services.Caller) {
	id, err := api.PathID(c, "conversationId")
	if err != nil {
		api.Fail(c, err)
		return
	}
	format := c.DefaultQuery("format", "markdown")
	if format != "markdown" && format != "json" {
		api.Fail(c, services.Faults(services.Fault{Path: "query.format", Message: "must be markdown or json"}))
		return
	}
	of, err := h.service.Get(c.Request.Context(), caller, id)
	if err != nil {
		api.Fail(c, err)
		return
	}
	all, last := []Message{}, 0
	for {
		some, err := h.service.repository.after(c.Request.Context(), id, last, exportPage)
		if err != nil {
			api.Fail(c, err)
			return
		}
		if all = append(all, some...); len(some) < exportPage {
			break
		}
		last = some[len(some)-1].Seq
	}
	c.Header("X-Content-Type-Options", "nosniff")
	if format == "json" {
		c.Header("Content-Disposition", `attachment; filename="conversation.json"`)
		c.JSON(http.StatusOK, withMessages{Conversation: of, Said: all})
		return
	}
	c.Header("Content-Disposition", `attachment; filename="conversation.md"`)
	c.Data(http.StatusOK, "text/markdown; charset=utf-8", []byte(markdown(of, all)))
}

func markdown(of Conversation, all []Message) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n", of.Title)
	for _, m := range all {
		if m.Content != "" {
			fmt.Fprintf(&b, "\n**%s**, %s\n\n%s\n", m.Role, m.CreatedAt.UTC().Format(time.RFC3339), m.Content)
		}
	}
	return b.String()
}
