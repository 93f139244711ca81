package console

import (
	"math"
	"net/url"
	"strconv"
	"time"

	"uaol/services"
)

func overviewRoutes() []route {
	return []route{see("", overview).forGuests()}
}

// callMinutes and jobMinutes are what the API tells of a span of time.
type callMinutes struct {
	From    time.Time `json:"from"`
	Calls   int64     `json:"calls"`
	Failed  int64     `json:"failed"`
	Refused int64     `json:"refused"`
	Unknown int64     `json:"unknown"`
	Credits int64     `json:"credits"`
	P50     *float64  `json:"p50Ms"`
	P95     *float64  `json:"p95Ms"`
}

type jobMinutes struct {
	From      time.Time `json:"from"`
	Ended     int64     `json:"ended"`
	Succeeded int64     `json:"succeeded"`
	Failed    int64     `json:"failed"`
	Cancelled int64     `json:"cancelled"`
	Credits   int64     `json:"credits"`
}

// span is a range of time that can be looked at, and how finely.
type span struct {
	Name  string
	Title string
	Back  time.Duration
	Step  time.Duration
}

var spans = []span{
	{"hour", "Hour", time.Hour, time.Minute},
	{"day", "Day", 24 * time.Hour, 10 * time.Minute},
	{"week", "Week", 7 * 24 * time.Hour, time.Hour},
}

func spanOf(name string) span {
	for _, s := range spans {
		if s.Name == name {
			return s
		}
	}
	return spans[0]
}

// figure is one row of the overview's table.
type figure struct {
	From            time.Time
	Jobs, JobsBad   int64
	Calls, CallsBad int64
	P50, P95        string
	Credits         int64
}

type overviewData struct {
	Span     span
	Spans    []span
	Platform bool // all organisations together
	Services []serviceState
	Checks   []checkState
	Ready    bool
	Figures  []figure // newest first
	Now      tiles
	Waiting  []waitingStep
	Review   int
	Jobs     []job
	Tools    int
	First    bool // nothing has been done yet
}

// tiles are the figures of the last whole step and of the span.
type tiles struct {
	JobsPerSecond  string
	CallsPerSecond string
	Errors         string // per cent of the span's calls
	P95            string // of the last step in which anything was called
	Credits        int64  // spent in the span
	Jobs           int64
}

type serviceState struct {
	Name  string `json:"name"`
	Here  bool   `json:"here"`
	Ready bool   `json:"ready"`
}

type checkState struct {
	Name  string `json:"name"`
	OK    bool   `json:"ok"`
	Error string `json:"error"`
}

const overviewEvery = 3 * time.Second

func overview(v *visit) (view, error) {
	data := overviewData{Span: spanOf(v.asked("span")), Spans: spans, Platform: v.who.Admin && v.asked("of") == "platform"}
	var calls []callMinutes
	var jobs []jobMinutes
	things := []func() error{
		func() error { return v.get("/services", &data.Services) },
		func() error { return v.health(&data) },
		func() error { return v.get("/jobs?limit=8", &data.Jobs) },
		func() error { return v.get("/jobs/waiting?limit=5", &data.Waiting) },
		func() error { return v.count("/tools?limit=50", &data.Tools) },
	}
	if !v.who.Guest {
		query := data.query()
		things = append(things,
			func() error { return v.get(path(query, "proxy", "calls", "statistics"), &calls) },
			func() error { return v.get(path(query, "jobs", "statistics"), &jobs) })
	}
	if v.who.Admin {
		things = append(things, func() error { return v.count("/tools/review?limit=50", &data.Review) })
	}
	for i, thing := range things { // a page without what a key may not see is better than none
		things[i] = func() error { return unless(thing(), services.Forbidden) }
	}
	if v.heard != nil { // or it has just been asked; who has left the organisation sees no more of it
		things = append(things, v.recount)
	}
	if err := together(things...); err != nil {
		return view{}, err
	}
	data.Figures, data.Now = figures(calls, jobs, data.Span)
	data.First = len(data.Jobs) == 0 && !data.Platform
	return view{Template: "overview", Title: "Overview", Section: "overview", Data: data, Every: overviewEvery, Follows: true}, nil
}

func (d overviewData) query() url.Values {
	query := some("from", time.Now().Add(-d.Span.Back).UTC().Format(time.RFC3339), "step", strconv.Itoa(int(d.Span.Step.Seconds())))
	if d.Platform {
		query.Set("scope", "platform")
	}
	return query
}

// health asks for the process's own checks, which are the answer also when they fail.
func (v *visit) health(data *overviewData) error {
	var ready struct {
		Checks []checkState `json:"checks"`
	}
	err := v.get("/readyz", &ready)
	if e, ok := services.AsError(err); ok && isKind(err, services.Unavailable) {
		data.Checks = nil
		_ = remarshal(e.Details, &data.Checks) // else only that it is not ready is known
		return nil
	}
	data.Checks, data.Ready = ready.Checks, err == nil
	return err
}

func (v *visit) count(of string, into *int) error {
	var all []struct{}
	err := v.get(of, &all)
	*into = len(all)
	return err
}

// figures puts calls and jobs of the same moments side by side, and says what they come to.
func figures(calls []callMinutes, jobs []jobMinutes, s span) ([]figure, tiles) {
	rows := make([]figure, 0, len(calls))
	byMoment := make(map[int64]jobMinutes, len(jobs))
	for _, j := range jobs {
		byMoment[j.From.Unix()] = j
	}
	var sum tiles
	var all, bad int64
	for i := len(calls) - 1; i >= 0; i-- {
		c, j := calls[i], byMoment[calls[i].From.Unix()]
		row := figure{From: c.From, Jobs: j.Ended, JobsBad: j.Failed, Calls: c.Calls, CallsBad: c.Failed + c.Unknown + c.Refused, Credits: c.Credits + j.Credits, P50: milliseconds(c.P50), P95: milliseconds(c.P95)}
		rows = append(rows, row)
		sum.Credits += row.Credits
		sum.Jobs += row.Jobs
		all, bad = all+row.Calls, bad+row.CallsBad
		if sum.P95 == "" {
			sum.P95 = row.P95
		}
	}
	sum.Errors = "–"
	if all > 0 {
		sum.Errors = strconv.FormatFloat(100*float64(bad)/float64(all), 'f', 1, 64) + " %"
	}
	sum.JobsPerSecond, sum.CallsPerSecond = rate(rows, s, func(f figure) int64 { return f.Jobs }), rate(rows, s, func(f figure) int64 { return f.Calls })
	return rows, sum
}

// rate is how much of something there was a second lately: in the step that goes on and
// the one before, which is whole.
func rate(rows []figure, s span, of func(figure) int64) string {
	if len(rows) < 2 {
		return "0"
	}
	seconds := time.Since(rows[1].From).Seconds()
	if seconds <= 0 || seconds > 3*s.Step.Seconds() {
		seconds = s.Step.Seconds()
	}
	n := float64(of(rows[0])+of(rows[1])) / seconds
	switch {
	case n == 0:
		return "0"
	case n < 10:
		return strconv.FormatFloat(n, 'g', 2, 64)
	}
	return thousands(int64(math.Round(n)))
}

func milliseconds(ms *float64) string {
	if ms == nil {
		return ""
	}
	return strconv.FormatFloat(*ms, 'f', 1, 64)
}
