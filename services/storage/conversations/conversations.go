// Package conversations keeps what people and models have said to each other. A
// conversation is its account's own, in one organisation. The gateway, which leads
// them, adds to them turn by turn: a turn is what somebody said and all that was said
// in answer.
package conversations

import (
	"context"
	"encoding/json"

	"github.com/google/uuid"

	"uaol/services"
)

// Conversation is what is known of one.
type Conversation struct {
	ID           uuid.UUID     `json:"conversationId" db:"conversation_id"`
	Account      uuid.UUID     `json:"-" db:"account_id"`
	Organization uuid.UUID     `json:"-" db:"organization_id"`
	Title        string        `json:"title" db:"title"`
	LastSeq      int           `json:"messages" db:"last_seq" doc:"how many there are"`
	CreatedAt    services.Time `json:"createdAt" db:"created_at"`
	UpdatedAt    services.Time `json:"updatedAt" db:"updated_at"`
}

// Role is who said something.
type Role string

// The roles.
const (
	User      Role = "user"
	Assistant Role = "assistant"
	Tool      Role = "tool"
)

// Message is what somebody said.
type Message struct {
	Seq       int             `json:"seq" db:"seq"`
	Turn      uuid.UUID       `json:"turnId" db:"turn_id"`
	Role      Role            `json:"role" db:"role"`
	Content   string          `json:"content" db:"content"`
	Details   json.RawMessage `json:"details,omitempty" db:"details"`
	CreatedAt services.Time   `json:"createdAt" db:"created_at"`
}

// Book is what the gateway sees of conversations. A turn is begun, answered and
// finished; one turn of a conversation is answered at a time.
type Book interface {
	// Begin adds what a turn begins with, unless it is there already, and claims the
	// turn's answer for a minute. A turn that was answered is not claimed: its answer is
	// given. Kinds: NotFound for a conversation that is not there, unless it is to be
	// made, or that is another's; Conflict while a turn of it is being answered.
	Begin(ctx context.Context, in BeginRequest) (Begun, error)
	// Renew prolongs a claim, from now on for a minute. Kind Conflict when it is over.
	Renew(ctx context.Context, in Claim) error
	// Finish adds what was said in answer and ends the claim. Without messages the turn
	// was none: what it began with is removed. Kind Conflict when the claim is over.
	Finish(ctx context.Context, in FinishRequest) error
}

// BeginRequest is the beginning of a turn.
type BeginRequest struct {
	Caller       services.Caller `json:"caller"`
	Conversation uuid.UUID       `json:"conversation"`
	New          bool            `json:"new,omitempty"` // it is made if it is not there
	Title        string          `json:"title,omitempty"`
	Turn         uuid.UUID       `json:"turn"`
	Messages     []Message       `json:"messages"` // role, content and details
	History      int             `json:"history"`  // how many messages before the turn are wanted
}

// Begun is a turn whose answer is claimed, or was given before.
type Begun struct {
	Claim   uuid.UUID `json:"claim,omitzero"`
	Again   bool      `json:"again,omitempty"`   // it was begun before, and came to no end
	History []Message `json:"history,omitempty"` // what was said before the turn, oldest first
	Opening []Message `json:"opening,omitempty"` // what it was begun with, when that was before
	Answer  []Message `json:"answer,omitempty"`  // what was said in answer, when it was answered before
}

// Claim is somebody's right to answer.
type Claim struct {
	Caller       services.Caller `json:"caller"`
	Conversation uuid.UUID       `json:"conversation"`
	Claim        uuid.UUID       `json:"claim"`
}

// FinishRequest is a turn's answer.
type FinishRequest struct {
	Claim
	Turn     uuid.UUID `json:"turn"`
	Messages []Message `json:"messages"`
}
