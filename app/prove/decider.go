package prove

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"uaol/app/client"
)

// decider is the person who looks after steps of which nobody knows whether their
// calls reached the tool: she asks the tool.
type decider struct {
	everybody *everybody
	tool      *toolServer

	mu      sync.Mutex
	retried int
	skipped int
}

const looksEvery = 500 * time.Millisecond

// run decides until its context ends.
func (d *decider) run(ctx context.Context) error {
	for {
		for i := range d.everybody.customers {
			if err := d.look(ctx, d.everybody.customers[i].key); err != nil && ctx.Err() == nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(looksEvery):
		}
	}
}

// look decides about what waits for one customer just now.
func (d *decider) look(ctx context.Context, key string) error {
	var waiting []struct {
		Job    string `json:"job_id"`
		Step   string `json:"id"`
		Status string `json:"status"`
	}
	if err := d.everybody.ask(ctx, key, "", http.MethodGet, "/jobs/waiting?limit=100", nil, &waiting); err != nil {
		return err
	}
	for _, w := range waiting {
		done, quiet := d.tool.of(w.Job + "/" + w.Step)
		if w.Status != "Unknown" || !quiet {
			continue
		}
		decision, count := "retry", &d.retried
		if done.effects > 0 {
			decision, count = "skip", &d.skipped
		}
		err := d.everybody.ask(ctx, key, "", http.MethodPost, "/jobs/"+w.Job+"/steps/"+w.Step+"/decision", map[string]string{"decision": decision}, nil)
		var refused *client.Refusal
		switch {
		case err == nil:
			d.mu.Lock()
			*count++
			d.mu.Unlock()
		case errors.As(err, &refused) && (refused.Status == http.StatusConflict || refused.Status == http.StatusNotFound): // it has been decided, or is over
		default:
			return err
		}
	}
	return nil
}
