package jobs

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"uaol/providers/egress"
	"uaol/providers/events"
	"uaol/providers/postgres"
	"uaol/providers/postgres/pgtest"
	"uaol/providers/upstream"
	"uaol/services"
	"uaol/services/billing"
	"uaol/services/billing/billingtest"
	"uaol/services/proxy"
	"uaol/services/registry"
)

// longest is how long a test waits for what must come.
const longest = 60 * time.Second

// bench is what a test of this package works with: everything is real but the
// tools, and those may be too (see real_test.go).
type bench struct {
	url        string
	pool       *pgxpool.Pool
	bus        *events.Bus
	policy     *egress.Policy
	catalog    *registry.Service
	meter      *billing.Service
	repository *Repository
	service    *Service
	tools      *tools
	models     Models
	caller     services.Caller
	seen       *seen
	seq        int64
}

func setup(t testing.TB) *bench {
	t.Helper()
	b := &bench{
		url: pgtest.URL(t), bus: events.NewBus(), tools: &tools{count: map[string]int{}},
		caller: services.Caller{Account: uuid.New(), Organization: uuid.New(), Role: services.RoleUser, Personal: true},
	}
	b.pool = b.open(t, nil)
	var err error
	b.policy, err = egress.New(egress.Config{Allow: []string{"127.0.0.1"}})
	require.NoError(t, err)
	b.catalog = registry.NewService(registry.NewRepository(b.pool), b.policy, nil, nil, b.bus)
	b.meter = billingtest.New(t, b.pool)
	b.repository = NewRepository(b.pool)
	t.Cleanup(b.repository.Close)
	b.service = NewService(b.repository, b.engine(b.repository), b.catalog, b.meter, b.policy, b.bus, zap.NewNop())
	t.Cleanup(b.service.Close)
	b.seen = watch(b.bus)
	return b
}

// open makes a further pool on the test's database, as another process has.
func (b *bench) open(t testing.TB, tracer pgx.QueryTracer) *pgxpool.Pool {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(b.url)
	require.NoError(t, err)
	cfg.MaxConns, cfg.ConnConfig.Tracer = 10, tracer
	cfg.AfterConnect = postgres.KnowUUIDs
	pool, err := pgxpool.NewWithConfig(context.Background(), cfg)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

// tool registers an approved tool of that price.
func (b *bench) tool(t testing.TB, price int64) uuid.UUID {
	t.Helper()
	return b.toolAt(t, price, "http://127.0.0.1:9/mcp")
}

func (b *bench) toolAt(t testing.TB, price int64, url string) uuid.UUID {
	t.Helper()
	name, protocol := "tool "+uuid.NewString(), "mcp"
	owner := services.Caller{Account: uuid.New(), Organization: b.caller.Organization, Role: services.RoleUser, Personal: true}
	tool, err := b.catalog.Register(t.Context(), owner, registry.Change{Name: &name, GatewayURL: &url, Price: &price, Protocol: &protocol})
	require.NoError(t, err)
	require.NoError(t, b.catalog.Approve(t.Context(), admin, tool.ID, registry.Decision{Unpinned: true}))
	return tool.ID
}

type stepJSON struct {
	ID     string    `json:"id"`
	Tool   uuid.UUID `json:"tool_id"`
	Action string    `json:"action"`
	Params any       `json:"parameters,omitempty"`
	Needs  []string  `json:"depends_on,omitempty"`
}

func definition(t testing.TB, steps ...stepJSON) json.RawMessage {
	t.Helper()
	for i := range steps {
		if steps[i].Action == "" {
			steps[i].Action = "do"
		}
	}
	text, err := json.Marshal(map[string]any{"steps": steps})
	require.NoError(t, err)
	return text
}

func (b *bench) create(t testing.TB, steps ...stepJSON) Job {
	t.Helper()
	job, err := b.service.Create(t.Context(), b.caller, Request{Definition: definition(t, steps...)})
	require.NoError(t, err)
	require.Equal(t, Queued, job.Status)
	return job
}

func (b *bench) job(t testing.TB, id uuid.UUID) Job {
	t.Helper()
	job, err := b.service.Get(t.Context(), b.caller, id)
	require.NoError(t, err)
	return job
}

func (b *bench) steps(t testing.TB, id uuid.UUID) map[string]StepState {
	t.Helper()
	list, err := b.service.Steps(t.Context(), b.caller, id)
	require.NoError(t, err)
	steps := map[string]StepState{}
	for _, s := range list {
		steps[s.ID] = s
	}
	return steps
}

func statuses(steps map[string]StepState) map[string]Status {
	of := map[string]Status{}
	for id, s := range steps {
		of[id] = s.Status
	}
	return of
}

// ended waits for a job's end and gives it.
func (b *bench) ended(t testing.TB, id uuid.UUID) Job {
	t.Helper()
	b.seen.wait(t, func(all []events.Event) bool {
		for _, e := range all {
			if e.Subject == id.String() && e.Type == "job.ended" {
				return true
			}
		}
		return false
	})
	job := b.job(t, id)
	require.True(t, job.Status.Ended())
	return job
}

func (b *bench) exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	_, err := postgres.Exec(tContext, b.pool, sql, args...)
	require.NoError(t, err)
}

func (b *bench) number(t testing.TB, sql string, args ...any) int64 {
	t.Helper()
	n, err := postgres.Value[int64](tContext, b.pool, sql, args...)
	require.NoError(t, err)
	return n
}

// expire lets a job's lease end now.
func (b *bench) expire(t testing.TB, id uuid.UUID) {
	t.Helper()
	b.exec(t, `UPDATE uaol_jobs.workers SET lease_until = now() WHERE worker_id = (SELECT worker_id FROM uaol_jobs.runs WHERE job_id = $1)`, id)
}

// claim takes the only job there is, as a worker does that dies right after.
func (b *bench) claim(t testing.TB) claimed {
	t.Helper()
	worker := uuid.New()
	require.NoError(t, b.repository.signIn(t.Context(), worker, time.Hour))
	taken, _, err := b.repository.claim(t.Context(), worker, uuid.Nil, 10)
	require.NoError(t, err)
	require.Len(t, taken, 1)
	return taken[0]
}

// spent tells what the caller has paid, after checking that nothing is held
// and that the account is what its entries add up to.
func (b *bench) spent(t testing.TB) int64 {
	t.Helper()
	b.audit(t)
	balance, err := b.meter.Balance(t.Context(), billing.BalanceRequest{Caller: b.caller})
	require.NoError(t, err)
	require.Zero(t, balance.Held, "nothing stays held")
	granted := b.number(t, `SELECT coalesce(sum(amount), 0)::bigint FROM uaol_billing.journal WHERE organization_id = $1 AND kind = 'grant'`, b.caller.Organization)
	return granted - balance.Available
}

func (b *bench) audit(t testing.TB) {
	t.Helper()
	require.Zero(t, b.number(t, `
		SELECT count(*) FROM uaol_billing.accounts a WHERE (available, held) <> (
			SELECT coalesce(sum(CASE WHEN kind IN ('grant', 'purchase', 'release', 'refund', 'receive') THEN amount WHEN kind IN ('settle', 'owe') THEN 0 ELSE -amount END), 0)::bigint, coalesce(sum(CASE kind WHEN 'hold' THEN amount WHEN 'settle' THEN -amount WHEN 'release' THEN -amount ELSE 0 END), 0)::bigint
			FROM uaol_billing.journal e WHERE e.organization_id = a.organization_id)`), "accounts are the sums of their entries")
	require.Zero(t, b.number(t, `
		SELECT count(*) FROM uaol_billing.accounts a WHERE held <> (
			SELECT coalesce(sum(h.amount - h.settled), 0)::bigint FROM uaol_billing.holds h
			WHERE h.organization_id = a.organization_id AND h.state = 'open')`), "what is held is the open holds'")
	for event, which := range map[string]string{"job.created": "{Queued}", "job.ended": "{Success,Failed,Cancelled}"} {
		require.Equal(t,
			b.number(t, `SELECT coalesce(sum(jsonb_array_length(data -> 'jobs')), 0)::bigint FROM uaol_jobs.outbox WHERE type = $1`, event),
			b.number(t, `SELECT coalesce(sum(jobs), 0)::bigint FROM uaol_jobs.job_minutes WHERE status = ANY ($1::text[])`, which),
			"each %s is counted once", event)
	}
	require.Equal(t, b.number(t, `SELECT coalesce(sum(spent), 0)::bigint FROM uaol_jobs.jobs`), b.number(t, `SELECT coalesce(sum(credits), 0)::bigint FROM uaol_jobs.job_minutes`),
		"what jobs have cost is counted once")
}

// worker is an engine that runs, with a pool of its own.
type worker struct {
	*Engine
	pool   *pgxpool.Pool
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// start runs an engine until the test ends, or it is stopped.
func (b *bench) start(t testing.TB, change ...func(*Engine)) *worker {
	t.Helper()
	w := b.worker(t, nil, change...)
	w.begin()
	return w
}

func (b *bench) worker(t testing.TB, tracer pgx.QueryTracer, change ...func(*Engine)) *worker {
	t.Helper()
	w := &worker{pool: b.open(t, tracer)}
	repository := NewRepository(w.pool)
	w.Engine = b.engine(repository)
	for _, f := range change {
		f(w.Engine)
	}
	t.Cleanup(func() { w.stop(); repository.Close() })
	return w
}

func (b *bench) engine(repository *Repository) *Engine {
	e := NewEngine(repository, b.tools, b.models, b.meter, b.bus, Config{Concurrency: 64}, zap.NewNop())
	e.children = b.service
	return e
}

func (w *worker) begin() {
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	w.done.Go(func() { _ = w.Run(ctx) })
	w.done.Go(func() { _ = w.Heartbeat(ctx) })
	w.done.Go(func() { _ = w.Timers(ctx) })
}

// stop is the graceful one.
func (w *worker) stop() {
	if w.cancel != nil {
		w.cancel()
	}
	w.done.Wait()
}

// kill takes the database away before it ends the loops: nothing is handed
// back, as when a process dies.
func (w *worker) kill() {
	w.cancel()
	w.pool.Close()
	w.done.Wait()
}

func through(invoker proxy.Invoker) func(*Engine) { return func(e *Engine) { e.invoker = invoker } }
func leased(lease, heartbeat time.Duration) func(*Engine) {
	return func(e *Engine) { e.lease, e.heartbeat = lease, heartbeat }
}
func handingBackIn(d time.Duration) func(*Engine) { return func(e *Engine) { e.handBackIn = d } }

// tools is an Invoker that remembers its calls. It answers with the call's
// parameters unless told otherwise.
type tools struct {
	mu      sync.Mutex
	calls   []proxy.CallRequest
	count   map[string]int // by operation
	asked   atomic.Int64   // for methods
	answer  func(ctx context.Context, in proxy.CallRequest) (proxy.CallResult, error)
	methods func() ([]upstream.Method, error)
}

func (i *tools) Call(ctx context.Context, in proxy.CallRequest) (proxy.CallResult, error) {
	i.mu.Lock()
	i.calls = append(i.calls, in)
	i.count[in.Operation]++
	answer := i.answer
	i.mu.Unlock()
	if answer != nil {
		return answer(ctx, in)
	}
	return echo(in), nil
}

func (i *tools) Methods(context.Context, proxy.MethodsRequest) ([]upstream.Method, error) {
	i.asked.Add(1)
	i.mu.Lock()
	methods := i.methods
	i.mu.Unlock()
	if methods == nil {
		return nil, nil
	}
	return methods()
}

// times is how often an operation was called.
func (i *tools) times(operation string) int { return i.counted()[operation] }

// counted is how often each operation was called.
func (i *tools) counted() map[string]int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return maps.Clone(i.count)
}

// received is every call so far.
func (i *tools) received() []proxy.CallRequest {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.calls)
}

func (i *tools) answers(f func(ctx context.Context, in proxy.CallRequest) (proxy.CallResult, error)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.answer = f
}

func (i *tools) says(methods []upstream.Method, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.methods = func() ([]upstream.Method, error) { return methods, err }
}

// called lists the steps that were called, in order.
func (i *tools) called() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	var steps []string
	for _, c := range i.calls {
		steps = append(steps, stepOf(c))
	}
	return steps
}

func stepOf(in proxy.CallRequest) string { return in.Operation[len(uuid.Nil.String())+1:] }

func echo(in proxy.CallRequest) proxy.CallResult {
	return proxy.CallResult{Result: json.RawMessage(`{"content":[],"structuredContent":` + string(in.Params) + `}`)}
}

func isError(text string) (proxy.CallResult, error) {
	result, err := json.Marshal(map[string]any{"isError": true, "content": []any{map[string]any{"type": "text", "text": text}}})
	return proxy.CallResult{Result: result, Failed: true}, err
}

// gate holds calls up until it is opened, and tells how many wait.
type gate struct {
	entered chan string
	open    chan struct{}
	once    sync.Once
}

func newGate(t testing.TB) *gate {
	g := &gate{entered: make(chan string, 2000), open: make(chan struct{})}
	t.Cleanup(g.release)
	return g
}

func (g *gate) release() { g.once.Do(func() { close(g.open) }) }

// pass waits; a call that is cut meanwhile has an unknown outcome.
func (g *gate) pass(ctx context.Context, in proxy.CallRequest) (proxy.CallResult, error) {
	g.entered <- stepOf(in)
	select {
	case <-g.open:
		return echo(in), nil
	case <-ctx.Done():
		return proxy.CallResult{}, services.Errorf(services.Timeout, "cut").WithCode(services.CodeOutcomeUnknown)
	}
}

func (g *gate) wait(t testing.TB) string {
	t.Helper()
	return receive(t, g.entered)
}

func receive[T any](t testing.TB, from <-chan T) (value T) {
	t.Helper()
	select {
	case value = <-from:
	case <-time.After(longest):
		require.FailNow(t, "nothing came")
	}
	return value
}

// eventually asks again and again until it is so.
func eventually(t testing.TB, so func() bool) {
	t.Helper()
	require.Eventually(t, so, longest, 5*time.Millisecond)
}

// seen is what the bus has told.
type seen struct {
	mu      sync.Mutex
	all     []events.Event
	changed chan struct{}
}

func watch(bus *events.Bus) *seen {
	s := &seen{changed: make(chan struct{})}
	bus.Subscribe(func(e events.Event) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.all = append(s.all, e)
		close(s.changed)
		s.changed = make(chan struct{})
	})
	return s
}

func (s *seen) wait(t testing.TB, enough func([]events.Event) bool) {
	t.Helper()
	timer := time.NewTimer(longest)
	defer timer.Stop()
	for {
		s.mu.Lock()
		ok, changed := enough(s.all), s.changed
		s.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-timer.C:
			require.FailNow(t, "what was waited for did not happen")
		}
	}
}

// failureOf is why a job failed.
func failureOf(t testing.TB, job Job) string {
	t.Helper()
	require.Equal(t, Failed, job.Status)
	require.NotNil(t, job.ErrorMessage)
	return *job.ErrorMessage
}

// admin is who decides about tools.
var admin = services.Caller{Account: uuid.New(), Role: services.RoleAdmin}

// The most that a definition may hold, and where its faults are told.
const (
	maxSteps = 1000
	maxBytes = 1 << 20
	at       = "body.workflow_definition"
)

const aTool = "0190a0b0-0000-7000-8000-000000000000"

func decoded(t require.TestingT, text string) (value any) {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	require.NoError(t, decoder.Decode(&value), text)
	return value
}

func object(t require.TestingT, text string) map[string]any { return decoded(t, text).(map[string]any) }

func faultsOf(t require.TestingT, err error) []services.Fault {
	var e *services.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, services.Invalid, e.Kind)
	faults, ok := e.Details.([]services.Fault)
	require.True(t, ok)
	return faults
}

// written stores what a worker says of a step, as it does when the call begins or
// ends.
func (b *bench) written(t testing.TB, c claimed, step string, status Status, more func(*stepChange)) bool {
	t.Helper()
	d, err := b.repository.definitions.of(c.Definition)
	require.NoError(t, err)
	position, ok := d.Index(step)
	require.True(t, ok)
	s := stepChange{Position: position, Item: whole, Status: status, Attempt: 1}
	if more != nil {
		more(&s)
	}
	b.seq++
	done, err := b.repository.changeAll(t.Context(), []change{{Job: c.ID, Fence: c.Fence, Seq: b.seq, Steps: []stepChange{s}}})
	require.NoError(t, err)
	return done[0]
}

func withResult(text string) func(*stepChange) { return func(s *stepChange) { s.Result = &text } }
func withError(text string) func(*stepChange)  { return func(s *stepChange) { s.Error = &text } }

// waits until a step has that status.
func (b *bench) waits(t testing.TB, job uuid.UUID, step string, status Status) {
	t.Helper()
	eventually(t, func() bool { return b.steps(t, job)[step].Status == status })
}

// takeAway gives a job to another worker, which does nothing.
func (b *bench) takeAway(t testing.TB, job uuid.UUID) {
	t.Helper()
	worker := uuid.New()
	require.NoError(t, b.repository.signIn(tContext, worker, time.Hour)) // else it would be taken for dead
	b.exec(t, `UPDATE uaol_jobs.runs SET fence = fence + 1, worker_id = $2 WHERE job_id = $1`, job, worker)
}

// forget lets only count what happens from now on.
func (s *seen) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = nil
}
