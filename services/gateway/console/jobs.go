package console

import (
	"encoding/json"
	"time"
)

// job is a job as lists show it.
type job struct {
	ID         string          `json:"job_id"`
	Definition json.RawMessage `json:"workflow_definition"`
	Workflow   string          `json:"workflow_id"`
	Version    int64           `json:"workflow_version"`
	Status     string          `json:"status"`
	Start      *time.Time      `json:"start_time"`
	End        *time.Time      `json:"end_time"`
	Output     json.RawMessage `json:"final_output"`
	Error      *string         `json:"error_message"`
	Retries    int             `json:"retry_count"`
	Created    time.Time       `json:"created_at"`
}

// Ended reports whether nothing of it will change by itself.
func (j job) Ended() bool {
	return j.Status == "Success" || j.Status == "Failed" || j.Status == "Cancelled"
}

// Says is what the job does, by its steps.
func (j job) Says() string {
	var definition struct {
		Name  string `json:"name"`
		Steps []struct {
			ID     string `json:"id"`
			Action string `json:"action"`
		} `json:"steps"`
	}
	if json.Unmarshal(j.Definition, &definition) != nil {
		return ""
	}
	said := ""
	for i, s := range definition.Steps {
		if i == 3 {
			return said + " and " + plural(len(definition.Steps)-3, "more step")
		}
		if i > 0 {
			said += " → "
		}
		if s.Action != "" {
			said += s.Action
		} else {
			said += s.ID
		}
	}
	return said
}

// waitingStep is a step that waits for somebody.
type waitingStep struct {
	Job      string    `json:"job_id"`
	Workflow string    `json:"workflow_id"`
	Created  time.Time `json:"created_at"`
	step
}
