package workflow

import (
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Kind is what a step does.
type Kind string

// The kinds of steps. A definition that names none means a Tool.
const (
	Tool     Kind = "tool"     // calls a tool's method
	LLM      Kind = "llm"      // asks a language model
	Approval Kind = "approval" // waits until a person has decided
	Sleep    Kind = "sleep"    // waits until a time
	Child    Kind = "workflow" // runs another workflow
)

// OnError is what becomes of the job when a step has failed for good.
type OnError string

// What may be done about a failed step.
const (
	Fail       OnError = "fail"       // the job fails
	Continue   OnError = "continue"   // the job goes on as if it had succeeded, without a result
	Compensate OnError = "compensate" // the job fails after Step.Compensate has been run
)

// Definition is a workflow that was found good. Nothing in it changes after
// Parse, so goroutines share it; who reads it leaves it as it is.
type Definition struct {
	Steps   []Step
	Output  *Template     // nil: each step's result by its id
	Timeout time.Duration // of the whole job; 0: none

	index    map[string]int
	outdated bool
	reads    []inputRead // without which no job succeeds
	mentions []inputRead // all of them
}

// Outdated reports whether Parse would refuse it today.
func (d *Definition) Outdated() bool { return d.outdated }

// Index finds a step by its id.
func (d *Definition) Index(id string) (int, bool) {
	i, ok := d.index[id]
	return i, ok
}

// Step is one step. The member of its kind is set, those of other kinds are nil.
type Step struct {
	ID   string
	Kind Kind

	// Needs are the steps it waits for: said, referred to, read by conditions, or
	// because of an approval; sorted, each once. NeededBy is the reverse, with
	// the compensation steps that refer to this one.
	Needs, NeededBy []int

	Tool     *ToolCall
	LLM      *Prompt
	Approval *Approve
	Sleep    *Pause
	Child    *ChildRun

	Certain        bool          // a job that succeeds has run it
	ApprovedBy     int           // the approval step that guards this one; -1: none
	When           *Condition    // nil: always
	ForEach        *ForEach      // nil: once
	Retry          Retry         // with the defaults in place of what was not said
	Timeout        time.Duration // 0: none
	OnError        OnError
	Compensate     int       // the step that undoes this one when it has failed; -1: none
	Compensation   bool      // it runs only after a step that names it has failed
	IdempotencyKey *Template // nil: none
}

// ToolCall is what a Tool step calls.
type ToolCall struct {
	ToolID     uuid.UUID
	Action     string
	Parameters *Template // of an object, {} when there are none
}

// Prompt is what an LLM step asks.
type Prompt struct {
	Provider, Model string // "" leaves the choice
	System          *Template
	Prompt          *Template
	MaxTokens       int      // 0: the model's own
	Temperature     *float64 // nil: the model's own
}

// Approve is what an Approval step waits for.
type Approve struct {
	Approves  int       // the step whose call is shown; -1: none, then there is a message
	Message   *Template // may be nil when there is a step
	ExpiresIn time.Duration
}

// ChildRun is what a Child step runs.
type ChildRun struct {
	WorkflowID uuid.UUID
	Version    int64     // 0: the one in force when the step begins
	Input      *Template // nil: none was said
}

// ForEach runs a step once for each item of a list.
type ForEach struct {
	Items    *Template
	Limit    int // most items; more are an error
	Parallel int // at most so many at once
}

const at = "body.workflow_definition"

// StepPath is where faults of a step are reported.
func StepPath(i int) string { return fmt.Sprintf("%s.steps[%d]", at, i) }
