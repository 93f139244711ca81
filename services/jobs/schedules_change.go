package jobs

import (
	"encoding/json"

	"github.com/google/uuid"

	"uaol/services"
)

// ScheduleChange is what a schedule shall be; what is not said stays, or is the
// default.
type ScheduleChange struct {
	Cron       *string         `json:"cron,omitempty" maxLength:"200" doc:"five fields, or @hourly, @daily, @weekly, @monthly, @yearly"`
	TimeZone   *string         `json:"time_zone,omitempty" maxLength:"100" doc:"its IANA name; else UTC"`
	Missed     *Missed         `json:"missed,omitempty" enum:"skip,once,all" doc:"of moments at which nothing ran: none (else), one for all, or each"`
	Workflow   *uuid.UUID      `json:"workflow_id,omitempty" format:"uuid" doc:"a saved workflow"`
	Version    *int64          `json:"workflow_version,omitempty" minimum:"0" doc:"of the saved workflow; 0, and else: whichever is the newest then"`
	Definition json.RawMessage `json:"workflow_definition,omitempty" doc:"instead of a saved one"`
	Input      json.RawMessage `json:"input,omitempty" doc:"what {{input}} stands for; an object gets the member scheduled_at"`
	Priority   *int            `json:"priority,omitempty" minimum:"-100" maximum:"100"`
	Turn       *string         `json:"concurrency_key,omitempty" maxLength:"200" doc:"\"\" for none"`
	Callback   *string         `json:"callback_url,omitempty" maxLength:"2000" doc:"\"\" for none"`
	Metadata   json.RawMessage `json:"metadata,omitempty" doc:"of its jobs"`
	Enabled    *bool           `json:"enabled,omitempty"`
}

// apply changes what is said.
func (in *ScheduleChange) apply(to *Schedule) (faults []services.Fault) {
	set(&to.Cron, in.Cron)
	set(&to.TimeZone, in.TimeZone)
	set(&to.Missed, in.Missed)
	set(&to.Priority, in.Priority)
	set(&to.Enabled, in.Enabled)
	setText(&to.Turn, in.Turn)
	setText(&to.Callback, in.Callback)
	setJSON(&to.Input, in.Input)
	setJSON(&to.Metadata, in.Metadata)
	if given(in.Definition) && in.Workflow != nil {
		faults = append(faults, services.Fault{Path: "body.workflow_id", Message: "goes not together with workflow_definition"})
	}
	switch {
	case given(in.Definition):
		to.Definition, to.Workflow, to.Version = in.Definition, nil, nil
	case in.Workflow != nil:
		to.Definition, to.Workflow, to.Version = nil, in.Workflow, nil
	}
	if in.Version != nil && to.Workflow == nil {
		faults = append(faults, services.Fault{Path: "body.workflow_version", Message: "goes only with workflow_id"})
	} else if in.Version != nil {
		if to.Version = in.Version; *in.Version == 0 {
			to.Version = nil
		}
	}
	return faults
}

func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

// setText takes "" for none.
func setText(to **string, from *string) {
	if from == nil {
		return
	}
	if *to = from; *from == "" {
		*to = nil
	}
}

// setJSON takes null for none.
func setJSON(to *json.RawMessage, from json.RawMessage) {
	if len(from) == 0 {
		return
	}
	if *to = from; !given(from) {
		*to = nil
	}
}
