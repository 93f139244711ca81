package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/providers/upstream"
	"uaol/services"
	"uaol/services/billing"
	"uaol/services/registry"
)

func TestASuccessIsChargedOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 30, b.box.mcp, "mcp")
	for i := range 2 {
		got, err := b.service.Call(t.Context(), CallRequest{Caller: b.caller, ToolID: tool, Method: "echo", Params: json.RawMessage(`{"n":9007199254740993}`)})
		require.NoError(t, err)
		require.False(t, got.Failed)
		require.Equal(t, `{"n":9007199254740993}`, textOf(t, got.Result))
		require.EqualValues(t, 30*(i+1), b.spent(t))
	}
	require.EqualValues(t, 2, b.entries(t, "hold"))
	require.EqualValues(t, 2, b.entries(t, "settle"))
	require.Zero(t, b.entries(t, "release"))
	require.Zero(t, b.number(t, `SELECT count(*) FROM uaol_billing.holds h JOIN uaol_billing.spenders s ON s.spender_id = h.spender_id WHERE s.account_id <> $1 OR h.owner <> 'call'`, b.caller.Account))
}

func TestWhatIsCharged(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		method  string
		url     func(*testing.T, *bench) string // default: the odd server
		kind    services.Kind
		code    string
		charged bool
		reached bool
	}{
		"a REST answer":                 {method: "fine", charged: true, reached: true},
		"HTTP 500":                      {method: "status500", kind: services.Upstream, reached: true},
		"HTTP 503":                      {method: "status503", kind: services.Upstream, reached: true},
		"garbage":                       {method: "garbage", kind: services.Upstream, reached: true},
		"isError that is no bool":       {method: "odd", kind: services.Upstream, reached: true},
		"cut after it was written":      {method: "cut", kind: services.Timeout, code: "OUTCOME_UNKNOWN", charged: true, reached: true},
		"too slow after it was written": {method: "hang", kind: services.Timeout, code: "OUTCOME_UNKNOWN", charged: true, reached: true},
		"nobody listens": {method: "fine", kind: services.Unavailable,
			url: func(t *testing.T, _ *bench) string { return closed(t) }},
		"a method that cannot be one": {method: "a\nb", kind: services.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setupWith(t, upstream.Limits{CallTimeout: time.Second})
			url := b.box.odd
			if c.url != nil {
				url = c.url(t, b)
			}
			tool := b.tool(t, 7, url, "rest")
			_, err := b.service.Call(t.Context(), CallRequest{Caller: b.caller, ToolID: tool, Method: c.method})
			require.Equal(t, c.kind, services.KindOf(err), "%v", err)
			if c.code != "" {
				var e *services.Error
				require.True(t, errors.As(err, &e))
				require.Equal(t, c.code, e.Code)
			}
			want := int64(0)
			if c.charged {
				want = 7
			}
			require.Equal(t, want, b.spent(t))
			require.EqualValues(t, 1, b.entries(t, "hold"))
			require.Equal(t, c.reached, b.box.calls.Load() == 1)
		})
	}
}

func TestIsErrorIsAResultThatCostsNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	got, err := b.service.Call(t.Context(), CallRequest{Caller: b.caller, ToolID: b.tool(t, 7, b.box.mcp, "mcp"), Method: "fails"})
	require.NoError(t, err)
	require.True(t, got.Failed)
	require.Equal(t, "no such city", textOf(t, got.Result))
	require.Zero(t, b.spent(t))
	require.EqualValues(t, 1, b.entries(t, "release"))
}

// An address that the policy closed after the tool was registered.
func TestAClosedAddressCostsNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.offer(t, 7, "http://169.254.169.254/", "rest", nil)
	_, err := b.service.Call(t.Context(), CallRequest{Caller: b.caller, ToolID: tool, Method: "fine"})
	require.Equal(t, services.Upstream, services.KindOf(err))
	require.Zero(t, b.spent(t))
}

func TestACallerThatLeavesDoesNotKeepTheHoldOpen(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"mcp", "rest"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			url := map[string]string{"mcp": b.box.mcp, "rest": b.box.odd}[protocol]
			tool := b.tool(t, 7, url, protocol)
			ctx, leave := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() {
				_, err := b.service.Call(ctx, CallRequest{Caller: b.caller, ToolID: tool, Method: "hang"})
				done <- err
			}()
			receive(t, b.box.entered)
			leave()
			require.True(t, upstream.Delivered(receive(t, done)))
			require.EqualValues(t, 7, b.spent(t), "it may have been done")
		})
	}
}

// ledger is a Meter that answers as it is told.
type ledger struct {
	billing.Meter
	hold  func(context.Context, billing.HoldRequest) (billing.Hold, error)
	fails atomic.Int64 // so many settlements and releases
	ended atomic.Int64
}

func (l *ledger) Hold(ctx context.Context, in billing.HoldRequest) (billing.Hold, error) {
	if l.hold != nil {
		return l.hold(ctx, in)
	}
	return l.Meter.Hold(ctx, in)
}

func (l *ledger) Settle(ctx context.Context, in billing.SettleRequest) (billing.Hold, error) {
	hold, err := l.Meter.Settle(ctx, in)
	return l.answer(hold, err)
}

func (l *ledger) SettleMany(ctx context.Context, in billing.SettlesRequest) ([]billing.Outcome, error) {
	outcomes, err := l.Meter.SettleMany(ctx, in)
	if _, err = l.answer(billing.Hold{}, err); err != nil {
		return nil, err
	}
	return outcomes, nil
}

func (l *ledger) Release(ctx context.Context, in billing.ReleaseRequest) (billing.Hold, error) {
	hold, err := l.Meter.Release(ctx, in)
	return l.answer(hold, err)
}

// answer loses the first answers: what was asked was done all the same.
func (l *ledger) answer(hold billing.Hold, err error) (billing.Hold, error) {
	l.ended.Add(1)
	if l.fails.Add(-1) >= 0 {
		return billing.Hold{}, services.Errorf(services.Unavailable, "the answer was lost")
	}
	return hold, err
}

func TestAnEndOfAHoldIsRepeatedUntilItIsHeard(t *testing.T) {
	t.Parallel()
	for method, want := range map[string]int64{"echo": 7, "fails": 0} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			meter := &ledger{Meter: b.meter}
			meter.fails.Store(2)
			b.serve(t, b.catalog, meter, nil)
			_, err := b.service.Call(t.Context(), CallRequest{Caller: b.caller, ToolID: b.tool(t, 7, b.box.mcp, "mcp"), Method: method})
			require.NoError(t, err)
			require.Equal(t, want, b.spent(t), "and counts once")
			require.EqualValues(t, 3, meter.ended.Load())
		})
	}
}

// Nobody shall pay, by way of the sweeper, for a call that was never sent.
func TestAHoldWhoseAnswerWasLostIsReleased(t *testing.T) {
	t.Parallel()
	for name, lost := range map[string]error{
		"cancelled":   context.Canceled,
		"unavailable": services.Errorf(services.Unavailable, "the answer was lost"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			ctx, leave := context.WithCancel(t.Context())
			b.serve(t, b.catalog, &ledger{Meter: b.meter, hold: func(ctx context.Context, in billing.HoldRequest) (billing.Hold, error) {
				_, err := b.meter.Hold(ctx, in)
				require.NoError(t, err)
				leave()
				return billing.Hold{}, lost
			}}, nil)
			_, err := b.service.Call(ctx, CallRequest{Caller: b.caller, ToolID: b.tool(t, 7, b.box.mcp, "mcp"), Method: "echo"})
			require.ErrorIs(t, err, lost)
			require.Zero(t, b.box.calls.Load())
			require.Zero(t, b.spent(t))
			require.EqualValues(t, 1, b.entries(t, "release"))
		})
	}
}

func TestWhatTouchesNoLedger(t *testing.T) {
	t.Parallel()
	b := setup(t)
	free, dear := b.tool(t, 0, b.box.mcp, "mcp"), b.tool(t, 7, b.box.mcp, "mcp")
	job := uuid.New()
	for _, method := range []string{"echo", "fails"} {
		for _, in := range []CallRequest{{ToolID: free}, {ToolID: dear, Prepaid: &job}} {
			in.Caller, in.Method = b.caller, method
			_, err := b.service.Call(t.Context(), in)
			require.NoError(t, err)
		}
	}
	require.EqualValues(t, 4, b.box.calls.Load())
	require.Zero(t, b.number(t, `SELECT count(*) FROM uaol_billing.journal`))
	require.Zero(t, b.number(t, `SELECT count(*) FROM uaol_billing.accounts`))
}

func TestTooFewCreditsReachNoTool(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.service.Call(t.Context(), CallRequest{Caller: b.caller, ToolID: b.tool(t, 10_001, b.box.mcp, "mcp"), Method: "echo"})
	require.EqualError(t, err, "Insufficient credits. Required: 10001, Available: 10000")
	require.Zero(t, b.box.calls.Load())
	require.Zero(t, b.spent(t))
}

// Of a hundred calls at once, as many succeed as there are credits for.
func TestManyCallsAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 200, b.box.odd, "rest")
	var good, poor atomic.Int64
	var calls sync.WaitGroup
	for range 100 {
		calls.Go(func() {
			_, err := b.service.Call(t.Context(), CallRequest{Caller: b.caller, ToolID: tool, Method: "fine"})
			switch {
			case err == nil:
				good.Add(1)
			case services.Is(err, services.Insufficient):
				poor.Add(1)
			}
		})
	}
	calls.Wait()
	require.EqualValues(t, 50, good.Load())
	require.EqualValues(t, 50, poor.Load())
	require.EqualValues(t, 50, b.box.calls.Load())
	require.EqualValues(t, 10_000, b.spent(t))
}

func TestCallsCarryAKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	dear, free := b.tool(t, 1, b.box.mcp, "mcp"), b.tool(t, 0, b.box.mcp, "mcp")
	key := func(tool uuid.UUID, operation string) string {
		got, err := b.service.Call(t.Context(), CallRequest{Caller: b.caller, ToolID: tool, Method: "key", Operation: operation})
		require.NoError(t, err)
		return textOf(t, got.Result)
	}
	require.Equal(t, "job/step", key(free, "job/step"))
	require.Equal(t, "job/step", key(dear, "job/step"))
	made := key(dear, "")
	require.NoError(t, b.till.Flush(t.Context()))
	require.EqualValues(t, 1, b.number(t, `SELECT count(*) FROM uaol_billing.journal WHERE kind = 'settle' AND operation_id = $1`, made), "a direct call's key is its charge's")
}

func TestWhichToolsAndParamsAreTaken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 7, b.box.mcp, "mcp")
	pending := b.pending(t, 7, b.box.mcp, "mcp")
	disabled := b.tool(t, 7, b.box.mcp, "mcp")
	require.NoError(t, b.catalog.Disable(t.Context(), admin, disabled, registry.Decision{}))

	for _, id := range []uuid.UUID{uuid.New(), pending, disabled} {
		_, err := b.service.Call(t.Context(), CallRequest{Caller: b.caller, ToolID: id, Method: "echo"})
		require.EqualError(t, err, "Tool not found")
		require.Equal(t, services.NotFound, services.KindOf(err))
		_, err = b.service.Methods(t.Context(), MethodsRequest{ToolID: id})
		require.EqualError(t, err, "Tool not found")
	}

	_, err := b.service.Call(t.Context(), CallRequest{Caller: b.caller, ToolID: tool})
	require.EqualError(t, err, "Method is required")
	for _, params := range []string{`[]`, `"x"`, `7`, `true`, ` [1]`, `x`} {
		_, err := b.service.Call(t.Context(), CallRequest{Caller: b.caller, ToolID: tool, Method: "echo", Params: json.RawMessage(params)})
		require.EqualError(t, err, "body.params: must be an object", params)
	}
	_, err = b.service.Call(t.Context(), CallRequest{Caller: b.caller, ToolID: tool, Method: "echo", Params: json.RawMessage(`{"a":`)})
	require.Equal(t, services.Invalid, services.KindOf(err))
	require.Zero(t, b.spent(t))
	require.Zero(t, b.box.calls.Load())

	for _, params := range []string{``, ` `, `null`, "\n{} "} {
		got, err := b.service.Call(t.Context(), CallRequest{Caller: b.caller, ToolID: tool, Method: "echo", Params: json.RawMessage(params)})
		require.NoError(t, err)
		require.Equal(t, "{}", textOf(t, got.Result))
	}
}

func TestATooOldVersionIsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	owner, name, protocol, price, dearer := user(), "weather", "mcp", int64(7), int64(8)
	tool, err := b.catalog.Register(t.Context(), owner, registry.Change{Name: &name, GatewayURL: &b.box.mcp, Price: &price, Protocol: &protocol})
	require.NoError(t, err)
	require.NoError(t, b.catalog.Approve(t.Context(), admin, tool.ID, registry.Decision{Unpinned: true}))
	call := func(version int64) error {
		_, err := b.service.Call(t.Context(), CallRequest{Caller: b.caller, ToolID: tool.ID, Method: "echo", Version: version})
		return err
	}
	require.NoError(t, call(1))
	_, err = b.catalog.Update(t.Context(), owner, tool.ID, registry.Change{Price: &dearer})
	require.NoError(t, err)
	require.NoError(t, call(1), "the old version goes on while the new one waits")
	require.NoError(t, b.catalog.Approve(t.Context(), admin, tool.ID, registry.Decision{Unpinned: true}))
	err = call(1)
	require.Equal(t, services.Conflict, services.KindOf(err))
	require.EqualError(t, err, "The tool weather has changed since (version 1, now 2)")
	require.NoError(t, call(2))
	require.NoError(t, call(0))
	require.EqualValues(t, 7+7+8+8, b.spent(t))
}

func TestMethods(t *testing.T) {
	t.Parallel()
	b := setup(t)
	methods, err := b.service.Methods(t.Context(), MethodsRequest{ToolID: b.tool(t, 7, b.box.mcp, "mcp")})
	require.NoError(t, err)
	require.Len(t, methods, 4)
	for name, want := range map[string]bool{"echo": true, "key": true, "fails": false, "hang": false, "unknown": false} {
		require.Equal(t, want, Repeatable(methods, name), name)
	}
	require.Zero(t, b.number(t, `SELECT count(*) FROM uaol_billing.journal`), "asking is free")

	methods, err = b.service.Methods(t.Context(), MethodsRequest{ToolID: b.tool(t, 7, b.box.odd, "rest")})
	require.NoError(t, err)
	require.Empty(t, methods)
	_, err = b.service.Methods(t.Context(), MethodsRequest{ToolID: b.tool(t, 7, closed(t), "mcp")})
	require.Equal(t, services.Unavailable, services.KindOf(err), fmt.Sprint(err))
}
