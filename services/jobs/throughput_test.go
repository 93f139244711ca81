package jobs

import (
	"context"
	"encoding/json"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/providers/events"
	"uaol/providers/upstream"
	"uaol/services/billing"
	"uaol/services/proxy"
	"uaol/services/registry"
)

// noop is a tool that does nothing, in no time; its method may be repeated.
type noop struct{}

func (noop) Call(context.Context, proxy.CallRequest) (proxy.CallResult, error) {
	return proxy.CallResult{Result: json.RawMessage(`{"content":[]}`)}, nil
}

func (noop) Methods(context.Context, proxy.MethodsRequest) ([]upstream.Method, error) {
	return nil, nil
}

// offering is a registry with one tool.
type offering struct {
	registry.Catalog
	offer registry.Offer
}

func (o offering) Offers(context.Context, registry.ToolsRequest) ([]registry.Offer, error) {
	return []registry.Offer{o.offer}, nil
}

func offered(price int64) (registry.Offer, uuid.UUID) {
	id := uuid.New()
	o := registry.Offer{ToolID: id, Version: 1, Pinned: true, Methods: []registry.Method{
		{Method: upstream.Method{Name: "do", Annotations: &upstream.Annotations{Idempotent: true}}}}}
	o.Visibility = registry.Public
	o.Price = price
	return o, id
}

func TestThroughput(t *testing.T) {
	if os.Getenv("UAOL_TEST_JOBS") == "" {
		t.Skip("UAOL_TEST_JOBS says how many")
	}
	for _, price := range []int64{0, 1} {
		b := setup(t)
		offer, tool := offered(price)
		b.service.catalog = offering{offer: offer}
		b.grantMuch(t)
		var done atomic.Int64
		w := b.worker(t, nil, through(noop{}), func(e *Engine) { e.most = 2000 })
		w.begin()
		all := make(chan struct{})
		const n, size = 100_000, 2_000
		b.bus.Subscribe(func(e events.Event) {
			if e.Type == "job.ended" && done.Add(1) == n {
				close(all)
			}
		})
		request := Request{Definition: definition(t, stepJSON{ID: "a", Tool: tool, Params: map[string]any{"x": 1}})}
		requests := make([]Request, size)
		for i := range requests {
			requests[i] = request
		}
		start := time.Now()
		var left atomic.Int64
		left.Store(n / size)
		var g sync.WaitGroup
		for range 2 {
			g.Go(func() {
				for left.Add(-1) >= 0 {
					_, err := b.service.CreateMany(t.Context(), b.caller, requests)
					require.NoError(t, err)
				}
			})
		}
		g.Wait()
		t.Logf("price %d: created %.0f/s", price, n/time.Since(start).Seconds())
		<-all
		t.Logf("price %d: all %.0f/s", price, n/time.Since(start).Seconds())
		w.stop()
		require.EqualValues(t, n, b.number(t, `SELECT count(*) FROM uaol_jobs.jobs WHERE status = 'Success'`))
	}
}

func (b *bench) grantMuch(t testing.TB) {
	t.Helper()
	_, err := b.meter.Balance(t.Context(), billing.BalanceRequest{Caller: b.caller})
	require.NoError(t, err)
	b.exec(t, `INSERT INTO uaol_billing.journal (organization_id, seq, operation_id, kind, amount, balance, created_at)
		SELECT organization_id, last_seq + 1, 'test', 'grant', 2000000000000, available + 2000000000000, now() FROM uaol_billing.accounts WHERE organization_id = $1`, b.caller.Organization)
	b.exec(t, `UPDATE uaol_billing.accounts SET last_seq = last_seq + 1, available = available + 2000000000000, grants = grants + 2000000000000 WHERE organization_id = $1`, b.caller.Organization)
}
