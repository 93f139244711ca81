// Package minutes is what services share that count by the minute: what may be asked of
// such counts, the buckets of an answer, and the shards of their rows.
//
// A table of counts is written by the statement that writes what it counts: both are
// there or neither, and what is written once is counted once. Its rows are an
// organisation's, a minute's and a shard's; whoever reads adds the shards up.
package minutes

import (
	"fmt"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"uaol/services"
)

// Kept is how long counts are there: a week, and the rest of the longest bucket that
// begins a week ago.
const Kept = 8 * 24 * time.Hour

// Most is how many buckets an answer may have.
const Most = 500

// Scope is whose counts are added up.
type Scope string

// The scopes.
const (
	Organization Scope = "organization" // the one that the request is for
	Platform     Scope = "platform"     // all of them
)

// Query is what an operation that shows counts is asked, to be embedded in its input.
type Query struct {
	From  time.Time `query:"from" doc:"an hour before to by default; the first bucket is the one that it lies in, and begins at most 8 days ago: counts are not kept longer"`
	To    time.Time `query:"to" doc:"not included; now by default. The last bucket reaches to it or beyond"`
	Step  Step      `query:"step" default:"60" doc:"seconds of a bucket; they begin at multiples of it, in UTC, and may be 500"`
	Scope Scope     `query:"scope" default:"organization" enum:"organization,platform" doc:"platform is for platform admins: all organisations together"`
}

// Step is the length of a bucket, in seconds.
type Step int64

var steps = []any{int64(60), int64(300), int64(600), int64(1800), int64(3600), int64(21600), int64(86400)}

// Schema implements huma.SchemaProvider: the numbers of a tag's enum would be compared as
// fractions, which no parameter is equal to.
func (Step) Schema(huma.Registry) *huma.Schema {
	schema := &huma.Schema{Type: huma.TypeInteger, Format: "int64", Enum: steps}
	schema.PrecomputeMessages()
	return schema
}

// Window is what a Query comes to: buckets of a length, without gaps.
type Window struct {
	All          bool      // organisations together; otherwise
	Organization uuid.UUID // this one
	From, To     time.Time // multiples of Step; To is not included
	Step         time.Duration
}

// Window says what a caller gets. Kinds: Forbidden for the platform's counts, except for
// its admins; Invalid, with the path of the fault, for a span that is empty, not kept any
// more, or of too many buckets.
func (q Query) Window(caller services.Caller, now time.Time) (Window, error) {
	w := Window{Organization: caller.Organization, Step: time.Duration(q.Step) * time.Second}
	if q.Scope == Platform {
		if !caller.Admin() {
			return Window{}, services.Errorf(services.Forbidden, "Only a platform admin sees the counts of all organisations")
		}
		w.All = true
	}
	from, to := q.From, q.To
	if to.IsZero() {
		to = now
	}
	if from.IsZero() {
		from = to.Add(-time.Hour)
	}
	if !from.Before(to) {
		return Window{}, services.Faults(services.Fault{Path: "query.to", Message: "must be after from"})
	}
	// In whole seconds: a duration can't hold any two times.
	step := int64(q.Step)
	first, end := from.Unix()-mod(from.Unix(), step), to.Unix()
	if to.Nanosecond() > 0 {
		end++
	}
	end += mod(-end, step)
	w.From, w.To = time.Unix(first, 0).UTC(), time.Unix(end, 0).UTC()
	if n := (end - first) / step; n > Most {
		return Window{}, services.Faults(services.Fault{Path: "query.step", Message: fmt.Sprintf("makes %d buckets; there may be %d", n, Most)})
	}
	if w.From.Before(now.Add(-Kept)) {
		return Window{}, services.Faults(services.Fault{Path: "query.from", Message: "is too long ago: counts are kept for 8 days"})
	}
	return w, nil
}

// mod is what is left over, from 0, also of moments before 1970.
func mod(n, by int64) int64 { return (n%by + by) % by }

// Starts are the moments that the buckets begin at, oldest first.
func (w Window) Starts() []services.Time {
	starts := make([]services.Time, 0, w.To.Sub(w.From)/w.Step)
	for at := w.From; at.Before(w.To); at = at.Add(w.Step) {
		starts = append(starts, services.Time{Time: at})
	}
	return starts
}

// Place is where the bucket of a moment stands in Starts.
func (w Window) Place(at time.Time) int { return int(at.Sub(w.From) / w.Step) }

// Seconds is the length of a bucket.
func (w Window) Seconds() int64 { return int64(w.Step / time.Second) }
