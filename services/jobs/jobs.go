package jobs

import (
	"encoding/json"

	"github.com/google/uuid"

	"uaol/services"
)

// Status is where a job or a step stands.
type Status string

// The statuses of jobs, in the contract's words, and those that only steps have.
const (
	Queued    Status = "Queued"
	Running   Status = "Running"
	Retrying  Status = "Retrying"
	Success   Status = "Success"
	Failed    Status = "Failed"
	Cancelled Status = "Cancelled"

	Pending Status = "Pending" // a step whose turn has not come
	Skipped Status = "Skipped" // a step whose turn will not come
)

// Ended reports whether a job stays as it is.
func (s Status) Ended() bool { return s == Success || s == Failed || s == Cancelled }

// Job is one run of a workflow.
type Job struct {
	ID           uuid.UUID       `json:"job_id" db:"job_id"`
	Account      uuid.UUID       `json:"user_id" db:"account_id"`
	Organization uuid.UUID       `json:"-" db:"organization_id"`
	Definition   json.RawMessage `json:"workflow_definition" db:"workflow_definition"`
	Status       Status          `json:"status" db:"status"`
	StartTime    *services.Time  `json:"start_time" db:"start_time"`
	EndTime      *services.Time  `json:"end_time" db:"end_time"`
	FinalOutput  json.RawMessage `json:"final_output" db:"final_output" doc:"each step's result by its id; null until the job has succeeded"`
	ErrorMessage *string         `json:"error_message" db:"error_message"`
	RetryCount   int             `json:"retry_count" db:"retry_count"`
	CreatedAt    services.Time   `json:"created_at" db:"created_at"`
	UpdatedAt    services.Time   `json:"updated_at" db:"updated_at"`
}

// StepState is one step of a job as far as it has come.
type StepState struct {
	ID        string          `json:"id" db:"step_id"`
	ToolID    uuid.UUID       `json:"tool_id" db:"tool_id"`
	Version   int64           `json:"tool_version" db:"tool_version"`
	Action    string          `json:"action" db:"action"`
	Price     int64           `json:"credits" db:"price"`
	Status    Status          `json:"status" db:"status"`
	Attempt   int             `json:"attempt" db:"attempt"`
	Result    json.RawMessage `json:"result" db:"result"`
	Error     *string         `json:"error" db:"error"`
	StartTime *services.Time  `json:"start_time" db:"start_time"`
	EndTime   *services.Time  `json:"end_time" db:"end_time"`
}
