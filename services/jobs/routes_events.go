package jobs

import (
	"context"
	"strconv"

	"github.com/google/uuid"

	"uaol/providers/api"
	"uaol/services"
)

type eventsInput struct {
	ID    uuid.UUID `path:"jobId" format:"uuid"`
	After string    `header:"Last-Event-ID" doc:"the last id that was heard, of who was cut off"`
}

// events is Follow as server-sent events. A client that was cut off comes back
// with the last id it has heard.
func (h *Handler) events(ctx context.Context, caller services.Caller, in *eventsInput, out *api.Events) error {
	after, _ := strconv.ParseInt(in.After, 10, 64) // what is no number is from the beginning
	return h.service.Follow(ctx, caller, in.ID, after, func(p Progress) error {
		kind, data, id := "step", any(p.Step), ""
		if p.Job != nil {
			kind, data = "job", p.Job
		}
		if p.Seq > 0 {
			id = strconv.FormatInt(p.Seq, 10)
		}
		return out.SendAs(id, kind, data)
	})
}
