package console

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"time"
)

// step is one step of a job as far as it has come.
type step struct {
	ID        string          `json:"id"`
	Kind      string          `json:"kind"`
	Item      *int            `json:"item"`
	Tool      string          `json:"tool_id"`
	Action    string          `json:"action"`
	DependsOn []string        `json:"depends_on"`
	Credits   int64           `json:"credits"`
	Status    string          `json:"status"`
	Attempt   int             `json:"attempt"`
	Result    json.RawMessage `json:"result"`
	Error     *string         `json:"error"`
	Start     *time.Time      `json:"start_time"`
	End       *time.Time      `json:"end_time"`
	Until     *time.Time      `json:"waits_until"`
	Asks      *question       `json:"asks"`
}

// question is what somebody is asked to approve.
type question struct {
	Expires time.Time       `json:"expires_at"`
	Message string          `json:"message"`
	Call    json.RawMessage `json:"call"`
	Digest  string          `json:"digest"`
	Child   string          `json:"job_id"` // it waits for this job instead
}

// Does is what the step does, in a word or two.
func (s step) Does() string {
	if s.Action != "" {
		return s.Action
	}
	return s.Kind
}

// Tone is how its status looks: a step whose turn has not come waits for nobody.
func (s step) Tone() string {
	if s.Status == "Pending" {
		return "calm"
	}
	return tone(s.Status)
}

// Found reports whether the step has a result.
func (s step) Found() bool { return says(s.Result) }

// Decides reports whether somebody is waited for.
func (s step) Decides() bool {
	return s.Status == "Unknown" || s.Status == "Waiting" && s.Asks != nil && s.Asks.Child == ""
}

// Paid is what the step has cost; what did not succeed costs nothing.
func (s step) Paid() int64 {
	if s.Status == "Success" {
		return s.Credits
	}
	return 0
}

// Needs are the steps that it waits for, as the graph reads them.
func (s step) Needs() string { return strings.Join(s.DependsOn, " ") }

// bar is when a step ran, in thousandths of the time that the job took.
type bar struct {
	Step  step
	From  int
	Width int
	Took  string
}

type jobData struct {
	Job   job
	Steps []step // as the definition has them, items of lists left out
	Items []step
	Bars  []bar
	Took  string
	Paid  int64
	Tools map[string]string // their names by their ids
	Curl  string
}

func jobPage(v *visit) (view, error) {
	var data jobData
	var steps []step
	id := v.r.PathValue("job")
	err := together(
		func() error { return v.get(path(nil, "jobs", id), &data.Job) },
		func() error { return v.get(path(nil, "jobs", id, "steps"), &steps) },
	)
	if err != nil {
		return view{}, err
	}
	for _, s := range steps {
		data.Paid += s.Paid()
		if s.Item == nil {
			data.Steps = append(data.Steps, s)
		} else {
			data.Items = append(data.Items, s)
		}
	}
	if len(data.Items) > mostItems {
		data.Items = data.Items[:mostItems]
	}
	data.Bars = bars(data.Job, data.Steps)
	if data.Job.Ended() {
		data.Took = tookText(data.Job.Start, data.Job.End)
	}
	data.Tools = v.names(data.Steps)
	data.Curl = "curl -s " + v.console.base(v.r) + "/jobs/" + id + "/steps -H \"X-API-Key: $KEY\""
	return view{
		Template: "job", Title: "Job " + shortened(id), Section: "jobs", Data: data,
		Every: jobEvery, Follow: path(nil, "jobs", id, "events"), Over: data.Job.Ended(),
	}, nil
}

const (
	jobEvery  = 5 * time.Second // events come in between
	mostItems = 200             // of for_each that are shown
)

// bars puts the steps that have begun on one line of time, which ends now if the job goes on.
func bars(j job, steps []step) []bar {
	if j.Start == nil {
		return nil
	}
	begun, ended := *j.Start, time.Now()
	for _, s := range steps { // the clocks of several processes may differ a little
		if s.Start != nil && s.Start.Before(begun) {
			begun = *s.Start
		}
	}
	if j.Ended() && j.End != nil {
		ended = *j.End
	}
	whole := max(ended.Sub(begun), time.Millisecond)
	var all []bar
	for _, s := range steps {
		if s.Start == nil {
			continue
		}
		until := ended
		if s.End != nil {
			until = *s.End
		}
		from := thousandths(s.Start.Sub(begun), whole)
		one := bar{Step: s, From: from, Width: max(4, thousandths(until.Sub(begun), whole)-from)}
		if s.End != nil {
			one.Took = durationText(s.End.Sub(*s.Start))
		}
		all = append(all, one)
	}
	slices.SortStableFunc(all, func(a, b bar) int { return a.From - b.From })
	return all
}

func thousandths(part, whole time.Duration) int {
	return min(1000, max(0, int(math.Round(1000*float64(part)/float64(whole)))))
}

// names looks the tools of steps up; those that can't be seen any more have none.
func (v *visit) names(steps []step) map[string]string {
	names := map[string]string{}
	for _, s := range steps {
		if s.Kind != "tool" || names[s.Tool] != "" || len(names) == mostNames {
			continue
		}
		var tool struct {
			Name string `json:"name"`
		}
		if v.get(path(nil, "tools", s.Tool), &tool) == nil {
			names[s.Tool] = tool.Name
		}
	}
	return names
}

// mostNames bounds what one page looks up.
const mostNames = 20
