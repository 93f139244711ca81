package jobs

import (
	"encoding/json"

	"github.com/google/uuid"

	"uaol/services"
	"uaol/services/jobs/workflow"
)

// Status is where a job or a step stands.
type Status string

// The statuses of jobs, in the contract's words, and those that only steps have.
const (
	Queued    Status = "Queued"
	Running   Status = "Running"
	Retrying  Status = "Retrying" // waits for its next attempt
	Success   Status = "Success"
	Failed    Status = "Failed"
	Cancelled Status = "Cancelled"

	Pending Status = "Pending" // a step whose turn has not come
	Waiting Status = "Waiting" // a step that waits for somebody, or a moment
	Unknown Status = "Unknown" // a step that may have reached its tool; somebody has to decide
	Skipped Status = "Skipped" // a step whose turn will not come
)

// Ended reports whether a job or a step stays as it is.
func (s Status) Ended() bool {
	return s == Success || s == Failed || s == Cancelled || s == Skipped
}

// Job is one run of a workflow.
type Job struct {
	ID           uuid.UUID       `json:"job_id" db:"job_id"`
	Account      uuid.UUID       `json:"user_id" db:"account_id"`
	Organization uuid.UUID       `json:"-" db:"organization_id"`
	Definition   json.RawMessage `json:"workflow_definition" db:"definition"`
	Workflow     *uuid.UUID      `json:"workflow_id,omitempty" db:"workflow_id" doc:"the saved workflow that it was made of"`
	Version      *int64          `json:"workflow_version,omitempty" db:"workflow_version"`
	Status       Status          `json:"status" db:"status"`
	StartTime    *services.Time  `json:"start_time" db:"start_time"`
	EndTime      *services.Time  `json:"end_time" db:"end_time"`
	FinalOutput  json.RawMessage `json:"final_output" db:"output" doc:"each step's result by its id, or what the definition says; null until the job has succeeded"`
	ErrorMessage *string         `json:"error_message" db:"error_message"`
	RetryCount   int             `json:"retry_count" db:"retry_count"`
	CreatedAt    services.Time   `json:"created_at" db:"created_at"`
	UpdatedAt    services.Time   `json:"updated_at" db:"updated_at"`

	// Of one job that is asked for, not of lists.
	Input json.RawMessage `json:"input,omitempty" db:"-" doc:"what {{input}} stands for"`
}

// StepState is one step of a job as far as it has come.
type StepState struct {
	ID        string          `json:"id"`
	Kind      workflow.Kind   `json:"kind"`
	Item      *int            `json:"item,omitempty" doc:"of for_each, from 0"`
	ToolID    uuid.UUID       `json:"tool_id"`
	Version   int64           `json:"tool_version"`
	Action    string          `json:"action"`
	DependsOn []string        `json:"depends_on,omitempty" doc:"what it waits for, said or not; not of items"`
	Price     int64           `json:"credits"`
	Status    Status          `json:"status"`
	Attempt   int             `json:"attempt"`
	Result    json.RawMessage `json:"result"`
	Error     *string         `json:"error"`
	StartTime *services.Time  `json:"start_time"`
	EndTime   *services.Time  `json:"end_time"`
	// Of a step that waits.
	WaitsUntil *services.Time `json:"waits_until,omitempty"`
	Asks       *question      `json:"asks,omitempty" doc:"what somebody is asked to approve"`
}
