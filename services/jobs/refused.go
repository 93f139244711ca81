package jobs

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"time"

	"uaol/providers/upstream"
	"uaol/services"
)

// mostRefused is how long a step waits for room for its call. Its job's deadline
// may end that before.
const mostRefused = time.Hour

// refused reports whether a call was one too many: it has not left, and goes
// through once there is room.
func refused(err error) bool {
	var e *services.Error
	return errors.As(err, &e) && (e.Kind == services.Limited || e.Code == upstream.CodeBusy)
}

// refusal is what a step waits with for room. It is kept with the step: most of the
// time no worker has the job.
type refusal struct {
	ExpiresAt time.Time `json:"expires_at"` // the wait, named as in a question
	Since     time.Time `json:"since"`
}

// waitForRoom lets a unit's call wait that was one too many. It is no attempt.
func (r *run) waitForRoom(u *unit, err error) {
	u.attempt--
	now := time.Now()
	if u.refused.IsZero() {
		u.refused = now
	}
	waited := now.Sub(u.refused)
	if waited >= mostRefused {
		r.fail(u, "there was no room for the call in an hour: "+message(err))
		return
	}
	u.failure = message(err)
	until := now.Add(pauseOfRefused(waited))
	detail, _ := json.Marshal(refusal{ExpiresAt: until, Since: u.refused}) // can be written
	u.status, u.wake, u.detail = Retrying, until, string(detail)
	r.timed = append(r.timed, u)
	r.note(u)
}

// pauseOfRefused is how long a call waits that has waited so long: each time about
// twice as long as before.
func pauseOfRefused(waited time.Duration) time.Duration {
	pause := min(max(waited, 250*time.Millisecond), 30*time.Second)
	return pause/2 + rand.N(pause)
}

// refusedSince reads since when a unit waits for room; zero when it waits for
// something else.
func refusedSince(detail string) time.Time {
	var kept refusal
	_ = json.Unmarshal([]byte(detail), &kept) // a moment alone is no JSON
	return kept.Since
}
