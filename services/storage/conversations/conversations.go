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

// Book is what the gateway sees of conversations.
type Book interface {
	// Recall gives a conversation's newest messages, oldest first. Kind NotFound for
	// another's too.
	Recall(ctx context.Context, in RecallRequest) (Recalled, error)
	// Add adds a turn to a conversation, which it makes if it is not there yet. A turn
	// that was added before is left as it is. Kind NotFound for another's conversation.
	Add(ctx context.Context, in AddRequest) error
}

// RecallRequest asks for at most so many messages and, if it is not nil, for the turn.
type RecallRequest struct {
	Caller       services.Caller `json:"caller"`
	Conversation uuid.UUID       `json:"conversation"`
	Turn         uuid.UUID       `json:"turn,omitzero"`
	Limit        int             `json:"limit"`
}

// Recalled is what was said before, and the turn that was asked for, if it is there.
type Recalled struct {
	Messages []Message `json:"messages"`
	Turn     []Message `json:"turn,omitempty"`
}

// AddRequest is a turn.
type AddRequest struct {
	Caller       services.Caller `json:"caller"`
	Conversation uuid.UUID       `json:"conversation"`
	Title        string          `json:"title"` // of a new one
	Turn         uuid.UUID       `json:"turn"`
	Messages     []Message       `json:"messages"` // role, content and details
}
