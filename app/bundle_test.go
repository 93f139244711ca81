package app_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxevent"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"uaol/app"
	"uaol/providers/postgres"
	"uaol/services"
)

// everySet lists all 127 sets of services that a process can run.
func everySet() [][]services.Name {
	all := app.Services()
	var sets [][]services.Name
	for bits := 1; bits < 1<<len(all); bits++ {
		var set []services.Name
		for i, name := range all {
			if bits&(1<<i) != 0 {
				set = append(set, name)
			}
		}
		sets = append(sets, set)
	}
	return sets
}

func nameOf(set []services.Name) string { return strings.Trim(fmt.Sprint(set), "[]") }

// settings are what any set needs: every address of the others and the secret
// they share. Nobody listens there; nothing of the wiring asks them.
func settings(t *testing.T, databaseURL string) map[string]string {
	t.Helper()
	const nowhere = "http://127.0.0.1:9"
	return map[string]string{
		"DATABASE_URL": databaseURL, "UAOL_ADDR": "127.0.0.1:0", "UAOL_DRAIN_DELAY": "0s", "UAOL_DATA_DIR": t.TempDir(), "LOG_LEVEL": "error",
		"UAOL_SERVICE_SECRET": "f7a1c93be5d24860b1f3a7c95e2d8064",
		"UAOL_AUTH_URL":       nowhere, "UAOL_REGISTRY_URL": nowhere, "UAOL_PROXY_URL": nowhere,
		"UAOL_JOBS_URL": nowhere, "UAOL_BILLING_URL": nowhere, "UAOL_STORAGE_URL": nowhere,
	}
}

// unreachable is a database's URL that parses and leads nowhere.
const unreachable = "postgres://uaol:pass-that-is-secret@127.0.0.1:9/uaol?connect_timeout=1"

// watch counts what must not happen too early: dials, and the pool's constructor.
type watch struct {
	dials atomic.Int64
	pools atomic.Int64
}

func (w *watch) options() fx.Option {
	return fx.Options(
		fx.Replace(postgres.Dialer(func(ctx context.Context, network, address string) (net.Conn, error) {
			w.dials.Add(1)
			return (&net.Dialer{}).DialContext(ctx, network, address)
		})),
		fx.WithLogger(func() fxevent.Logger { return w }),
	)
}

// LogEvent implements fxevent.Logger.
func (w *watch) LogEvent(event fxevent.Event) {
	if run, ok := event.(*fxevent.Run); ok && strings.Contains(run.Name, "postgres.NewPool") {
		w.pools.Add(1)
	}
}

// pretendPing stands for the database's answer, in tests of the wiring alone.
func pretendPing() fx.Option {
	return fx.Replace(postgres.Ping(func(context.Context, *pgxpool.Pool) (string, error) { return "PostgreSQL 15.0 (pretended)", nil }))
}

// observed replaces the log by one that a test can read.
func observed() (fx.Option, *observer.ObservedLogs) {
	core, logs := observer.New(zap.DebugLevel)
	return fx.Decorate(func(*zap.Logger) *zap.Logger { return zap.New(core) }), logs
}

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(url)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(text)
}
