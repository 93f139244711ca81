package bench

import (
	"context"
	"encoding/json"
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
	"uaol/providers/upstream"
	"uaol/services"
	"uaol/services/billing"
	"uaol/services/billing/billingtest"
	"uaol/services/jobs"
	"uaol/services/proxy"
	"uaol/services/registry"
)

const (
	inBatch = 2000 // jobs of one request; everybody's are as large
	atOnce  = 2000 // jobs that are worked on at the same time, by everybody
	makers  = 2    // that make jobs at once
)

// noop is a tool that does nothing, in no time.
type noop struct{}

func (noop) Call(context.Context, proxy.CallRequest) (proxy.CallResult, error) {
	return proxy.CallResult{Result: json.RawMessage(`{"content":[]}`)}, nil
}

func (noop) Methods(context.Context, proxy.MethodsRequest) ([]upstream.Method, error) {
	return nil, nil
}

// offering is a registry with one tool, whose method may be repeated or may not.
type offering struct {
	registry.Catalog
	offer registry.Offer
}

func (o offering) Offers(context.Context, registry.ToolsRequest) ([]registry.Offer, error) {
	return []registry.Offer{o.offer}, nil
}

func offered(price int64, repeatable bool) offering {
	o := registry.Offer{ToolID: uuid.New(), Version: 1, Pinned: true, Methods: []registry.Method{
		{Method: upstream.Method{Name: "do", Annotations: &upstream.Annotations{Idempotent: repeatable}}}}}
	o.Visibility, o.Price = registry.Public, price
	return offering{offer: o}
}

// uaol is the job engine with the real billing behind it.
type uaol struct {
	database *database
	pool     *pgxpool.Pool
	meter    *billing.Service
	bus      *events.Bus
	service  *jobs.Service
	engine   *jobs.Engine
	caller   services.Caller
	ended    atomic.Int64
	want     atomic.Int64
	all      chan struct{} // gets something when as many have ended as are wanted
	tools    tooling
	close    []func()
}

// startUAOL makes an engine that does not work yet.
func startUAOL(t testing.TB, d *database, with equip, tracer pgx.QueryTracer) *uaol {
	t.Helper()
	home := uuid.New()
	u := &uaol{database: d, pool: d.pool(t, tracer), bus: events.NewBus(), all: make(chan struct{}, 1),
		caller: services.Caller{Account: uuid.New(), Organization: home, Home: home, Role: services.RoleUser, OrgRole: services.OrgOwner, Personal: true}}
	u.meter = billingtest.New(t, u.pool)
	u.tools = with(t, u.pool, u.meter, u.bus)
	policy, err := egress.New(egress.Config{})
	require.NoError(t, err)
	repository := jobs.NewRepository(u.pool)
	u.engine = jobs.NewEngine(repository, u.tools.invoker, jobs.Models{}, u.meter, u.bus, jobs.Config{Concurrency: atOnce}, zap.NewNop())
	u.service = jobs.NewService(repository, u.engine, u.tools.catalog, u.meter, policy, u.bus, zap.NewNop())
	u.bus.Subscribe(func(e events.Event) {
		if e.Type == "job.ended" && u.ended.Add(1) == u.want.Load() {
			u.all <- struct{}{}
		}
	})
	u.close = []func(){repository.Close, u.tools.close, u.pool.Close}
	return u
}

const rich = 1_000_000_000

// enrich gives the account more credits than can be spent.
func (u *uaol) enrich(t testing.TB) {
	t.Helper()
	_, err := u.meter.Grant(t.Context(), billing.Correction{Organization: u.caller.Organization, Operation: uuid.New(), Amount: rich})
	require.NoError(t, err)
}

// work runs the engine's loops until it is stopped.
func (u *uaol) work() {
	ctx, cancel := context.WithCancel(context.Background())
	var loops sync.WaitGroup
	for _, loop := range []func(context.Context) error{u.engine.Run, u.engine.Heartbeat, u.engine.Timers} {
		loops.Go(func() { _ = loop(ctx) })
	}
	u.close = append([]func(){func() { cancel(); loops.Wait() }}, u.close...)
}

func (u *uaol) stop() {
	for _, f := range u.close {
		f()
	}
	u.close = nil
}

// expect says how many jobs are to end from now on.
func (u *uaol) expect(n int) { u.want.Store(u.ended.Load() + int64(n)) }

func (u *uaol) wait(t testing.TB) {
	t.Helper()
	select {
	case <-u.all:
	case <-time.After(30 * time.Minute):
		t.Fatalf("%d of %d jobs have ended", u.ended.Load(), u.want.Load())
	}
}

type step struct {
	ID     string    `json:"id"`
	Tool   uuid.UUID `json:"tool_id"`
	Action string    `json:"action"`
	Params any       `json:"parameters,omitempty"`
	Needs  []string  `json:"depends_on,omitempty"`
}

// step calls the tool, after others if they are named.
func (u *uaol) step(id string, needs ...string) step {
	return step{ID: id, Tool: u.tools.tool, Action: u.tools.action, Params: task{X: 1}, Needs: needs}
}

func request(t testing.TB, steps ...step) jobs.Request {
	t.Helper()
	text, err := json.Marshal(map[string]any{"steps": steps})
	require.NoError(t, err)
	return jobs.Request{Definition: text}
}

// create makes n jobs, in batches by several at once.
func (u *uaol) create(t testing.TB, caller services.Caller, n int, in jobs.Request) {
	t.Helper()
	inBatches(n, func(size int) {
		all := make([]jobs.Request, size)
		for i := range all {
			all[i] = in
		}
		if _, err := u.service.CreateMany(t.Context(), caller, all); err != nil {
			t.Error(err)
		}
	})
	if t.Failed() {
		t.FailNow()
	}
}

// inBatches shares n among the makers.
func inBatches(n int, f func(size int)) {
	var left atomic.Int64
	left.Store(int64(n))
	var group sync.WaitGroup
	for range makers {
		group.Go(func() {
			for {
				after := left.Add(-inBatch)
				if size := min(inBatch, int(after+inBatch)); size > 0 {
					f(size)
				} else {
					return
				}
			}
		})
	}
	group.Wait()
}

// succeeded checks what is in the books: all jobs, and what they cost.
func (u *uaol) succeeded(t testing.TB, n int, price int64) {
	t.Helper()
	var jobs, held, spent int64
	var failure string
	require.NoError(t, u.pool.QueryRow(t.Context(), `SELECT count(*) FILTER (WHERE status = 'Success'), coalesce(min(error_message), '') FROM uaol_jobs.jobs`).Scan(&jobs, &failure))
	require.EqualValues(t, n, jobs, "jobs that have succeeded; others: %s", failure)
	require.NoError(t, u.pool.QueryRow(t.Context(), `SELECT coalesce(sum(held), 0)::bigint, coalesce(sum(revenue), 0)::bigint FROM uaol_billing.accounts`).Scan(&held, &spent))
	require.Zero(t, held)
	require.EqualValues(t, price*int64(n), spent)
}
