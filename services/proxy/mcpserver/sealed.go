package mcpserver

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"uaol/services"
)

// What clients carry for us is sealed to them: nobody else can use it, and nobody can
// change it.

// questionID is the id of a request to a client.
func (e *Endpoint) questionID(caller services.Caller, id uuid.UUID) string {
	return e.ring.SealText(id, questionBond(caller))
}

// questionOf reads it back from a client's answer; false for what we have not asked them.
func (e *Endpoint) questionOf(caller services.Caller, id json.RawMessage) (question uuid.UUID, ok bool) {
	var text string
	ok = json.Unmarshal(id, &text) == nil && e.ring.OpenText(text, questionBond(caller), &question)
	return question, ok
}

func questionBond(caller services.Caller) string { return "mcp question/" + caller.Account.String() }

// round is what a client of the stateless protocol carries from one round of a request
// to the next.
type round struct {
	Tool   uuid.UUID       `json:"t"`
	About  string          `json:"a"`           // digest of what was asked of it
	State  json.RawMessage `json:"s,omitempty"` // the tool's own, of the stateless protocol
	Parked uuid.UUID       `json:"p,omitzero"`  // the call that goes on at a tool with sessions
	Job    uuid.UUID       `json:"j,omitzero"`  // the job that goes on
	Number int             `json:"n,omitempty"` // of its rounds
	At     int64           `json:"at"`          // Unix seconds
}

// roundFor is how long a client may take for its answers.
const roundFor = 15 * time.Minute

func roundBond(caller services.Caller) string {
	return "mcp round/" + caller.Account.String() + "/" + caller.Organization.String()
}

func (e *Endpoint) sealRound(caller services.Caller, r round) string {
	r.At = time.Now().Unix()
	return e.ring.SealText(r, roundBond(caller))
}

var errRound = services.Errorf(services.Invalid, "requestState is not of this request, was changed, or is too old; begin again without it")

// openRound reads a round's state, which must be the caller's and of the same request.
// Kind Invalid.
func (e *Endpoint) openRound(caller services.Caller, state string, tool uuid.UUID, about string) (r round, err error) {
	if !e.ring.OpenText(state, roundBond(caller), &r) || r.Tool != tool || r.About != about || time.Since(time.Unix(r.At, 0)) > roundFor {
		return r, errRound
	}
	return r, nil
}

// digestOf tells requests apart by what they ask, however it is written.
func digestOf(request, subject string, arguments json.RawMessage) string {
	var value any
	decoder := json.NewDecoder(bytes.NewReader(arguments))
	decoder.UseNumber()
	_ = decoder.Decode(&value) // it is JSON, or nothing
	sum := sha256.Sum256(mustJSON([]any{request, subject, value}))
	return hex.EncodeToString(sum[:16])
}
