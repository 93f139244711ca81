package acceptance

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"uaol/acceptance/world"
)

// BenchmarkMe holds GET /auth/me, which authenticates, counts the request and
// reads the balance, against the least that could answer it: a bare gin handler
// with one query on a pool of the same size. Both run at once in turns, so that
// a busy machine slows both; ratio is ours by the bare one's.
func BenchmarkMe(b *testing.B) {
	w := world.Together(b, nil)
	made := world.New(w.Gateway).Do(b, http.MethodPost, "/auth/register", object{"email": email()})
	require.Equal(b, http.StatusCreated, made.Status, made)
	bare := bareMe(b, w.Database, organizationOf(b, w, made.Text("data.token")))
	ask := func(url string) func(client *http.Client) {
		request, err := http.NewRequest(http.MethodGet, url, nil)
		require.NoError(b, err)
		request.Header.Set("Authorization", "Bearer "+made.Text("data.token"))
		return func(client *http.Client) {
			response, err := client.Do(request.Clone(context.Background()))
			if err != nil {
				b.Error(err)
				return
			}
			body, _ := io.ReadAll(response.Body)
			_ = response.Body.Close()
			if response.StatusCode != http.StatusOK || len(body) < 100 {
				b.Errorf("%d %s", response.StatusCode, body)
			}
		}
	}
	ours, theirs := ask(w.Gateway+"/auth/me"), ask(bare)
	var took [2]time.Duration
	n := 0
	for b.Loop() {
		took[0] += inTurn(ours)
		took[1] += inTurn(theirs)
		n++
	}
	b.ReportMetric(float64(n*turn)/took[0].Seconds(), "ours/s")
	b.ReportMetric(float64(n*turn)/took[1].Seconds(), "bare/s")
	b.ReportMetric(took[1].Seconds()/took[0].Seconds(), "ratio")
}

const (
	turn       = 200 // requests: short, so that what else the machine does slows both alike
	concurrent = 16
)

var turnClient = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: concurrent}, Timeout: time.Minute}

func inTurn(ask func(*http.Client)) time.Duration {
	begun := time.Now()
	var left atomic.Int64
	left.Store(turn)
	var group sync.WaitGroup
	for range concurrent {
		group.Go(func() {
			for left.Add(-1) >= 0 {
				ask(turnClient)
			}
		})
	}
	group.Wait()
	return time.Since(begun)
}

// organizationOf is the account's own one, which its first key names.
func organizationOf(b *testing.B, w *world.World, token string) string {
	b.Helper()
	keys := world.New(w.Gateway).As(token).Do(b, http.MethodGet, "/auth/keys", nil)
	require.Equal(b, http.StatusOK, keys.Status, keys)
	return keys.Text("data.0.organization")
}

// bareMe serves the same answer with nothing around it.
func bareMe(b *testing.B, database, organization string) (url string) {
	b.Helper()
	cfg, err := pgxpool.ParseConfig(database)
	require.NoError(b, err)
	cfg.MaxConns = 10 // as the world's
	pool, err := pgxpool.NewWithConfig(b.Context(), cfg)
	require.NoError(b, err)
	b.Cleanup(pool.Close)
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	engine.GET("/auth/me", func(c *gin.Context) {
		var tier, available string
		err := pool.QueryRow(c.Request.Context(), `
			SELECT tier, available::text FROM uaol_billing.accounts WHERE organization_id = $1`, organization).Scan(&tier, &available)
		if err != nil {
			c.Status(http.StatusInternalServerError)
			return
		}
		c.JSON(http.StatusOK, gin.H{"success": true, "data": gin.H{"id": organization, "email": "somebody@example.com", "subscriptionTier": tier, "credits": available}})
	})
	listener, err := (&net.ListenConfig{}).Listen(b.Context(), "tcp", "127.0.0.1:0")
	require.NoError(b, err)
	server := &http.Server{Handler: engine, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	b.Cleanup(func() { _ = server.Close() })
	return "http://" + listener.Addr().String() + "/auth/me"
}
