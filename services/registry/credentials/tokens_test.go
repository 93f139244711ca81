package credentials

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"uaol/providers/postgres"
	"uaol/services"
)

// TestRefreshRunsOnce: of fifty callers in two processes one renews the token,
// at a real server that takes each refresh token once.
func TestRefreshRunsOnce(t *testing.T) {
	t.Parallel()
	b, p := setup(t), startProvider(t)
	other := onDatabase(t, b.pool)
	tool, ada := b.oauthTool(t, user(), p), user()
	other.put(tool)
	b.consent(t, ada, tool, ofUser)
	last := b.carried(t, tool, ada).Headers["Authorization"]
	for round := range 4 {
		b.due(t, round%2 == 0) // with and without a token that still counts
		var group sync.WaitGroup
		var mu sync.Mutex
		got := map[string]int{}
		for i := range 50 {
			at := []*bench{b, other}[i%2]
			group.Go(func() {
				c, err := at.service.For(context.Background(), tool, ada)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
				}
				got[c.Headers["Authorization"]]++
			})
		}
		group.Wait()
		require.Equal(t, round+1, p.asked("refresh_token"), "round %d", round)
		fresh := b.carried(t, tool, ada).Headers["Authorization"]
		require.NotEqual(t, last, fresh)
		if round%2 == 0 {
			require.Equal(t, map[string]int{fresh: 50}, got)
		} else {
			require.Equal(t, 50, got[fresh]+got[last], "the old one was used while the new one was got")
		}
		last = fresh
	}
}

// TestARefreshOutlivesItsCaller: a refresh token that the server has replaced is
// kept, whether or not somebody waits for it.
func TestARefreshOutlivesItsCaller(t *testing.T) {
	t.Parallel()
	b, p := setup(t), startProvider(t)
	tool, ada := b.oauthTool(t, user(), p), user()
	b.consent(t, ada, tool, ofUser)
	b.due(t, true)
	ctx, leave := context.WithCancel(t.Context())
	p.failing(func(http.ResponseWriter, *http.Request) bool { leave(); return false })
	_, _ = b.service.For(ctx, tool, ada)
	p.failing(nil)
	require.NotEmpty(t, b.carried(t, tool, ada).Headers["Authorization"])
	require.Equal(t, 1, p.asked("refresh_token"))
	b.due(t, true)
	require.NotEmpty(t, b.carried(t, tool, ada).Headers["Authorization"], "with the new refresh token")
	require.Equal(t, 2, p.asked("refresh_token"))
}

// TestALeaseEndsByItself when its process was killed.
func TestALeaseEndsByItself(t *testing.T) {
	t.Parallel()
	b, p := setup(t), startProvider(t)
	tool, ada := b.oauthTool(t, user(), p), user()
	b.consent(t, ada, tool, ofUser)
	b.due(t, true)
	_, err := b.pool.Exec(t.Context(), `UPDATE uaol_registry.grants SET leased_until = now() + interval '300 milliseconds', fence = fence + 1`)
	require.NoError(t, err)
	began := time.Now()
	require.NotEmpty(t, b.carried(t, tool, ada).Headers["Authorization"])
	require.GreaterOrEqual(t, time.Since(began), 250*time.Millisecond)
	require.Equal(t, 1, p.asked("refresh_token"))

	// And who waits may leave.
	b.due(t, true)
	_, err = b.pool.Exec(t.Context(), `UPDATE uaol_registry.grants SET leased_until = now() + interval '1 minute'`)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = b.service.For(ctx, tool, ada)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

// TestALateRenewalChangesNothing: whoever lost the turn, or whose grant was
// withdrawn meanwhile, does not write over what came since.
func TestALateRenewalChangesNothing(t *testing.T) {
	t.Parallel()
	b, p := setup(t), startProvider(t)
	tool, ada := b.oauthTool(t, user(), p), user()
	for name, meanwhile := range map[string]string{
		"withdrawn":  `DELETE FROM uaol_registry.grants`,
		"given anew": `UPDATE uaol_registry.grants SET fence = fence + 1, leased_until = NULL, scopes = 'given anew', renew_at = NULL, expires_at = NULL`,
	} {
		b.consent(t, ada, tool, ofUser)
		b.due(t, true)
		p.failing(func(http.ResponseWriter, *http.Request) bool {
			_, err := b.pool.Exec(context.Background(), meanwhile)
			return err != nil
		})
		_, err := b.service.For(t.Context(), tool, ada)
		p.failing(nil)
		if name == "withdrawn" {
			require.Equal(t, CodeRequired, asError(t, err).Code)
			require.Zero(t, b.count(t, `SELECT count(*) FROM uaol_registry.grants`))
			continue
		}
		require.NoError(t, err)
		require.Equal(t, 1, b.count(t, `SELECT count(*) FROM uaol_registry.grants WHERE scopes = 'given anew'`), name)
	}
}

// TestAnEndedConsentHasToBeGivenAgain: the server refuses the refresh token.
func TestAnEndedConsentHasToBeGivenAgain(t *testing.T) {
	t.Parallel()
	b, p := setup(t), startProvider(t)
	tool, ada := b.oauthTool(t, user(), p), user()
	b.consent(t, ada, tool, ofUser)
	p.failing(func(w http.ResponseWriter, r *http.Request) bool {
		fails(http.StatusBadRequest, "invalid_grant")(w, r)
		return true
	})
	b.due(t, false)
	require.NotEmpty(t, b.carried(t, tool, ada).Headers["Authorization"], "it counts until its end")
	b.due(t, true)
	before := len(b.outbox(t, tool.ID))
	_, err := b.service.For(t.Context(), tool, ada)
	require.Equal(t, CodeRequired, asError(t, err).Code)
	require.ErrorContains(t, err, "has ended")
	require.Zero(t, b.count(t, `SELECT count(*) FROM uaol_registry.grants`))
	require.Len(t, b.outbox(t, tool.ID), before+1)
	p.failing(nil)
	b.consent(t, ada, tool, ofUser)
}

// TestARefreshThatFailsIsNoEnd: the server is away, or knows the client no more.
func TestARefreshThatFailsIsNoEnd(t *testing.T) {
	t.Parallel()
	b, p := setup(t), startProvider(t)
	tool, ada := b.oauthTool(t, user(), p), user()
	b.consent(t, ada, tool, ofUser)
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		kind   services.Kind
	}{
		"away":          {fails(http.StatusServiceUnavailable, ""), services.Unavailable},
		"a 500 with it": {fails(http.StatusInternalServerError, "invalid_grant"), services.Unavailable},
		"garbage":       {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, services.Unavailable},
		"no token":      {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) }, services.Unavailable},
		"another type": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"access_token":"x","token_type":"DPoP"}`))
		}, services.Unavailable},
		"a header in it": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"access_token":"x\r\nHost: evil"}`))
		}, services.Unavailable},
		"not the client": {fails(http.StatusUnauthorized, "invalid_client"), services.Upstream},
		"too much": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"access_token":"x","y":"` + strings.Repeat("y", maxAnswer) + `"}`))
		}, services.Unavailable},
	} {
		p.failing(func(w http.ResponseWriter, r *http.Request) bool { test.answer(w, r); return true })
		b.due(t, false)
		_, err := b.pool.Exec(t.Context(), `UPDATE uaol_registry.grants SET expires_at = now() + interval '30 seconds'`)
		require.NoError(t, err)
		c := b.carried(t, tool, ada)
		require.NotEmpty(t, c.Headers["Authorization"], "it counts until its end: %s", name)
		require.Less(t, time.Until(c.ExpiresAt), 10*time.Second, name)
		b.due(t, true)
		_, err = b.service.For(t.Context(), tool, ada)
		require.Equal(t, test.kind, services.KindOf(err), "%s: %v", name, err)
		require.NotContains(t, err.Error(), "<html>")
		require.Equal(t, 1, b.count(t, `SELECT count(*) FROM uaol_registry.grants WHERE leased_until IS NULL`), name)
	}
	p.failing(nil)
	require.NotEmpty(t, b.carried(t, tool, ada).Headers["Authorization"])
}

// askers are told apart by their contexts; seen has those whose look at the
// grants has been answered.
type askers struct {
	mu   sync.Mutex
	seen map[int]bool
}

type askerKey struct{}

func (a *askers) TraceQueryStart(ctx context.Context, _ *pgx.Conn, query pgx.TraceQueryStartData) context.Context {
	if !strings.Contains(query.SQL, "FROM uaol_registry.grants") {
		return context.WithValue(ctx, askerKey{}, nil)
	}
	return ctx
}

func (a *askers) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryEndData) {
	if n, ok := ctx.Value(askerKey{}).(int); ok {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.seen[n] = true
	}
}

func (a *askers) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.seen)
}

// TestThoseWhoWaitLearnOfAFailure without each asking a server that is away.
func TestThoseWhoWaitLearnOfAFailure(t *testing.T) {
	t.Parallel()
	b, p := setup(t), startProvider(t)
	tool, ada := b.oauthTool(t, user(), p), user()
	b.consent(t, ada, tool, ofUser)
	b.due(t, true)
	traced, seen := b.pool.Config(), &askers{seen: map[int]bool{}} // a copy
	traced.ConnConfig.Tracer, traced.AfterConnect = seen, postgres.KnowUUIDs
	pool, err := pgxpool.NewWithConfig(t.Context(), traced)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	b.service.repository.pool = pool
	arrived, answer := make(chan struct{}, 21), make(chan struct{})
	p.failing(func(w http.ResponseWriter, r *http.Request) bool {
		arrived <- struct{}{}
		<-answer
		fails(http.StatusBadGateway, "")(w, r)
		return true
	})
	errs := make(chan error, 21)
	ask := func(n int) {
		_, err := b.service.For(context.WithValue(context.Background(), askerKey{}, n), tool, ada)
		errs <- err
	}
	go ask(0)
	<-arrived // it has the turn: from here on, whoever looks sees that
	for n := range 20 {
		go ask(n + 1)
	}
	require.Eventually(t, func() bool { return seen.count() == 21 }, 10*time.Second, 5*time.Millisecond)
	close(answer)
	for range 21 {
		require.Equal(t, services.Unavailable, services.KindOf(<-errs))
	}
	require.Equal(t, 1, p.asked("refresh_token"))
}

// TestClientCredentials: one token for all callers, got by the tool's own secret.
func TestClientCredentials(t *testing.T) {
	t.Parallel()
	b := setup(t)
	other := onDatabase(t, b.pool)
	s := startScript(t)
	issued := 0
	var mu sync.Mutex
	s.answer("/t", func(w http.ResponseWriter, r *http.Request) {
		id, secret, _ := r.BasicAuth()
		if id != clientID || secret != secretly {
			fails(http.StatusUnauthorized, "invalid_client")(w, r)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		issued++
		_, _ = fmt.Fprintf(w, `{"access_token":"token-%d","token_type":"Bearer","expires_in":3600}`, issued)
	})
	owner, ada := user(), user()
	tool := b.tool(t, owner, func(tool *Tool) {
		tool.Inject = Injection{Headers: map[string]string{"X-Caller": "{{secret.NAME}}"}}
		tool.OAuth = &OAuth{Grant: clientCredentials, ClientID: clientID, TokenURL: s.URL + "/t", Scopes: []string{"read", "write"}, Resource: "https://weather.example.com/mcp"}
	})
	b.give(t, owner, tool, ofTool, "NAME", "x")
	require.Equal(t, []string{clientSecret}, b.required(t, tool, ada).Missing)
	b.give(t, owner, tool, ofTool, clientSecret, secretly)

	var group sync.WaitGroup
	for i := range 30 {
		at := []*bench{b, other}[i%2]
		group.Go(func() {
			c, err := at.service.For(context.Background(), tool, []services.Caller{ada, owner, {}}[i%3])
			if err != nil || c.Headers["Authorization"] != "Bearer token-1" || c.Headers["X-Caller"] != "x" {
				t.Errorf("%v, %v", c.Headers, err)
			}
		})
	}
	group.Wait()
	require.Equal(t, 1, issued)
	form, _ := s.form(t)
	require.Equal(t, "client_credentials", form.Get("grant_type"))
	require.Equal(t, "read write", form.Get("scope"))
	require.Equal(t, "https://weather.example.com/mcp", form.Get("resource"))
	require.Empty(t, b.traces(t, "token-1"))

	// A minute before its end another is got.
	c := b.carried(t, tool, ada)
	require.InDelta(t, 59*60, time.Until(c.ExpiresAt).Seconds(), 30)
	b.due(t, false)
	require.Equal(t, "Bearer token-2", b.carried(t, tool, ada).Headers["Authorization"])

	// A token for one place is not shown to another, and the owner may have one for that.
	moved := tool
	moved.GatewayURL = "https://new.example.com/mcp"
	b.give(t, owner, moved, ofTool, "NAME", "x")
	require.Equal(t, "Bearer token-3", b.carried(t, moved, ada).Headers["Authorization"])

	b.give(t, owner, tool, ofTool, clientSecret, "wrong")
	b.due(t, true)
	_, err := b.service.For(t.Context(), tool, ada)
	require.Equal(t, services.Upstream, services.KindOf(err))
	require.ErrorContains(t, err, "oauth_client_secret")
	require.NotContains(t, err.Error(), "wrong")
}

// TestAServerIsAskedInItsOwnWay: some take the client's secret only in the body.
func TestAServerIsAskedInItsOwnWay(t *testing.T) {
	t.Parallel()
	b, s := setup(t), startScript(t)
	s.answer("/t", func(w http.ResponseWriter, r *http.Request) {
		if r.Form.Get("client_secret") != secretly {
			fails(http.StatusUnauthorized, "invalid_client")(w, r)
			return
		}
		_, _ = w.Write([]byte(`{"access_token":"x"}`))
	})
	owner := user()
	tool := b.tool(t, owner, func(tool *Tool) {
		tool.Inject = Injection{}
		tool.OAuth = &OAuth{Grant: clientCredentials, ClientID: clientID, TokenURL: s.URL + "/t"}
	})
	b.give(t, owner, tool, ofTool, clientSecret, secretly)
	c := b.carried(t, tool, owner)
	require.Equal(t, "Bearer x", c.Headers["Authorization"])
	require.True(t, c.ExpiresAt.IsZero(), "the server did not say when it ends")
	require.Equal(t, 2, s.asked("/t"))

	// What failed otherwise may have used the grant up: it is not sent twice.
	s.answer("/t", fails(http.StatusBadRequest, "invalid_request"))
	require.NoError(t, b.service.Disconnect(t.Context(), owner, tool, ofTool))
	_, err := b.service.For(t.Context(), tool, owner)
	require.Error(t, err)
	require.Equal(t, 3, s.asked("/t"))
}

func TestShortLivesAreRenewedInTheirLastQuarter(t *testing.T) {
	t.Parallel()
	for seconds, renew := range map[int64]int64{3600: 3540, 240: 180, 100: 75, 4: 3, 1: 1} {
		l := lifetimeOf(token(seconds))
		require.Equal(t, seconds, *l.expires)
		require.Equal(t, renew, *l.renew)
	}
	for _, seconds := range []int64{0, -5} {
		require.Nil(t, lifetimeOf(token(seconds)).expires)
	}
	require.Positive(t, *lifetimeOf(token(1 << 62)).renew)
}

// TestARefusedTokenIsRenewedOnce: the tool refused it before its end. Of many
// callers in two processes one renews it, and who comes late takes what there is.
func TestARefusedTokenIsRenewedOnce(t *testing.T) {
	t.Parallel()
	b, p := setup(t), startProvider(t)
	other := onDatabase(t, b.pool)
	tool, ada := b.oauthTool(t, user(), p), user()
	other.put(tool)
	b.consent(t, ada, tool, ofUser)
	held := b.carried(t, tool, ada)
	another := func(at *bench, refused string) Carried {
		c, err := at.service.Another(context.Background(), tool, ada, refused)
		if err != nil {
			t.Error(err)
		}
		return c
	}
	require.Equal(t, held.Token(), another(b, held.Token()).Token(), "it has just been got: another would be refused too")
	require.Zero(t, p.asked("refresh_token"))

	b.aged(t)
	require.Equal(t, held.Token(), another(b, "another token").Token(), "it is not the one that was refused")
	require.Zero(t, p.asked("refresh_token"))
	var group sync.WaitGroup
	var mu sync.Mutex
	got := map[string]int{}
	for i := range 20 {
		at := []*bench{b, other}[i%2]
		group.Go(func() {
			c := another(at, held.Token())
			mu.Lock()
			defer mu.Unlock()
			got[c.Token()]++
		})
	}
	group.Wait()
	fresh := b.carried(t, tool, ada)
	require.NotEqual(t, held.Token(), fresh.Token())
	require.Equal(t, map[string]int{fresh.Token(): 20}, got)
	require.Equal(t, 1, p.asked("refresh_token"))
	require.Equal(t, fresh.Token(), another(other, held.Token()).Token())
	require.Equal(t, 1, p.asked("refresh_token"))

	// A server that takes the refresh token back has ended the consent.
	b.aged(t)
	p.failing(func(w http.ResponseWriter, r *http.Request) bool {
		fails(http.StatusBadRequest, "invalid_grant")(w, r)
		return true
	})
	_, err := b.service.Another(t.Context(), tool, ada, fresh.Token())
	require.Equal(t, CodeRequired, asError(t, err).Code)
}

// TestATokenThatCantBeRenewedIsKept although the tool refused it: it may do for
// other methods.
func TestATokenThatCantBeRenewedIsKept(t *testing.T) {
	t.Parallel()
	b, s := setup(t), startScript(t)
	ada := user()
	s.answer("/t", map[string]any{"access_token": "x"})
	tool := b.tool(t, user(), func(tool *Tool) {
		tool.Inject = Injection{}
		tool.OAuth = &OAuth{Grant: authorizationCode, ClientID: clientID, AuthorizeURL: s.URL + "/a", TokenURL: s.URL + "/t"}
	})
	page, err := b.service.Authorize(t.Context(), ada, tool, AuthorizeRequest{Scope: ofUser})
	require.NoError(t, err)
	_, err = b.service.Finish(t.Context(), ada, b.tools, Return{State: mustQuery(t, page, "state"), Code: "a-code"})
	require.NoError(t, err)
	b.aged(t)
	held := b.carried(t, tool, ada)
	again, err := b.service.Another(t.Context(), tool, ada, held.Token())
	require.NoError(t, err)
	require.Equal(t, "Bearer x", again.Headers["Authorization"])
	require.Equal(t, 1, s.asked("/t"))
}

// aged makes tokens old enough to be renewed before their time.
func (b *bench) aged(t testing.TB) {
	t.Helper()
	_, err := b.pool.Exec(t.Context(), `UPDATE uaol_registry.grants SET updated_at = now() - interval '1 minute'`)
	require.NoError(t, err)
}
