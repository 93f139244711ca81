package jobs

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"time"

	"uaol/providers/upstream"
	"uaol/services"
	"uaol/services/jobs/workflow"
)

// mostRefused is how long a step waits until its call can be made. Its job's deadline
// may end that before.
const mostRefused = time.Hour

// refused reports whether a call has not left and will go through in a while: it was
// one too many, its tool is left alone for a moment, or a part of ours can't be
// reached. A tool that can't be reached has a code (upstream.CodeUnreachable), and is
// a failed attempt.
func (r *run) refused(u *unit, err error) bool {
	var e *services.Error
	if !errors.As(err, &e) {
		return false
	}
	return e.Kind == services.Limited || e.Code == upstream.CodeBusy || e.Code == upstream.CodeCircuitOpen ||
		e.Kind == services.Unavailable && e.Code == "" && r.workflow.Steps[u.position].Kind != workflow.LLM
}

// pause is what a step keeps while it waits for its next call: most of the time no
// worker has the job.
type pause struct {
	ExpiresAt time.Time `json:"expires_at"`       // the wait, named as in a question
	Since     time.Time `json:"since,omitzero"`   // of one whose call was refused
	Failed    int       `json:"failed,omitempty"` // attempts, so far
}

// waitForRoom lets a unit's call wait that was refused. It is no attempt.
func (r *run) waitForRoom(u *unit, err error) {
	u.attempt--
	now := time.Now()
	if u.refused.IsZero() {
		u.refused = now
	}
	waited := now.Sub(u.refused)
	if waited >= mostRefused {
		r.fail(u, "the call could not be made in an hour: "+message(err))
		return
	}
	r.pauseUntil(u, now.Add(pauseOfRefused(waited)), err)
}

// tryAgain lets a unit wait for its next attempt; false when there is none left. Only
// attempts that have failed count: that a worker has died is not the tool's fault.
func (r *run) tryAgain(u *unit, err error) bool {
	retry := &r.workflow.Steps[u.position].Retry
	if u.failed+1 >= retry.Attempts || final(err) {
		return false
	}
	u.failed++
	r.pauseUntil(u, time.Now().Add(retry.Pause(u.failed, rand.Float64())), err)
	return true
}

func (r *run) pauseUntil(u *unit, until time.Time, err error) {
	detail, _ := json.Marshal(pause{ExpiresAt: until, Since: u.refused, Failed: u.failed}) // can be written
	u.status, u.wake, u.detail, u.failure = Retrying, until, string(detail), message(err)
	r.timed = append(r.timed, u)
	r.note(u)
}

// pauseOfRefused is how long a call waits that has waited so long: each time about
// twice as long as before.
func pauseOfRefused(waited time.Duration) time.Duration {
	pause := min(max(waited, 250*time.Millisecond), 30*time.Second)
	return pause/2 + rand.N(pause)
}

// pauseOf reads what a step has kept; nothing where it waits for something else.
func pauseOf(detail string) (kept pause) {
	_ = json.Unmarshal([]byte(detail), &kept) // a moment alone is no JSON
	return kept
}
