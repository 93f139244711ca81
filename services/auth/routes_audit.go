package auth

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"uaol/providers/api"
	"uaol/services"
)

type actsInput struct {
	api.Paging
	Action       string    `query:"action" maxLength:"100" doc:"such as key.create"`
	Account      uuid.UUID `query:"account" format:"uuid" doc:"who did it"`
	Organization uuid.UUID `query:"organization" format:"uuid" doc:"for whom"`
	Since        time.Time `query:"since"`
	Until        time.Time `query:"until"`
}

func (h *Handler) acts(ctx context.Context, _ services.Caller, in *actsInput) (api.Page[services.Act], error) {
	f := Filter{Action: in.Action, Account: in.Account, Organization: in.Organization, Since: in.Since, Until: in.Until}
	return api.NewestFirst(in.Paging, func(before time.Time, beforeID uuid.UUID, limit int) ([]services.Act, error) {
		return h.audit.List(ctx, f, before, beforeID, limit)
	}, func(row services.Act) (time.Time, uuid.UUID) { return row.Time.Time, row.ID })
}

// exportPage is how many acts are read at a time.
const exportPage = 500

// exportActs streams what ?since= and ?until= ask for, newest first. A failure
// half way cuts the answer, so that nobody takes it for whole.
func (h *Handler) exportActs(c *gin.Context, _ services.Caller) {
	var f Filter
	for name, moment := range map[string]*time.Time{"since": &f.Since, "until": &f.Until} {
		text := c.Query(name)
		if text == "" {
			continue
		}
		read, err := time.Parse(time.RFC3339, text)
		if err != nil {
			api.Fail(c, services.Faults(services.Fault{Path: "query." + name, Message: "is not a time such as 2026-01-31T00:00:00Z"}))
			return
		}
		*moment = read
	}
	before, beforeID := time.Now().Add(time.Hour), uuid.Max
	for page := 0; ; page++ {
		acts, err := h.audit.List(c.Request.Context(), f, before, beforeID, exportPage)
		if err != nil && page == 0 {
			api.Fail(c, err)
			return
		}
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		if page == 0 {
			c.Header("Content-Type", "application/x-ndjson")
			c.Header("Content-Disposition", `attachment; filename="audit.jsonl"`)
			c.Status(http.StatusOK)
		}
		encoder := json.NewEncoder(c.Writer)
		for _, act := range acts {
			if encoder.Encode(act) != nil {
				return // the client is gone
			}
		}
		if len(acts) < exportPage {
			return
		}
		last := acts[len(acts)-1]
		before, beforeID = last.Time.Time, last.ID
	}
}
