package jobs

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"uaol/providers/api"
	"uaol/providers/egress"
	"uaol/providers/events"
	"uaol/providers/keyring"
	"uaol/providers/postgres/pgtest"
	"uaol/services"
	"uaol/services/proxy"
)

const (
	ringSecret  = "Lp0hG6fDs3Ew9Kx5Cn1By7Rt4Zm2qJ8v"
	otherSecret = "v8Jq2mZ4tR7yB1nC5xK9wE3sD6fG0hLp"
)

// teller is a deliverer that runs, with a pool of its own.
type teller struct {
	*Callbacks
	pool *pgxpool.Pool
	logs *observer.ObservedLogs
	kill func() // as when a process dies: nothing is handed back
	stop func() // the graceful one
}

func (b *bench) teller(t testing.TB, cfg keyring.Config, change ...func(*Callbacks)) *teller {
	t.Helper()
	w := b.callbacks(t, cfg, change...)
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { _ = w.Run(ctx) })
	w.stop = func() { cancel(); done.Wait() }
	w.kill = func() { w.pool.Close(); cancel(); done.Wait() }
	t.Cleanup(w.stop)
	return w
}

// callbacks is a deliverer that does not run.
func (b *bench) callbacks(t testing.TB, cfg keyring.Config, change ...func(*Callbacks)) *teller {
	t.Helper()
	if cfg.Secret == "" {
		cfg.Secret = ringSecret
	}
	ring, err := keyring.New(cfg, zap.NewNop())
	require.NoError(t, err)
	w := &teller{pool: b.open(t, nil)}
	repository := NewRepository(w.pool)
	t.Cleanup(repository.Close)
	core, logs := observer.New(zap.DebugLevel)
	service := *b.service
	service.repository = repository
	w.Callbacks, w.logs = NewCallbacks(&service, b.policy, ring, b.bus, zap.New(core)), logs
	for _, f := range change {
		f(w.Callbacks)
	}
	return w
}

// told is a request that a receiver got.
type told struct {
	at     time.Time
	header http.Header
	body   []byte
	said   map[string]any
}

func (r told) id() string { return r.header.Get("webhook-id") }

// listener is a receiver of callbacks.
type listener struct {
	*httptest.Server
	came chan told
	mu   sync.Mutex
	all  []told
}

// hears starts a receiver; answer may be nil for 204.
func hears(t testing.TB, answer http.HandlerFunc) *listener {
	t.Helper()
	l := &listener{came: make(chan told, 1000)}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		got := told{at: time.Now(), header: r.Header.Clone(), body: body}
		if json.Unmarshal(body, &got.said) != nil {
			t.Errorf("no JSON: %s", body)
		}
		l.mu.Lock()
		l.all = append(l.all, got)
		l.mu.Unlock()
		l.came <- got
		if answer == nil {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		answer(w, r)
	}))
	t.Cleanup(func() { l.CloseClientConnections(); l.Close() })
	return l
}

func (l *listener) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.all)
}

// verified checks a request as a receiver does that knows the specification and
// nothing of us: https://github.com/standard-webhooks/standard-webhooks
func verified(secret string, r told) error {
	text, ok := strings.CutPrefix(secret, "whsec_")
	if !ok {
		return fmt.Errorf("the secret has no prefix")
	}
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(key) < 24 || len(key) > 64 {
		return fmt.Errorf("the secret has %d bytes: %w", len(key), err)
	}
	id, sent := r.header.Get("Webhook-Id"), r.header.Get("Webhook-Timestamp")
	seconds, err := strconv.ParseInt(sent, 10, 64)
	if err != nil || time.Since(time.Unix(seconds, 0)).Abs() > 5*time.Minute {
		return fmt.Errorf("the time is not now: %s", sent)
	}
	if id == "" || strings.Contains(id, ".") {
		return fmt.Errorf("the id can't be signed: %q", id)
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", id, sent, r.body)
	for _, one := range strings.Split(r.header.Get("Webhook-Signature"), " ") {
		version, signature, _ := strings.Cut(one, ",")
		given, err := base64.StdEncoding.DecodeString(signature)
		if version == "v1" && err == nil && hmac.Equal(given, mac.Sum(nil)) {
			return nil
		}
	}
	return fmt.Errorf("no signature of %s is right", id)
}

// callback is what the job's owner is told of how it went.
func (b *bench) callback(t testing.TB, c *teller, job uuid.UUID) Callback {
	t.Helper()
	found, err := c.Get(tContext, b.caller, job)
	require.NoError(t, err)
	return found
}

// due lets the next attempt be made now.
func (b *bench) due(t testing.TB, c *teller, job uuid.UUID) {
	t.Helper()
	b.exec(t, `UPDATE uaol_jobs.callbacks SET due_at = now() WHERE job_id = $1 AND due_at IS NOT NULL`, job)
	c.Wake()
}

func (b *bench) calling(t testing.TB, url string, metadata string) Job {
	t.Helper()
	return b.request(t, Request{Definition: definition(t, stepJSON{ID: "a", Tool: b.tool(t, 0), Params: map[string]any{"x": "<1>"}}), Callback: url, Metadata: json.RawMessage(metadata)})
}

func TestAJobsEndIsTold(t *testing.T) {
	t.Parallel()
	b := setup(t)
	l := hears(t, nil)
	c := b.teller(t, keyring.Config{})
	b.start(t)
	job := b.calling(t, l.URL+"/hook?token=hunter2", `{"order": 17}`)
	got := receive(t, l.came)
	ended := b.ended(t, job.ID)
	require.NoError(t, verified(c.Secret(b.caller).Secret, got))
	require.Error(t, verified(c.Secret(b.user()).Secret, got), "another organisation's secret is another one")
	require.Equal(t, "application/json", got.header.Get("Content-Type"))
	output := map[string]any{"a": map[string]any{"content": []any{}, "structuredContent": map[string]any{"x": "<1>"}}}
	require.Equal(t, map[string]any{
		"type": "job.ended", "job_id": job.ID.String(), "status": "Success", "end_time": ended.EndTime.String(),
		"final_output": output, "error_message": nil, "metadata": map[string]any{"order": 17.0},
	}, got.said)
	eventually(t, func() bool { return b.callback(t, c, job.ID).DeliveredAt != nil })
	how := b.callback(t, c, job.ID)
	require.Equal(t, got.id(), *how.WebhookID)
	require.Equal(t, Success, *how.Status)
	require.Equal(t, 1, how.Attempts)
	require.Nil(t, how.DueAt)
	require.Nil(t, how.LastError)
	require.Equal(t, 1, l.count())

	// A secret that was replaced counts along with the new one for a while.
	c.stop()
	both := b.teller(t, keyring.Config{Secret: otherSecret, Previous: ringSecret})
	b.calling(t, l.URL, "")
	got = receive(t, l.came)
	require.NoError(t, verified(c.Secret(b.caller).Secret, got))
	require.NoError(t, verified(both.Secret(b.caller).Secret, got))
	require.NotEqual(t, c.Secret(b.caller), both.Secret(b.caller))
	require.Nil(t, got.said["metadata"])

	for _, w := range []*teller{c, both} {
		for _, entry := range w.logs.All() {
			require.NotContains(t, fmt.Sprint(entry.Message, entry.ContextMap()), "whsec_")
		}
	}
}

// TestAnEndIsToldAgain until it is delivered, as the same event; the attempts come
// after growing pauses, and have an end.
func TestAnEndIsToldAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	status := make(chan int, 20)
	l := hears(t, func(w http.ResponseWriter, _ *http.Request) {
		code := <-status
		if code == http.StatusFound {
			w.Header().Set("Location", "/elsewhere")
		}
		w.WriteHeader(code)
		_, _ = w.Write([]byte("the receiver's own words"))
	})
	c := b.teller(t, keyring.Config{})
	w := b.start(t)
	job := b.calling(t, l.URL+"/?token=hunter2", "")
	whole := []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour}
	answers := []int{500, 302, 404, 503, 429, 400, 500, 502, 500}
	var first told
	for i, answer := range answers {
		status <- answer
		got := receive(t, l.came)
		if i == 0 {
			first = got
		}
		require.Equal(t, first.id(), got.id(), "the same event")
		require.Equal(t, first.body, got.body)
		require.NoError(t, verified(c.Secret(b.caller).Secret, got))
		eventually(t, func() bool {
			how := b.callback(t, c, job.ID)
			return how.LastError != nil && how.Attempts == i+1 && (how.DueAt == nil || how.DueAt.After(time.Now().Add(-time.Minute)))
		})
		var how Callback
		eventually(t, func() bool { // the attempt's outcome stands, not its lease
			how = b.callback(t, c, job.ID)
			return how.LastError != nil && strings.Contains(*how.LastError, strconv.Itoa(answer))
		})
		require.NotContains(t, *how.LastError, "hunter2")
		require.Nil(t, how.DeliveredAt)
		if answer == http.StatusFound {
			require.Contains(t, *how.LastError, "redirects are not followed")
		}
		if i == len(whole) {
			require.Nil(t, how.DueAt, "given up")
			break
		}
		pause := time.Until(how.DueAt.Time)
		require.Greater(t, pause, whole[i]-4*time.Second)
		require.Less(t, pause, whole[i]+whole[i]/5+time.Second)
		b.due(t, c, job.ID)
	}
	require.Equal(t, len(answers), l.count())
	require.Equal(t, len(answers), b.callback(t, c, job.ID).Attempts)

	// 410 is the last word at once; 200 after a failure is a success.
	w.Wake()
	gone := b.calling(t, l.URL, "")
	status <- http.StatusGone
	require.NotEqual(t, first.id(), receive(t, l.came).id())
	eventually(t, func() bool { return b.callback(t, c, gone.ID).LastError != nil })
	require.Nil(t, b.callback(t, c, gone.ID).DueAt)
	require.Contains(t, *b.callback(t, c, gone.ID).LastError, "410 Gone")
	late := b.calling(t, l.URL, "")
	status <- http.StatusInternalServerError
	receive(t, l.came)
	eventually(t, func() bool { return b.callback(t, c, late.ID).LastError != nil })
	status <- http.StatusOK
	b.due(t, c, late.ID)
	receive(t, l.came)
	eventually(t, func() bool { return b.callback(t, c, late.ID).DeliveredAt != nil })
	require.Nil(t, b.callback(t, c, late.ID).LastError)
	require.Equal(t, 2, b.callback(t, c, late.ID).Attempts)
}

// TestAReceiverThatHangs is given up for now, and holds up nobody else.
func TestAReceiverThatHangs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.policy = b.policyFor(t, "127.0.0.1,localhost")
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	hanging := hears(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	well := hears(t, nil)
	c := b.teller(t, keyring.Config{}, func(c *Callbacks) { c.answerIn = 2 * time.Second })
	b.start(t)
	const many = 100
	requests := make([]Request, many)
	for i := range requests {
		requests[i] = Request{Definition: definition(t, stepJSON{ID: "a", Tool: b.tool(t, 0)}), Callback: hanging.URL}
	}
	ids, err := b.service.CreateMany(t.Context(), b.caller, requests)
	require.NoError(t, err)
	for range firstOfHost {
		receive(t, hanging.came)
	}
	job := b.calling(t, well.URL, "")
	receive(t, well.came)
	eventually(t, func() bool { return b.callback(t, c, job.ID).DeliveredAt != nil })
	require.LessOrEqual(t, hanging.count(), 2*firstOfHost, "so many at a time, however many wait")
	eventually(t, func() bool {
		return b.number(t, `SELECT count(*) FROM uaol_jobs.callbacks WHERE last_error = 'no answer within 2s' AND delivered_at IS NULL`) >= firstOfHost
	})
	require.Len(t, ids, many)
}

// TestNobodyTakesAllTheRoom: neither a host nor an organisation.
func TestNobodyTakesAllTheRoom(t *testing.T) {
	t.Parallel()
	c := &Callbacks{wake: make(chan struct{}, 1), teams: map[string]int{}, hosts: map[string]*receiver{}}
	busy, other := uuid.NewString(), uuid.NewString()
	var lanes []lane
	for i := range 200 {
		lanes = append(lanes, lane{Name: fmt.Sprintf("%s/host%d", busy, i), Due: true})
	}
	lanes = append(lanes, lane{Name: other + "/host0", Due: true}, lane{Name: other + "/quiet"})
	names, rooms, last := c.share(lanes)
	of := map[string]int{}
	for i, name := range names {
		team, host := partsOf(name)
		of[team] += int(rooms[i])
		of[host] += int(rooms[i])
	}
	require.Equal(t, mostOfTeam, of[busy])
	require.Positive(t, of[other])
	require.LessOrEqual(t, of["host0"], firstOfHost, "a host is one, whoever tells it")
	require.Zero(t, of["quiet"])
	require.Empty(t, last)
	require.True(t, c.more.Load())

	// With many organisations it is shared, and the rest have the next turn.
	lanes = nil
	for i := range 300 {
		lanes = append(lanes, lane{Name: fmt.Sprintf("%s/host%03d", uuid.NewString(), i), Due: true})
	}
	names, rooms, last = c.share(lanes)
	require.Len(t, names, mostCallbacks)
	require.Equal(t, names[mostCallbacks-1], last)
	for _, room := range rooms {
		require.EqualValues(t, 1, room)
	}
	c.now = mostCallbacks
	names, _, _ = c.share(lanes)
	require.Empty(t, names)

	// One that fails is told of one at a time, one that is well of more and more.
	c.now = 0
	c.hosts["host000"] = &receiver{most: 1}
	c.hosts["host001"] = &receiver{most: mostOfHost, now: mostOfHost - 2}
	_, rooms, _ = c.share(lanes[:2])
	require.Equal(t, []int32{1, 2}, rooms)
}

// TestATellerDies while it waits for an answer: another tells it when the lease
// has passed, as the same event.
func TestATellerDies(t *testing.T) {
	t.Parallel()
	b := setup(t)
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	first := true
	l := hears(t, func(w http.ResponseWriter, r *http.Request) {
		if first {
			first = false
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}
	})
	dying := b.teller(t, keyring.Config{}, func(c *Callbacks) { c.handBackIn = 0 })
	b.start(t)
	job := b.calling(t, l.URL, "")
	before := receive(t, l.came)
	dying.kill()
	other := b.teller(t, keyring.Config{})
	how := b.callback(t, other, job.ID)
	require.Nil(t, how.DeliveredAt)
	require.Greater(t, time.Until(how.DueAt.Time), callbackLease-10*time.Second, "the lease still stands")
	n, err := other.repository.claimCallbacks(t.Context(), []string{b.caller.Organization.String() + "/" + strings.TrimPrefix(l.URL, "http://")}, []int32{5}, time.Hour)
	require.NoError(t, err)
	require.Empty(t, n)
	b.due(t, other, job.ID) // as though it had passed
	after := receive(t, l.came)
	require.Equal(t, before.id(), after.id())
	require.Equal(t, before.body, after.body)
	eventually(t, func() bool { return b.callback(t, other, job.ID).DeliveredAt != nil })
	require.Equal(t, 2, b.callback(t, other, job.ID).Attempts)
}

// TestATellerStops: what it was about to tell another one tells at once.
func TestATellerStops(t *testing.T) {
	t.Parallel()
	b := setup(t)
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	l := hears(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	c := b.teller(t, keyring.Config{}, func(c *Callbacks) { c.handBackIn = time.Millisecond })
	b.start(t)
	job := b.calling(t, l.URL, "")
	receive(t, l.came)
	c.stop()
	how := b.callback(t, c, job.ID)
	require.NotNil(t, how.DueAt)
	require.False(t, how.DueAt.After(time.Now()))
}

// TestAnEndIsClaimedOnce, however many processes look.
func TestAnEndIsClaimedOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	l := hears(t, nil)
	b.exec(t, `INSERT INTO uaol_jobs.jobs (job_id, organization_id, account_id, definition, plan, status, cost, end_time, callback_url)
		SELECT gen_random_uuid(), $1, $1, '{}', '[]', 'Failed', 0, now(), $2 FROM generate_series(1, 300)`, b.caller.Organization, l.URL)
	b.exec(t, `INSERT INTO uaol_jobs.callbacks (job_id, lane, url, status) SELECT job_id, organization_id::text || '/x', callback_url, status FROM uaol_jobs.jobs`)
	for range 3 {
		b.teller(t, keyring.Config{})
	}
	eventually(t, func() bool {
		return b.number(t, `SELECT count(*) FROM uaol_jobs.callbacks WHERE delivered_at IS NOT NULL`) == 300
	})
	require.Equal(t, 300, l.count())
	require.EqualValues(t, 300, b.number(t, `SELECT sum(attempts)::bigint FROM uaol_jobs.callbacks`))
}

// TestAJobThatEndsAgain is told of again, as another event; what comes late of the
// first end's says nothing about the second.
func TestAJobThatEndsAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	well := b.failingUntil("a")
	l := hears(t, nil)
	b.start(t)
	c := b.teller(t, keyring.Config{})
	job := b.calling(t, l.URL, "")
	first := receive(t, l.came)
	require.Equal(t, "Failed", first.said["status"])
	require.Contains(t, first.said["error_message"], "broken")
	require.Nil(t, first.said["final_output"])
	eventually(t, func() bool { return b.callback(t, c, job.ID).DeliveredAt != nil })
	well.Store(true)
	c.stop()
	b.seen.forget()
	_, err := b.service.Retry(t.Context(), b.caller, job.ID)
	require.NoError(t, err)
	require.Equal(t, Success, b.ended(t, job.ID).Status)
	how := b.callback(t, c, job.ID)
	require.NotEqual(t, first.id(), *how.WebhookID)
	require.Zero(t, how.Attempts)
	require.Nil(t, how.DeliveredAt)

	// The first end's outcome comes late; so does that of an attempt before the last.
	event, err := uuid.Parse(strings.TrimPrefix(first.id(), "msg_"))
	require.NoError(t, err)
	second, err := uuid.Parse(strings.TrimPrefix(*how.WebhookID, "msg_"))
	require.NoError(t, err)
	b.exec(t, `UPDATE uaol_jobs.callbacks SET attempts = 2`)
	_, err = b.repository.told(t.Context(), []callbackOutcome{
		{Job: job.ID, Event: event, Attempt: 1}, {Job: job.ID, Event: second, Attempt: 1, Error: "late"}})
	require.NoError(t, err)
	how = b.callback(t, c, job.ID)
	require.Nil(t, how.DeliveredAt)
	require.Nil(t, how.LastError)
	require.NotNil(t, how.DueAt)

	c = b.teller(t, keyring.Config{})
	got := receive(t, l.came)
	require.Equal(t, *how.WebhookID, got.id())
	require.Equal(t, "Success", got.said["status"])
	require.Nil(t, got.said["error_message"])
	eventually(t, func() bool { return b.callback(t, c, job.ID).DeliveredAt != nil })

	// A delivery stays one, whatever comes late.
	_, err = b.repository.told(t.Context(), []callbackOutcome{{Job: job.ID, Event: second, Attempt: 3, Error: "late"}})
	require.NoError(t, err)
	require.Nil(t, b.callback(t, c, job.ID).LastError)
	require.Equal(t, 2, l.count())
}

// TestWhatIsNotPublicIsNotCalled: an address of this machine, by itself or behind
// a name, and what a redirect leads to.
func TestWhatIsNotPublicIsNotCalled(t *testing.T) {
	t.Parallel()
	b := setup(t)
	hidden := hears(t, nil)
	_, port, _ := strings.Cut(strings.TrimPrefix(hidden.URL, "http://"), ":")
	door := hears(t, http.RedirectHandler(hidden.URL, http.StatusTemporaryRedirect).ServeHTTP)
	b.service.policy = b.policyFor(t, "127.0.0.1,localhost,169.254.169.254") // open when the jobs were made
	b.policy = b.policyFor(t, strings.TrimPrefix(door.URL, "http://"))
	c := b.teller(t, keyring.Config{})
	b.start(t)
	for url, says := range map[string]string{
		hidden.URL: "127.0.0.1 is not a public address; an operator can open it with TOOL_EGRESS_ALLOW",
		"http://localhost:" + port + "/?token=hunter2": "is not a public address; an operator can open it with TOOL_EGRESS_ALLOW",
		"http://169.254.169.254/latest":                "169.254.169.254 is not a public address; an operator can open it with TOOL_EGRESS_ALLOW",
		door.URL:                                       "the receiver answered with status 307: redirects are not followed",
	} {
		job := b.calling(t, url, "")
		eventually(t, func() bool { return b.callback(t, c, job.ID).LastError != nil })
		how := b.callback(t, c, job.ID)
		require.Contains(t, *how.LastError, says)
		require.NotContains(t, *how.LastError, "hunter2")
		require.NotNil(t, how.DueAt, "an operator may open it")
	}
	require.Zero(t, hidden.count())
	require.Equal(t, 1, door.count())
}

func (b *bench) policyFor(t testing.TB, allow string) *egress.Policy {
	t.Helper()
	p, err := egress.New(egress.Config{Allow: strings.Split(allow, ",")})
	require.NoError(t, err)
	return p
}

// TestALargeOutputIsLeftOut, whether a step's results or the definition make it.
func TestALargeOutputIsLeftOut(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.tools.answers(func(_ context.Context, in proxy.CallRequest) (proxy.CallResult, error) {
		return proxy.CallResult{Result: json.RawMessage(`"` + strings.Repeat("x", mostTold/2-2) + `"`)}, nil
	})
	l := hears(t, nil)
	b.teller(t, keyring.Config{})
	b.start(t)
	tool := b.tool(t, 0)
	for name, test := range map[string]struct {
		definition string
		truncated  bool
	}{
		"one":          {`{"steps":[{"id":"a","tool_id":"%[1]s","action":"do"}]}`, false},
		"two":          {`{"steps":[{"id":"a","tool_id":"%[1]s","action":"do"},{"id":"b","tool_id":"%[1]s","action":"do"}]}`, true},
		"twice in one": {`{"steps":[{"id":"a","tool_id":"%[1]s","action":"do"}],"output":["{{a.result}}","{{a.result}}"]}`, true},
	} {
		job := b.request(t, Request{Definition: json.RawMessage(fmt.Sprintf(test.definition, tool)), Callback: l.URL})
		got := receive(t, l.came)
		require.Equal(t, job.ID.String(), got.said["job_id"], name)
		require.Equal(t, "Success", got.said["status"], name)
		require.Equal(t, test.truncated, got.said["final_output"] == nil, name)
		require.Equal(t, test.truncated, got.said["truncated"] == true, name)
	}
}

// TestCallbackRoutes: an owner sees how it went; an organisation's admins see the
// secret, and that is recorded.
func TestCallbackRoutes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := uuid.New()
	b.caller = services.Caller{Account: id, Organization: id, Role: services.RoleUser, OrgRole: services.OrgOwner, Personal: true}
	c := b.teller(t, keyring.Config{})
	job := b.calling(t, "https://example.com/hook", "")
	silent := b.create(t, stepJSON{ID: "a", Tool: b.tool(t, 0)})
	var audited acts
	gin.SetMode(gin.ReleaseMode)
	router := gin.New()
	api.Mount(router, api.Guards{Authenticator: known{}, Auditor: &audited}, true, callbackRoutes(NewCallbacksHandler(c.Callbacks)).Routes.Operations...)
	ask := func(path string, who uuid.UUID) (int, string) {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
		request.Header.Set("Authorization", "Bearer "+who.String())
		w := httptest.NewRecorder()
		router.ServeHTTP(w, request)
		return w.Code, w.Body.String()
	}
	status, body := ask("/jobs/"+job.ID.String()+"/callback", id)
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"success":true,"data":{"url":"https://example.com/hook","webhook_id":null,"status":null,"attempts":0,"due_at":null,"delivered_at":null,"last_error":null}}`, body)
	status, body = ask("/jobs/"+silent.ID.String()+"/callback", id)
	require.Equal(t, http.StatusNotFound, status)
	require.Contains(t, body, "The job has no callback_url")
	status, _ = ask("/jobs/"+job.ID.String()+"/callback", uuid.New())
	require.Equal(t, http.StatusForbidden, status)
	status, body = ask("/jobs/callback-secret", id)
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, c.Secret(b.caller).Secret)
	require.Equal(t, acts{"callback-secret.show", "callback-secret.show"}, audited, "before and after")
	for _, op := range Operations() {
		if op.Path == "/jobs/callback-secret" {
			require.Equal(t, services.OrgAdmin, op.Needs)
			require.Equal(t, "jobs:write", op.Scope, "a key that may only read can't speak in our name")
		}
	}
}

// acts is an audit log that keeps names.
type acts []string

func (a *acts) Record(_ context.Context, act services.Act) error {
	*a = append(*a, act.Action)
	return nil
}

// TestAnAnswerIsNotReadToItsEnd: its status says all.
func TestAnAnswerIsNotReadToItsEnd(t *testing.T) {
	t.Parallel()
	b := setup(t)
	l := hears(t, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 32<<10)); err != nil {
				return
			}
		}
	})
	c := b.teller(t, keyring.Config{}, func(c *Callbacks) { c.answerIn = time.Hour })
	b.start(t)
	job := b.calling(t, l.URL, "")
	eventually(t, func() bool { return b.callback(t, c, job.ID).DeliveredAt != nil })
}

// TestFailuresOfCallbacks are one line, without the address.
func TestFailuresOfCallbacks(t *testing.T) {
	t.Parallel()
	closed := httptest.NewServer(http.NotFoundHandler())
	address := closed.Listener.Addr().String()
	closed.Close()
	b := &bench{policy: nil}
	c := NewCallbacks(&Service{repository: &Repository{}}, b.policyFor(t, "127.0.0.1"), mustRing(t), events.NewBus(), zap.NewNop())
	_, err := c.post(t.Context(), &telling{URL: "http://" + address + "/?token=hunter2", Lane: uuid.NewString() + "/x"}, []byte("{}"))
	require.Error(t, err)
	text := failureOfCallback(0, err, time.Second)
	require.Contains(t, text, "connection refused")
	require.NotContains(t, text, "hunter2")
	_, err = c.post(t.Context(), &telling{URL: "http://a b/?token=hunter2", Lane: uuid.NewString() + "/x"}, []byte("{}"))
	require.Equal(t, "the address can't be used", failureOfCallback(0, err, time.Second))
	long := failureOfCallback(0, fmt.Errorf("%s\x00", strings.Repeat("ü", 5000)), time.Second)
	require.Len(t, []rune(long), mostExcused)
	for status, empty := range map[int]bool{200: true, 204: true, 299: true, 199: false, 300: false, 404: false, 410: false} {
		require.Equal(t, empty, failureOfCallback(status, nil, time.Second) == "", status)
	}
}

func mustRing(t testing.TB) *keyring.Ring {
	t.Helper()
	ring, err := keyring.New(keyring.Config{Secret: ringSecret}, zap.NewNop())
	require.NoError(t, err)
	return ring
}

// TestCallbackPlans: with many callbacks that are told or wait for later, what is
// asked again and again reads no table as a whole.
func TestCallbackPlans(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.exec(t, `INSERT INTO uaol_jobs.jobs (job_id, organization_id, account_id, definition, plan, status, cost, end_time)
		SELECT gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), '{}', '[]', 'Success', 0, now() FROM generate_series(1, 20000)`)
	b.exec(t, `INSERT INTO uaol_jobs.callbacks (job_id, lane, url, status, due_at)
		SELECT gen_random_uuid(), 'org/' || n % 50, 'https://example.com', 'Success', CASE WHEN n % 3 = 0 THEN now() + interval '1 hour' WHEN n % 30 = 1 THEN now() END
		FROM generate_series(1, 20000) n`)
	b.exec(t, `ANALYZE uaol_jobs.callbacks, uaol_jobs.jobs`)
	plans := pgtest.Explain(t, b.pool, "uaol_jobs", "callbacks", "jobs")
	repository := NewRepository(plans.Pool)
	t.Cleanup(repository.Close)
	lanes, err := repository.callbackLanes(t.Context(), "", lanesLooked)
	require.NoError(t, err)
	require.Len(t, lanes, 50)
	names, rooms := make([]string, len(lanes)), make([]int32, len(lanes))
	for i, l := range lanes {
		names[i], rooms[i] = l.Name, 2
	}
	_, err = repository.claimCallbacks(t.Context(), names, rooms, time.Minute)
	require.NoError(t, err)
	_, err = repository.told(t.Context(), make([]callbackOutcome, 100))
	require.NoError(t, err)
	require.Equal(t, 3, plans.Seen())
}
