package acceptance

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"uaol/acceptance/world"
)

// ward is a UAOL with fifty tools whose servers are well, one whose server takes
// every call and never answers, and one whose server is gone.
type ward struct {
	caller        world.Client
	well          []string
	hanging, dead string
	entered       chan struct{} // something has reached the hanging server
	free          func()        // lets what hangs go
}

// unlimited are settings with which tools may be called as often as one likes.
func unlimited(tools string) world.Settings {
	return world.Settings{
		"TOOL_EGRESS_ALLOW": tools, "UAOL_CALLS_PER_USER_MINUTE": "0", "UAOL_CALLS_PER_ORGANIZATION_MINUTE": "0",
		"UAOL_CALLS_PER_TOOL_MINUTE": "0", "UAOL_CALLS_PER_USER_AND_TOOL_MINUTE": "0",
	}
}

func newWard(t testing.TB) *ward {
	t.Helper()
	tools := world.StartTools(t, "127.0.0.1")
	s := &ward{entered: make(chan struct{}, 1)}
	var sick atomic.Bool
	release := make(chan struct{})
	s.free = sync.OnceFunc(func() { close(release) })
	target, err := url.Parse(tools.URL)
	require.NoError(t, err)
	through := httputil.NewSingleHostReverseProxy(target)
	hanging := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !sick.Load() {
			through.ServeHTTP(w, r)
			return
		}
		select {
		case s.entered <- struct{}{}:
		default:
		}
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	dead := httptest.NewServer(through)
	t.Cleanup(func() { s.free(); hanging.CloseClientConnections(); hanging.Close() })

	w := world.Together(t, unlimited("127.0.0.1"))
	nobody := world.New(w.Gateway)
	s.caller = nobody.As(nobody.Do(t, http.MethodPost, "/auth/register", object{"email": email()}).Text("data.token"))
	add := func(at string) string {
		made := s.caller.Do(t, http.MethodPost, "/tools", object{"name": "x", "gateway_url": at + "/mcp", "credit_cost_per_call": 0})
		require.Equal(t, http.StatusCreated, made.Status, made)
		answer := nobody.As(w.AdminKey).Do(t, http.MethodPost, "/tools/"+made.Text("data.tool_id")+"/approve", nil)
		require.Equal(t, http.StatusOK, answer.Status, answer)
		return made.Text("data.tool_id")
	}
	for range 50 {
		s.well = append(s.well, add(tools.URL))
	}
	s.hanging, s.dead = add(hanging.URL), add(dead.URL)
	sick.Store(true)
	dead.CloseClientConnections()
	dead.Close()
	return s
}

// busy keeps sixteen callers at two tools, each with a short pause between its
// calls, until stop is called or the test ends.
func (s *ward) busy(t testing.TB, tools ...string) (stop func()) {
	t.Helper()
	done := make(chan struct{})
	var group sync.WaitGroup
	for i := range 16 {
		tool := tools[i%len(tools)]
		group.Go(func() {
			pause := time.NewTicker(100 * time.Millisecond)
			defer pause.Stop()
			for {
				_, _ = s.caller.Try(t, http.MethodPost, "/proxy/"+tool+"/call", object{"method": "echo", "params": object{"text": "x"}})
				select {
				case <-done:
					return
				case <-pause.C:
				}
			}
		})
	}
	stop = sync.OnceFunc(func() { close(done); group.Wait() })
	t.Cleanup(func() { s.free(); stop() })
	return stop
}

// TestSickServersDisturbNobody: while calls hang at one server and fail at
// another, everything else goes on; were it to wait for them, this would not end.
func TestSickServersDisturbNobody(t *testing.T) {
	s := newWard(t)
	s.busy(t, s.hanging, s.dead)
	<-s.entered
	for _, tool := range s.well {
		answer := call(t, s.caller, tool, "echo", object{"text": "well"})
		require.Equal(t, http.StatusOK, answer.Status, answer)
		require.Equal(t, "well", answer.Text("data.content.0.text"))
	}
	listed := s.caller.Do(t, http.MethodGet, "/tools?limit=200", nil)
	require.Equal(t, http.StatusOK, listed.Status, listed)
	for _, tool := range []string{s.well[0], s.hanging, s.dead} {
		answer := s.caller.Do(t, http.MethodGet, "/proxy/"+tool+"/tools", nil)
		require.Equal(t, http.StatusOK, answer.Status, "what a tool can do is known without its server: %s", answer)
	}
	answer := call(t, s.caller, s.dead, "echo", object{"text": "x"})
	require.Equal(t, http.StatusServiceUnavailable, answer.Status, answer)
}

// BenchmarkSickNeighbours measures the 99th percentile of calls to well servers
// and of listings, while sixteen others call well ones and then, as often as they
// let them, a hanging and a dead one; ratio is the second by the first.
func BenchmarkSickNeighbours(b *testing.B) {
	var p99 [2][2]time.Duration // well, sick; call, list
	s := newWard(b)
	measure := func(sick int) {
		var took [2][]time.Duration
		for i := range 1000 {
			begun := time.Now()
			answer := call(b, s.caller, s.well[i%len(s.well)], "echo", object{"text": "x"})
			took[0] = append(took[0], time.Since(begun))
			require.Equal(b, http.StatusOK, answer.Status, answer)
			if i%5 == 0 {
				begun = time.Now()
				listed := s.caller.Do(b, http.MethodGet, "/tools", nil)
				took[1] = append(took[1], time.Since(begun))
				require.Equal(b, http.StatusOK, listed.Status, listed)
			}
		}
		for what := range took {
			slices.Sort(took[what])
			p99[sick][what] = took[what][len(took[what])*99/100]
		}
	}
	for b.Loop() {
		stop := s.busy(b, s.well[0], s.well[1])
		measure(0)
		stop()
		s.busy(b, s.hanging, s.dead)
		<-s.entered
		measure(1)
	}
	for what, name := range []string{"call", "list"} {
		b.ReportMetric(float64(p99[0][what].Microseconds()), name+"-p99-µs")
		b.ReportMetric(float64(p99[1][what])/float64(p99[0][what]), name+"-p99-ratio")
	}
}
