package jobs

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"uaol/providers/api"
	"uaol/services"
)

// events is Follow as server-sent events. A client that was cut off comes back
// with the last id it has heard.
func (h *Handler) events(c *gin.Context, caller services.Caller) {
	id, err := uuid.Parse(c.Param("jobId"))
	if err != nil {
		api.Fail(c, services.Faults(services.Fault{Path: "path.jobId", Message: "must be a UUID"}))
		return
	}
	after, _ := strconv.ParseInt(c.GetHeader("Last-Event-ID"), 10, 64) // what is no number is from the beginning
	begun := false
	write := func(text string) error {
		if !begun {
			begun = true
			c.Header("Content-Type", "text/event-stream")
			c.Header("Cache-Control", "no-store")
			c.Header("X-Accel-Buffering", "no") // nginx passes it on at once
			c.Status(http.StatusOK)
		}
		if _, err := c.Writer.WriteString(text); err != nil {
			return err
		}
		c.Writer.Flush()
		return nil
	}
	err = h.service.Follow(c.Request.Context(), caller, id, after, func(p Progress) error { return write(eventText(p)) },
		func() error { return write(": still here\n\n") })
	if err != nil && !begun {
		api.Fail(c, err)
	}
}

func eventText(p Progress) string {
	var b strings.Builder
	kind, data := "step", any(p.Step)
	if p.Job != nil {
		kind, data = "job", p.Job
	}
	text, err := encode(data)
	if err != nil {
		return ""
	}
	if p.Seq > 0 {
		fmt.Fprintf(&b, "id: %d\n", p.Seq)
	}
	fmt.Fprintf(&b, "event: %s\ndata: %s\n\n", kind, text)
	return b.String()
}
