package jobs

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"uaol/providers/llm"
)

// unit is what a step, or one item of a for_each step, has come to.
type unit struct {
	position int
	item     int
	status   Status
	attempt  int // calls that have begun
	failed   int // of those, since somebody has decided
	result   json.RawMessage
	failure  string
	detail   string
	took     time.Duration // the last attempt, until its end
	wake     time.Time     // of one that waits for a moment
	refused  time.Time     // since when there was no room for its call
	waits    int           // steps it depends on that have not come to an end

	value json.RawMessage // the item
	call  json.RawMessage // the filled arguments of the call
	ask   *llm.Request    // of a model
	child uuid.UUID       // the job that it waits for
	key   string          // the idempotency key that its definition gives it
	late  *lateNote       // of a call that takes long

	items []unit // of for_each
	next  int    // the first one that has not begun
	open  int    // of those that have not come to an end
}

// whole is the item of a step itself.
const whole = -1

// ended reports whether the unit stays as it is.
func (u *unit) ended() bool { return u.status.Ended() }

// outcome is a step's result as references see it: of for_each a list.
func (u *unit) outcome() json.RawMessage {
	if u.result != nil || u.status != Success || u.items == nil {
		return u.result
	}
	var list bytes.Buffer
	list.WriteByte('[')
	for i := range u.items {
		if i > 0 {
			list.WriteByte(',')
		}
		if result := u.items[i].result; result != nil {
			list.Write(result)
		} else {
			list.WriteString("null")
		}
	}
	list.WriteByte(']')
	u.result = list.Bytes()
	return u.result
}
