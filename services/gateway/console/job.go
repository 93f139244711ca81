package console

import (
	"encoding/json"
	"time"
)

// step is one step of a job as far as it has come.
type step struct {
	ID      string          `json:"id"`
	Kind    string          `json:"kind"`
	Item    *int            `json:"item"`
	Tool    string          `json:"tool_id"`
	Action  string          `json:"action"`
	Credits int64           `json:"credits"`
	Status  string          `json:"status"`
	Attempt int             `json:"attempt"`
	Result  json.RawMessage `json:"result"`
	Error   *string         `json:"error"`
	Start   *time.Time      `json:"start_time"`
	End     *time.Time      `json:"end_time"`
	Until   *time.Time      `json:"waits_until"`
	Asks    json.RawMessage `json:"asks"`
}
