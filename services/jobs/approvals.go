package jobs

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"github.com/gowebpki/jcs"

	"uaol/services"
)

// Call is what a person is asked to approve: exactly this, once.
type Call struct {
	Step      string          `json:"step"`
	ToolID    uuid.UUID       `json:"tool_id"`
	Version   int64           `json:"tool_version"`
	Action    string          `json:"action"`
	Arguments json.RawMessage `json:"parameters"`
	Price     int64           `json:"credits"`
}

// digest names the call: the same arguments in another order are the same.
func (c Call) digest() (string, error) {
	text, err := json.Marshal(c)
	if err == nil {
		text, err = jcs.Transform(text)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), err
}

// question is what an approval step waits with.
type question struct {
	ExpiresAt time.Time `json:"expires_at"`
	Message   string    `json:"message,omitempty"`
	Call      *Call     `json:"call,omitempty"`
	Digest    string    `json:"digest,omitempty"`

	Child  *uuid.UUID `json:"job_id,omitempty"` // instead of a person
	Failed int        `json:"failed,omitempty"` // attempts before that job, see pause
}

// ask lets an approval step wait for a person.
func (r *run) ask(u *unit) {
	step := r.workflow.Steps[u.position].Approval
	q := question{ExpiresAt: time.Now().Add(step.ExpiresIn)}
	var err error
	if step.Message != nil {
		q.Message, err = step.Message.Text(r.scope())
	}
	if err == nil && step.Approves >= 0 {
		q.Call, q.Digest, err = r.callOf(&r.units[step.Approves])
	}
	if err != nil {
		r.fail(u, message(err))
		return
	}
	detail, err := json.Marshal(q)
	if err != nil {
		r.fail(u, message(err))
		return
	}
	u.status, u.attempt, u.wake, u.detail = Waiting, u.attempt+1, q.ExpiresAt, string(detail)
	r.timed = append(r.timed, u)
	r.note(u)
}

// callOf is the call that a step would make now.
func (r *run) callOf(u *unit) (*Call, string, error) {
	step, frozen := &r.workflow.Steps[u.position], r.plan[u.position]
	arguments, err := step.Tool.Parameters.Fill(r.scope())
	if err != nil {
		return nil, "", err
	}
	c := Call{Step: step.ID, ToolID: step.Tool.ToolID, Version: frozen.Version, Action: step.Tool.Action, Arguments: arguments, Price: frozen.Price}
	digest, err := c.digest()
	return &c, digest, err
}

// answer applies what a person has said.
func (r *run) answer(u *unit, d decided) {
	if r.workflow.Steps[u.position].Approval == nil {
		return
	}
	r.timed = without(r.timed, u)
	switch d.Decision {
	case Approve:
		result, _ := json.Marshal(map[string]any{"approved": true, "by": d.Account, "digest": d.Digest}) // can be written
		r.succeed(u, result)
	case Reject:
		r.fail(u, "REJECTED: "+d.Account.String()+" has said no")
	}
}

// approved reports whether exactly the call that a step is about to make was
// approved.
func (r *run) approved(u *unit) error {
	guard := &r.units[r.workflow.Steps[u.position].ApprovedBy]
	var said struct {
		Digest string `json:"digest"`
	}
	if guard.status != Success || json.Unmarshal(guard.result, &said) != nil {
		return services.Errorf(services.Conflict, "the call was not approved")
	}
	_, digest, err := r.callOf(u)
	if err == nil && digest != said.Digest {
		err = services.Errorf(services.Conflict, "another call was approved than the one that would be made")
	}
	return err
}

func without(all []*unit, one *unit) (rest []*unit) {
	for _, u := range all {
		if u != one {
			rest = append(rest, u)
		}
	}
	return rest
}
