package jobs

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"uaol/providers/egress"
	"uaol/services"
)

// Request asks for a job.
type Request struct {
	Definition json.RawMessage `json:"workflow_definition,omitempty" doc:"{steps:[{id,tool_id,action,parameters,depends_on}],metadata}"`
	Workflow   *uuid.UUID      `json:"workflow_id,omitempty" format:"uuid" doc:"a saved workflow, instead of workflow_definition"`
	Version    int64           `json:"workflow_version,omitempty" minimum:"1" doc:"of the saved workflow; else its newest"`
	Input      json.RawMessage `json:"input,omitempty" doc:"what {{input}} stands for"`
	Priority   int             `json:"priority,omitempty" minimum:"-100" maximum:"100" doc:"among the jobs of the same account; higher goes first"`
	RunAt      *time.Time      `json:"run_at,omitempty" doc:"not before then"`
	Timeout    string          `json:"timeout,omitempty" doc:"a duration such as 10m, after which the job has failed"`
	Turn       string          `json:"concurrency_key,omitempty" maxLength:"200" doc:"of the organisation's jobs with the same one, one runs at a time"`
	Callback   string          `json:"callback_url,omitempty" maxLength:"2000" doc:"is told of the job's end, signed"`
	Metadata   json.RawMessage `json:"metadata,omitempty" doc:"an object, to find the job by"`

	// Key tells which requests are the same one.
	Key string `json:"-"`

	most   *int64    // credits that it may cost; nil for any
	was    version   // the saved workflow that Definition was taken from
	id     uuid.UUID // which job it is: one with the same id is the same one, whatever it says
	stands bool      // its callback_url was looked at when somebody gave it; work does not stop for it
	old    bool      // so was its definition
	shared bool      // it has the definition of the whole batch
	saved  bool      // it is no job yet, and will have another input
	saving uuid.UUID // it is another version of that workflow, or nil
}

// say takes over what a request says of the job itself.
func (d *draft) say(in *Request, policy *egress.Policy, at string) (faults []services.Fault) {
	fault := func(member, message string) {
		faults = append(faults, services.Fault{Path: at + "." + member, Message: message})
	}
	if wrong := d.limits(in); wrong != "" {
		fault("timeout", wrong)
	}
	if in.Turn != "" {
		turn := d.Organization.String() + "/" + in.Turn
		d.Turn = &turn
		if in.RunAt != nil {
			fault("run_at", "goes not together with concurrency_key: a job that waits for its moment would let others wait")
		}
	}
	if in.Callback != "" {
		if !in.stands {
			if err := policy.CheckAddress(in.Callback); err != nil {
				fault("callback_url", message(err))
			}
		}
		d.Callback = &in.Callback
	}
	if len(in.Metadata) > 0 && string(in.Metadata) != "null" {
		if in.Metadata[0] != '{' || len(in.Metadata) > mostMetadata {
			fault("metadata", fmt.Sprintf("must be an object of at most %d bytes", mostMetadata))
		}
		d.Metadata = storedText(in.Metadata)
	}
	return faults
}

const mostMetadata = 16 << 10 // bytes

// limits sets until when a job may take.
func (d *draft) limits(in *Request) (fault string) {
	var timeout time.Duration
	if d.workflow != nil { // else there is no job either
		timeout = d.workflow.Timeout
	}
	if in.Timeout != "" {
		said, err := time.ParseDuration(in.Timeout)
		if err != nil || said < time.Second || said > 30*24*time.Hour {
			return "must be a duration such as 10m, of a second to 720h"
		}
		timeout = said
	}
	if timeout > 0 {
		from := time.Now()
		if d.RunAt != nil && d.RunAt.After(from) {
			from = *d.RunAt
		}
		deadline, within := from.Add(timeout), timeout.Milliseconds()
		d.Deadline, d.Within = &deadline, &within
	}
	return ""
}

// digest tells whether a request with the same key is the same.
func (in *Request) digest() []byte {
	text, _ := json.Marshal(in) // it was read from JSON, and comes out compact
	sum := sha256.Sum256(text)
	return sum[:]
}
