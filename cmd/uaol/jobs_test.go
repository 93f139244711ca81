package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

// stream is a server whose connections for a job's events a test scripts, one
// after the other.
type stream struct {
	*httptest.Server
	mu    sync.Mutex
	turns []func(w http.ResponseWriter, r *http.Request)
	heard []string // what each connection came with
}

func streaming(t *testing.T, turns ...func(http.ResponseWriter, *http.Request)) *stream {
	t.Helper()
	s := &stream{turns: turns}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/steps") {
			_, _ = w.Write([]byte(`{"success":true,"data":[{"id":"a"},{"id":"b"},{"id":"b","item":0}]}`))
			return
		}
		s.mu.Lock()
		s.heard = append(s.heard, r.Header.Get("Last-Event-ID")+" "+r.Header.Get("X-API-Key"))
		turn := s.turns[0]
		if len(s.turns) > 1 {
			s.turns = s.turns[1:]
		}
		s.mu.Unlock()
		turn(w, r)
	}))
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s
}

// says writes a part of a stream, and cuts the connection after it.
func says(text string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = w.Write([]byte(text))
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
}

func refuses(status int) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"success":false,"error":{"code":"X","message":"refused with %d"}}`, status)
	}
}

// hangs keeps the connection and says nothing more.
func hangs(text string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(text))
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}
}

func (s *stream) follower() follower {
	return follower{client: &client{base: s.URL, key: "k"}, silence: 300 * time.Millisecond, firstTry: time.Millisecond, later: 20 * time.Millisecond, away: time.Minute}
}

const (
	aRuns  = "id: 3\nevent: step\ndata: {\"id\":\"a\",\"status\":\"Running\",\"attempt\":1}\n\n"
	aEnds  = "id: 5\nevent: step\ndata: {\"id\":\"a\",\"status\":\"Success\",\"attempt\":1}\n\n"
	bFails = "id: 7\nevent: step\r\ndata: {\"id\":\"b\",\"status\":\"Failed\",\r\ndata: \"attempt\":2,\"error\":\"no\\u001b[31m\"}\r\n\r\n"
	begins = "event: job\ndata: {\"job_id\":\"j\",\"status\":\"Running\"}\n\n"
	ends   = "id: 7\nevent: job\ndata: {\"job_id\":\"j\",\"status\":\"Failed\",\"error_message\":\"Step b failed: no\"}\n\n"
)

// TestFollowOverCutConnections: each connection goes on after the last event that
// was heard whole; nothing is missed, and nothing is shown twice.
func TestFollowOverCutConnections(t *testing.T) {
	t.Parallel()
	s := streaming(t,
		says(begins+aRuns+aEnds[:20]),                                         // cut in an event
		refuses(http.StatusServiceUnavailable),                                // while the server restarts
		refuses(http.StatusTooManyRequests),                                   //
		func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, // nobody is there
		hangs(begins+": still here\n\n"),                                      // nobody is there any more
		says(aRuns+aEnds+begins),                                              // some is told again
		func(http.ResponseWriter, *http.Request) {},                           // ended in good order, too early
		says("event: news\ndata: {}\n\n"+bFails+ends),                         // with what this program does not know
	)
	var out bytes.Buffer
	p := newProgress(terminal{out: &out, err: &out}, "j", nil, false)
	end, err := s.follower().follow(t.Context(), "j", p.event)
	require.NoError(t, err)
	require.Equal(t, "Failed", end.job.Status)
	require.JSONEq(t, `{"job_id":"j","status":"Failed","error_message":"Step b failed: no"}`, string(end.raw))
	require.Equal(t, "a  Running\na  Success\nb  Failed  no[31m  (attempt 2)\n", out.String())
	require.Equal(t, []string{" k", "3 k", "3 k", "3 k", "3 k", "3 k", "5 k", "5 k"}, s.heard)
}

func TestFollowGivesUp(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusForbidden, http.StatusNotFound, http.StatusUnauthorized} {
		s := streaming(t, refuses(status))
		_, err := s.follower().follow(t.Context(), "j", func(jobEvent) {})
		require.ErrorContains(t, err, fmt.Sprint("refused with ", status))
		require.Len(t, s.heard, 1, "asking again brings the same answer")
	}
	for name, turn := range map[string]func(http.ResponseWriter, *http.Request){
		"refused with 502": refuses(http.StatusBadGateway),
		"again and again":  says(begins),
	} {
		s := streaming(t, turn)
		f := s.follower()
		f.away = 50 * time.Millisecond
		_, err := f.follow(t.Context(), "j", func(jobEvent) {})
		require.ErrorContains(t, err, name)
		require.ErrorContains(t, err, "the job goes on")
		require.Greater(t, len(s.heard), 2)
	}
	s := streaming(t, says("event: step\ndata: {\n\n"))
	f := s.follower()
	f.away = 50 * time.Millisecond
	_, err := f.follow(t.Context(), "j", func(jobEvent) {})
	require.ErrorContains(t, err, "can't be read")

	ctx, cancel := context.WithCancel(t.Context())
	s = streaming(t, hangs(aRuns))
	_, err = s.follower().follow(ctx, "j", func(jobEvent) { cancel() })
	require.EqualError(t, err, "interrupted; the job goes on")
}

// watched runs the command's own part on a scripted stream.
func watched(t *testing.T, asJSON bool, turns ...func(http.ResponseWriter, *http.Request)) (out, said string, err error) {
	t.Helper()
	s := streaming(t, turns...)
	var stdout, stderr bytes.Buffer
	cmd := &cobra.Command{}
	cmd.SetOut(&stdout)
	cmd.SetErr(&stderr)
	err = watchFlags{json: asJSON}.watch(t.Context(), cmd, &client{base: s.URL, key: "k"}, "j")
	return stdout.String(), stderr.String(), err
}

func TestWatchExitsAsTheJobEnds(t *testing.T) {
	t.Parallel()
	const succeeds = "event: job\ndata: {\"job_id\":\"j\",\"status\":\"Success\",\"final_output\":{\"a\":\"\u009b\\u202ex\"},\"start_time\":\"2026-01-31T00:00:00.000Z\",\"end_time\":\"2026-01-31T00:01:02.000Z\"}\n\n"
	out, said, err := watched(t, false, says(succeeds))
	require.NoError(t, err)
	require.Equal(t, "Success in 1m2s\n{\n  \"a\": \"\\u202ex\"\n}\n", out, "control characters stay out of the terminal")
	require.Empty(t, said)
	out, said, err = watched(t, true, says(aEnds+succeeds))
	require.NoError(t, err)
	require.True(t, json.Valid([]byte(out)))
	require.Contains(t, said, "a  Success")
	_, _, err = watched(t, false, says(ends))
	require.EqualError(t, err, "Step b failed: no")
	_, _, err = watched(t, false, says("event: job\ndata: {\"job_id\":\"j\",\"status\":\"Cancelled\"}\n\n"))
	require.EqualError(t, err, "the job was cancelled")
}

// TestBar counts the steps that have come to their end, not their items.
func TestBar(t *testing.T) {
	t.Parallel()
	var out, drawn bytes.Buffer
	p := newProgress(terminal{out: &out, err: &out}, "j", nil, false)
	p.bar = newBar(&drawn, 2)
	zero := 0
	p.event(jobEvent{step: &step{ID: "a", Status: "Running"}})
	p.event(jobEvent{step: &step{ID: "b", Item: &zero, Status: "Success"}})
	require.Zero(t, p.bar.State().CurrentNum)
	p.event(jobEvent{step: &step{ID: "a", Status: "Success"}})
	require.Contains(t, drawn.String(), "1/2")
	require.NotContains(t, drawn.String(), "2/2")
	require.Equal(t, 1, int(p.bar.State().CurrentNum))
	require.NotContains(t, out.String(), "Running", "the bar says it")
	p.event(jobEvent{step: &step{ID: "b", Status: "Unknown", Attempt: 1}})
	require.Contains(t, out.String(), "uaol jobs decide j b retry\n")
	p.event(jobEvent{step: &step{ID: "b", Status: "Success"}})
	p.close()
}

func TestDefinitionsInYAML(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"steps: [{id: a, on: 2026-02-01, at: 2026-02-01T00:00:00Z, n: 12345678901234567, big: 1.5, yes: true, none: ~, s: '1'}]": `{"steps":[{"id":"a","on":"2026-02-01","at":"2026-02-01T00:00:00Z","n":12345678901234567,"big":1.5,"yes":true,"none":null,"s":"1"}]}`,
		"base: &b {x: <1>}\nsteps:\n  - {<<: *b, id: a}":                           `{"base":{"x":"<1>"},"steps":[{"id":"a","x":"<1>"}]}`,
		"# nothing but\nsteps:\n- id: a\n  parameters: {name: \"{{input.name}}\"}": `{"steps":[{"id":"a","parameters":{"name":"{{input.name}}"}}]}`,
	} {
		got, err := fromYAML([]byte(text))
		require.NoError(t, err, text)
		require.JSONEq(t, want, string(got))
		require.Contains(t, string(got), "steps")
	}
	for _, bad := range []string{"a: [", "a: .inf", "? [x]\n: 1", "a: &a [*a]"} {
		_, err := fromYAML([]byte(bad))
		require.Error(t, err, bad)
	}
	_, err := inputOf("@missing")
	require.Error(t, err)
}

func TestWhatWaits(t *testing.T) {
	t.Parallel()
	var all []asked
	require.NoError(t, json.Unmarshal([]byte(`[
		{"job_id":"j","id":"pay","status":"Unknown","error":"OUTCOME_UNKNOWN: cut\u001b[31m","asks":null},
		{"job_id":"j","id":"mails","item":3,"status":"Unknown","error":"cut"},
		{"job_id":"j","id":"ask","status":"Waiting","asks":{"message":"Send it?","call":{"action":"send"}}},
		{"job_id":"j","id":"look","status":"Waiting","asks":{"call":{"action":"send"}}}]`), &all))
	var out bytes.Buffer
	terminal{out: &out}.waiting(all)
	lines := strings.Split(out.String(), "\n")
	require.Len(t, lines, 7)
	require.Equal(t, []string{"j", "pay", "retry,", "skip,", "fail", "OUTCOME_UNKNOWN:", "cut[31m"}, strings.Fields(lines[1]))
	require.Equal(t, []string{"j", "mails[3]", "retry,", "skip,", "fail", "cut"}, strings.Fields(lines[2]))
	require.Equal(t, []string{"j", "ask", "approve,", "reject", "Send", "it?"}, strings.Fields(lines[3]))
	require.Equal(t, []string{"j", "look", "approve,", "reject", "call", "send"}, strings.Fields(lines[4]))
}

func TestHowItWasTold(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 31, 12, 0, 0, 0, time.Local)
	for want, c := range map[string]callback{
		"":                        {},
		"waits for the job's end": {URL: "u"},
		"delivered 2026-01-31 12:00:00, 2 attempts":  {URL: "u", Status: "Success", Attempts: 2, Delivered: &at},
		"given up after 9 attempts":                  {URL: "u", Status: "Failed", Attempts: 9},
		"due 2026-01-31 12:00:00, 0 attempts so far": {URL: "u", Status: "Failed", Due: &at},
	} {
		require.Equal(t, want, c.says())
	}
}

// TestWhatAStepWaitsFor: a person is asked to decide only where somebody can.
func TestWhatAStepWaitsFor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ step, note, command string }{
		{`{"id":"a","status":"Waiting","asks":{"message":"May it?","expires_at":"2030-01-01T00:00:00Z"}}`, "waits for approval: May it?", "uaol jobs decide j a approve"},
		{`{"id":"a","status":"Waiting","asks":{"job_id":"other","expires_at":"2030-01-01T00:00:00Z"}}`, "waits for job other", ""},
		{`{"id":"a","status":"Unknown"}`, "waits for a decision", "uaol jobs decide j a retry"},
	} {
		var s step
		require.NoError(t, json.Unmarshal([]byte(c.step), &s))
		require.Contains(t, s.says(), c.note)
		var out bytes.Buffer
		(&progress{out: &out, id: "j"}).line(s)
		require.Contains(t, out.String(), c.note)
		require.Equal(t, c.command != "", strings.Contains(out.String(), "uaol jobs decide"), out.String())
		require.Contains(t, out.String(), c.command)
	}
}
