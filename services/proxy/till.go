package proxy

import (
	"context"
	"time"

	"github.com/google/uuid"

	"uaol/providers/upstream"
	"uaol/services"
	"uaol/services/billing"
)

// Outcome is how a call ended.
type Outcome string

// The outcomes.
const (
	Succeeded Outcome = "success"
	Failed    Outcome = "failed"  // the tool, or the way to it; not charged
	Refused   Outcome = "refused" // by us, before anything left; not charged
	Unknown   Outcome = "unknown" // nobody knows whether the tool acted; charged
	Asked     Outcome = "asked"   // the tool wants something first, and then the same call again; not charged
)

// Call is the record of one call. Of its arguments it has what they look like,
// never what they are.
type Call struct {
	ID           uuid.UUID     `json:"callId" db:"call_id"`
	Organization uuid.UUID     `json:"organizationId" db:"organization_id"`
	Account      uuid.UUID     `json:"accountId" db:"account_id"`
	Key          *uuid.UUID    `json:"keyId" db:"key_id"`
	ToolID       uuid.UUID     `json:"toolId" db:"tool_id"`
	Version      int64         `json:"version" db:"version"`
	Method       string        `json:"method" db:"method"`
	Digest       string        `json:"argumentsDigest" db:"digest"`
	Shape        string        `json:"argumentsShape" db:"shape"`
	Outcome      Outcome       `json:"outcome" db:"outcome"`
	Code         string        `json:"code" db:"code"` // of the error
	Latency      time.Duration `json:"-" db:"-"`
	BytesOut     int64         `json:"bytesOut" db:"bytes_out"` // to the tool
	BytesIn      int64         `json:"bytesIn" db:"bytes_in"`   // from it
	Credits      int64         `json:"credits" db:"credits"`    // charged here; a job's steps are charged by their job
	JobID        *uuid.UUID    `json:"jobId" db:"job_id"`
	Step         string        `json:"step" db:"step"`
	TraceID      string        `json:"traceId" db:"trace_id"`
	At           time.Time     `json:"-" db:"-"`

	// Pin is the digest that the method's definition was approved with.
	Pin string `json:"pin,omitempty" db:"-"`

	// Said is the tool's own JSON-RPC error, if that was the answer.
	Said *upstream.RPCError `json:"-" db:"-"`

	// Caller is who pays: Open needs more of it than the record keeps.
	Caller services.Caller `json:"-" db:"-"`
}

// charge is what the call costs, with what it was for.
func (c Call) charge(amount int64) billing.Charge {
	facts := billing.Facts{Version: c.Version, Method: c.Method, Pin: c.Pin, Trace: c.TraceID}
	if c.Outcome != Succeeded {
		facts.Outcome = string(c.Outcome)
	}
	return billing.Charge{Operation: c.ID.String(), Amount: amount, Tool: c.ToolID, Facts: facts}
}

// Till charges and records calls.
type Till interface {
	// Open holds the call's price durably, with the call as the hold's memo, so
	// that whoever finds the hold unended can record the call. A price of 0
	// touches no ledger. Afterwards Credits is what is held, and ID the hold's;
	// it is made if the call has none. Kinds as of billing.Meter.Hold.
	Open(ctx context.Context, call *Call, price int64) error
	// Close records a call with its Outcome. What Open held is settled in the
	// background for Succeeded and Unknown; for others it is released before
	// Close returns, and Credits is 0. It outlives ctx. A call that Open refused
	// is closed too: its record says that no hold of it stands for a call.
	Close(ctx context.Context, call *Call)
}
