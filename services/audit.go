package services

import (
	"context"
	"sync"

	"github.com/google/uuid"
)

// Act is one entry of the audit log: who did what, from where and when, and
// what came of it. It is written twice: before the act, so that nothing is done
// unrecorded, and after it. One without an outcome was cut short.
type Act struct {
	ID           uuid.UUID         `json:"id" db:"act_id"`
	Time         Time              `json:"time" db:"created_at"`
	Action       string            `json:"action" db:"action"` // such as "key.create"
	Account      uuid.UUID         `json:"account,omitzero" db:"account_id"`
	Organization uuid.UUID         `json:"organization,omitzero" db:"organization_id"`
	Key          uuid.UUID         `json:"key,omitzero" db:"key_id"`
	Address      string            `json:"address" db:"address"`
	UserAgent    string            `json:"userAgent" db:"user_agent"`
	RequestID    string            `json:"requestId" db:"request_id"`
	Outcome      Outcome           `json:"outcome" db:"outcome"`
	Details      map[string]string `json:"details" db:"details"`
}

// Outcome is what came of an Act.
type Outcome string

// The outcomes.
const (
	Attempted Outcome = "attempted"
	Done      Outcome = "done"
	Refused   Outcome = "refused"
)

// Auditor keeps the audit log.
type Auditor interface {
	// Record adds an act, or what has become known of it since: one with the
	// same id that was only attempted so far is replaced.
	Record(ctx context.Context, act Act) error
}

type notesKey struct{}

// Notes collects what a handler knows of the act that it carries out.
type Notes struct {
	mu      sync.Mutex
	caller  Caller
	details map[string]string
	refused string
}

// WithNotes gives a request a place for notes.
func WithNotes(ctx context.Context) (context.Context, *Notes) {
	notes := &Notes{details: map[string]string{}}
	return context.WithValue(ctx, notesKey{}, notes), notes
}

// Note adds a detail to the act under way, if it is recorded. Never a secret.
func Note(ctx context.Context, name, value string) {
	if notes, ok := ctx.Value(notesKey{}).(*Notes); ok {
		notes.mu.Lock()
		defer notes.mu.Unlock()
		notes.details[name] = value
	}
}

// NoteCaller says who acts, where only the act itself shows it: signing in.
func NoteCaller(ctx context.Context, caller Caller) {
	if notes, ok := ctx.Value(notesKey{}).(*Notes); ok {
		notes.mu.Lock()
		defer notes.mu.Unlock()
		notes.caller = caller
	}
}

// NoteRefusal says that the act was refused, and why, where the answer's status
// does not show it: a redirect's.
func NoteRefusal(ctx context.Context, code string) {
	if notes, ok := ctx.Value(notesKey{}).(*Notes); ok {
		notes.mu.Lock()
		defer notes.mu.Unlock()
		notes.refused = code
	}
}

// AddTo completes an act with the notes.
func (n *Notes) AddTo(act *Act) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for name, value := range n.details {
		act.Details[name] = value
	}
	if n.refused != "" {
		act.Outcome, act.Details["code"] = Refused, n.refused
	}
	if n.caller.Known() {
		act.Account, act.Organization, act.Key = n.caller.Account, n.caller.Organization, n.caller.Key
	}
}
