package jobs

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/providers/api"
	"uaol/providers/events"
	"uaol/services"
	"uaol/services/proxy"
)

// listening reads a job's events over HTTP.
type listening struct {
	t      testing.TB
	lines  *bufio.Scanner
	lastID string
	close  func()
}

type heard struct {
	id, kind string
	data     map[string]any
}

func (b *bench) listen(t testing.TB, job uuid.UUID, after string) *listening {
	t.Helper()
	gin.SetMode(gin.ReleaseMode)
	router := gin.New()
	api.Mount(router, api.Guards{Authenticator: known{}}, true, routes(NewHandler(b.service), b.pool, events.Outlet{}).Routes.Operations...)
	server := httptest.NewServer(router)
	ctx, cancel := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/jobs/"+job.String()+"/events", nil)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+b.caller.Account.String())
	if after != "" {
		request.Header.Set("Last-Event-ID", after)
	}
	response, err := server.Client().Do(request)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Equal(t, "text/event-stream", response.Header.Get("Content-Type"))
	l := &listening{t: t, lines: bufio.NewScanner(response.Body)}
	l.close = func() { cancel(); _ = response.Body.Close(); server.CloseClientConnections(); server.Close() }
	t.Cleanup(l.close)
	return l
}

// next is the next event; ok is false at the stream's end.
func (l *listening) next() (h heard, ok bool) {
	for l.lines.Scan() {
		name, value, _ := strings.Cut(l.lines.Text(), ": ")
		switch name {
		case "id":
			h.id, l.lastID = value, value
		case "event":
			h.kind = value
		case "data":
			require.NoError(l.t, json.Unmarshal([]byte(value), &h.data))
		case "":
			if h.kind != "" {
				return h, true
			}
		}
	}
	return h, false
}

func (l *listening) rest() (all []heard) {
	for {
		h, ok := l.next()
		if !ok {
			return all
		}
		all = append(all, h)
	}
}

func TestEventsTellOfAllThatBecomesOfAJob(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := uuid.New()
	b.caller = services.Caller{Account: id, Organization: id, Role: services.RoleUser, OrgRole: services.OrgOwner, Personal: true}
	tool := b.tool(t, 1)
	g := newGate(t)
	b.tools.answers(func(ctx context.Context, in proxy.CallRequest) (proxy.CallResult, error) {
		if stepOf(in) == "b" {
			return g.pass(ctx, in)
		}
		return echo(in), nil
	})
	b.start(t)
	job := b.create(t, stepJSON{ID: "a", Tool: tool, Params: map[string]any{"x": 1}}, stepJSON{ID: "b", Tool: tool, Needs: []string{"a"}}, stepJSON{ID: "c", Tool: tool, Needs: []string{"b"}})
	g.wait(t)
	l := b.listen(t, job.ID, "")
	seen := map[string]string{}
	for seen["b"] != "Running" {
		h, ok := l.next()
		require.True(t, ok)
		if h.kind == "step" {
			seen[h.data["id"].(string)] = h.data["status"].(string)
		}
	}
	require.Equal(t, "Success", seen["a"])
	cutAt := l.lastID
	l.close()
	g.release()
	b.ended(t, job.ID)

	rest := b.listen(t, job.ID, cutAt).rest()
	var steps []string
	for _, h := range rest {
		if h.kind == "step" {
			steps = append(steps, h.data["id"].(string)+" "+h.data["status"].(string))
		}
	}
	require.Equal(t, []string{"b Success", "c Success"}, steps, "what came after the last event that was heard")
	last := rest[len(rest)-1]
	require.Equal(t, "job", last.kind)
	require.Equal(t, "Success", last.data["status"])
	require.Contains(t, last.data["final_output"], "c")
	require.Len(t, b.listen(t, job.ID, "").rest(), 4, "from the beginning: three steps and the job")

	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/jobs/"+job.ID.String()+"/events", nil)
	request.Header.Set("Authorization", "Bearer "+uuid.NewString())
	w := httptest.NewRecorder()
	router := gin.New()
	api.Mount(router, api.Guards{Authenticator: known{}}, true, routes(NewHandler(b.service), b.pool, events.Outlet{}).Routes.Operations...)
	router.ServeHTTP(w, request)
	require.Equal(t, http.StatusForbidden, w.Code)
}

// TestEventsOfAnotherProcess come too, a little later.
func TestEventsOfAnotherProcess(t *testing.T) {
	t.Parallel()
	b := setup(t)
	job := b.create(t, stepJSON{ID: "a", Tool: b.tool(t, 1)})
	told := make(chan Progress, 10)
	done := make(chan error, 1)
	go func() {
		done <- b.service.Follow(tContext, b.caller, job.ID, 0, func(p Progress) error { told <- p; return nil })
	}()
	require.Equal(t, Queued, receive(t, told).Job.Status)
	b.start(t) // with a repository of its own
	var statuses []Status
	for p := range told {
		if p.Job != nil {
			statuses = append(statuses, p.Job.Status)
			if p.Job.Status.Ended() {
				break
			}
		}
	}
	require.NoError(t, receive(t, done))
	require.Equal(t, Success, statuses[len(statuses)-1])
	eventually(t, func() bool {
		b.repository.hub.mu.Lock()
		defer b.repository.hub.mu.Unlock()
		return !b.repository.hub.asking
	})
	require.Empty(t, b.repository.hub.seen)
}
