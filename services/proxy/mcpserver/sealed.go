package mcpserver

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
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
	return base64.RawURLEncoding.EncodeToString(e.ring.Seal(id[:], "mcp question/"+caller.Account.String()))
}

func (e *Endpoint) questionOf(caller services.Caller, id json.RawMessage) (uuid.UUID, error) {
	var text string
	if err := json.Unmarshal(id, &text); err != nil {
		return uuid.Nil, err
	}
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return uuid.Nil, err
	}
	plain, err := e.ring.Open(sealed, "mcp question/"+caller.Account.String())
	if err != nil {
		return uuid.Nil, err
	}
	return uuid.FromBytes(plain)
}

// round is what a client of the stateless protocol carries from one round of a request
// to the next.
type round struct {
	Tool   uuid.UUID       `json:"t"`
	About  string          `json:"a"`           // digest of what was asked of it
	State  json.RawMessage `json:"s,omitempty"` // the tool's own, of the stateless protocol
	Parked uuid.UUID       `json:"p,omitzero"`  // the call that goes on at a tool with sessions
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
	return base64.RawURLEncoding.EncodeToString(e.ring.Seal(mustJSON(r), roundBond(caller)))
}

var errRound = services.Errorf(services.Invalid, "requestState is not of this request, was changed, or is too old; begin again without it")

// openRound reads a round's state, which must be the caller's and of the same request.
// Kind Invalid.
func (e *Endpoint) openRound(caller services.Caller, state string, tool uuid.UUID, about string) (r round, err error) {
	sealed, err := base64.RawURLEncoding.DecodeString(state)
	if err != nil {
		return r, errRound
	}
	text, err := e.ring.Open(sealed, roundBond(caller))
	if err != nil || json.Unmarshal(text, &r) != nil || r.Tool != tool || r.About != about || time.Since(time.Unix(r.At, 0)) > roundFor {
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
