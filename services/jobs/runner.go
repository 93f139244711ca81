package jobs

import (
	"context"
	"encoding/json"

	"github.com/google/uuid"

	"uaol/services"
)

// Runner runs saved workflows for those who know them by their names alone, as the MCP
// endpoint's clients do: Service, or a Client of it.
type Runner interface {
	// Runnable lists the saved workflows that the caller could run now, oldest first.
	Runnable(ctx context.Context, in RunnableRequest) ([]Runnable, error)
	// Begin makes a job of one. Kinds: Invalid with the faults of the input, NotFound,
	// Insufficient, also with proxy.CodeTooDear, Conflict for a key of another request.
	Begin(ctx context.Context, in BeginRequest) (Standing, error)
	// Standing tells how a job stands, as soon as that is news. Kinds: NotFound, Forbidden.
	Standing(ctx context.Context, in StandingRequest) (Standing, error)
	// Answer decides about a step that waits for somebody. Kinds as Service.Decide's.
	Answer(ctx context.Context, in AnswerRequest) error
	// Stop asks for a job's end; one that has ended stays as it is.
	Stop(ctx context.Context, in StandingRequest) error
}

// RunnableRequest asks what a caller could run.
type RunnableRequest struct {
	Caller services.Caller `json:"caller"`
}

// Runnable is a saved workflow as somebody may run it.
type Runnable struct {
	ID          uuid.UUID       `json:"id"`
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Version     int64           `json:"version"`
	Input       json.RawMessage `json:"input"` // a JSON Schema
	Cost        int64           `json:"cost"`  // credits of the steps whose number is known beforehand
	Open        bool            `json:"open"`  // others may cost more
}

// BeginRequest runs the newest version of a saved workflow.
type BeginRequest struct {
	Caller   services.Caller `json:"caller"`
	Workflow uuid.UUID       `json:"workflow"`
	Input    json.RawMessage `json:"input,omitempty"`
	Key      string          `json:"key,omitempty"`     // of the request: the same one makes the same job
	MaxCost  *int64          `json:"maxCost,omitempty"` // credits
}

// StandingRequest names a job. With After it asks for something newer than that, and
// waits for it, up to Wait.
type StandingRequest struct {
	Caller services.Caller `json:"caller"`
	Job    uuid.UUID       `json:"job"`
	After  string          `json:"after,omitempty"` // a Standing's Mark
	Wait   int64           `json:"wait,omitempty"`  // milliseconds, at most MostWait
}

// MostWait is how long Standing waits at most, in milliseconds.
const MostWait = 20_000

// Standing is how a job stands.
type Standing struct {
	Job       JobState      `json:"job"`
	CreatedAt services.Time `json:"createdAt"`
	ChangedAt services.Time `json:"changedAt"`
	Mark      string        `json:"mark"`    // another one when something has changed
	Steps     int           `json:"steps"`   // in the workflow
	Done      int           `json:"done"`    // of them that have ended
	Credits   int64         `json:"credits"` // that its own steps have cost so far
	Children  bool          `json:"children,omitempty"`
	Newest    string        `json:"newest,omitempty"` // what was done last, in words
	Asks      []Ask         `json:"asks,omitempty"`   // what somebody has to approve
}

// Ask is a step that waits for somebody's approval.
type Ask struct {
	Key     string `json:"key"` // of this question, among all that the job ever asks
	Step    string `json:"step"`
	Item    *int   `json:"item,omitempty"`
	Message string `json:"message,omitempty"`
	Call    *Call  `json:"call,omitempty"`
	Digest  string `json:"digest,omitempty"` // of the call
}

// AnswerRequest is somebody's decision about an Ask.
type AnswerRequest struct {
	Caller  services.Caller `json:"caller"`
	Job     uuid.UUID       `json:"job"`
	Step    string          `json:"step"`
	Item    *int            `json:"item,omitempty"`
	Digest  string          `json:"digest,omitempty"`
	Approve bool            `json:"approve"`
}
