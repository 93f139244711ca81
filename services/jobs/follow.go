package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"uaol/providers/api"
	"uaol/services"
)

// Progress is something new about a job: a step's state, or the job's own.
type Progress struct {
	Seq  int64 // of the change; 0 where more of the same change follows
	Step *StepState
	Job  *JobState
}

// JobState is a job without what does not change.
type JobState struct {
	ID           uuid.UUID       `json:"job_id"`
	Status       Status          `json:"status"`
	StartTime    *services.Time  `json:"start_time"`
	EndTime      *services.Time  `json:"end_time"`
	FinalOutput  json.RawMessage `json:"final_output"`
	ErrorMessage *string         `json:"error_message"`
	RetryCount   int             `json:"retry_count"`
}

// breath is how often somebody who follows hears something, so that proxies keep
// the connection.
const breath = 15 * time.Second

// Follow tells of all that a job's steps come to after a change, and then of what
// becomes of it, until it has ended. States that were left quickly may be passed
// over; the last one of each step is told.
func (s *Service) Follow(ctx context.Context, caller services.Caller, id uuid.UUID, after int64, tell func(Progress) error, alive func() error) error {
	if _, err := s.find(ctx, caller, id); err != nil {
		return err
	}
	changed, leave := s.repository.hub.follow(id)
	defer leave()
	breathing := time.NewTicker(breath)
	defer breathing.Stop()
	var last Status
	for {
		job, err := s.find(ctx, caller, id)
		if err != nil {
			return err
		}
		if after, err = s.tellSteps(ctx, job, after, tell); err != nil {
			return err
		}
		if job.Status != last {
			last = job.Status
			shown, err := s.shown(ctx, job)
			if err != nil {
				return err
			}
			if err := tell(Progress{Seq: after, Job: shown[0].state()}); err != nil {
				return err
			}
		}
		if job.Status.Ended() {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		case <-breathing.C:
			if err := alive(); err != nil {
				return err
			}
		}
	}
}

func (j Job) state() *JobState {
	return &JobState{j.ID, j.Status, j.StartTime, j.EndTime, j.FinalOutput, j.ErrorMessage, j.RetryCount}
}

// tellSteps tells what was written after a change, in order. The number of a
// change goes with its last step: whoever comes back with it has heard all of it.
func (s *Service) tellSteps(ctx context.Context, job jobRow, after int64, tell func(Progress) error) (int64, error) {
	rows, err := s.repository.stepsAfter(ctx, job.ID, after)
	if err != nil || len(rows) == 0 {
		return after, err
	}
	for i, row := range rows {
		state, err := s.state(job, row)
		if err != nil {
			return after, err
		}
		p := Progress{Step: &state}
		if i == len(rows)-1 || rows[i+1].Seq != row.Seq {
			p.Seq, after = row.Seq, row.Seq
		}
		if err := tell(p); err != nil {
			return after, err
		}
	}
	return after, nil
}

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
