package doctor

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"

	"uaol/app"
	"uaol/providers/config"
	"uaol/providers/limits/redistest"
	"uaol/providers/peers/peerstest"
	"uaol/providers/postgres/pgtest"
	"uaol/services"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const closed = "127.0.0.1:1" // nobody listens there

// examine gives the findings of one check, with the given settings.
func examine(t *testing.T, name string, settings map[string]string) []Finding {
	t.Helper()
	values := map[string]string{"UAOL_DATA_DIR": t.TempDir(), "UAOL_ADDR": closed}
	for name, value := range settings {
		values[name] = value
	}
	p := &Patient{Env: config.Of(values), Database: func(context.Context) (string, func() error, error) {
		return values["DATABASE_URL"], func() error { return nil }, nil
	}}
	var found []Finding
	for _, f := range Examine(t.Context(), p) {
		require.NotContains(t, f.Found+f.Do, "hunter2", "a secret")
		require.NotContains(t, f.Found+f.Do, "\n")
		require.Equal(t, f.Status == OK, f.Do == "", "what is wrong has a remedy: %v", f)
		if f.Check == name {
			found = append(found, f)
		}
	}
	return found
}

// one is examine for a check with one finding.
func one(t *testing.T, name string, settings map[string]string) Finding {
	t.Helper()
	found := examine(t, name, settings)
	require.Len(t, found, 1, name)
	return found[0]
}

func is(t *testing.T, f Finding, status Status, words string) {
	t.Helper()
	require.Equal(t, status, f.Status, f)
	require.Contains(t, f.Found, words)
}

// TestEveryFaultOfTheSettings is told, two of one struct too.
func TestEveryFaultOfTheSettings(t *testing.T) {
	t.Parallel()
	found := examine(t, "settings", map[string]string{
		"API_GATEWAY_PORT": "abc", "BILLING_SERVICE_PORT": "-1", "JWT_EXPIRES_IN": "soon", "DATABASE_URL": "postgres://u:hunter2@",
		"DATABASE_POOL_MAX": "0", "LOG_LEVEL": "loud", "OTEL_TRACES_SAMPLER": "sometimes",
	})
	var told string
	for _, f := range found {
		require.Equal(t, Fail, f.Status)
		told += f.Found + "\n"
	}
	require.Len(t, found, 7, told)
	for _, variable := range []string{"API_GATEWAY_PORT", "BILLING_SERVICE_PORT", "JWT_EXPIRES_IN", "DATABASE_URL", "DATABASE_POOL_MAX", "LOG_LEVEL", "OTEL_TRACES_SAMPLER"} {
		require.Contains(t, told, variable+" holds")
	}
	is(t, one(t, "settings", nil), OK, "2 settings, from the environment alone")
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	is(t, one(t, "secrets", nil), OK, "JWT_SECRET and ENCRYPTION_SECRET not set")
	is(t, one(t, "secrets", map[string]string{"JWT_SECRET": "hunter2"}), Warn, "JWT_SECRET is weak")
	const good = "q8Zr4wT1mX6vB9nK3sL7pD2fG5hJ0cYa"
	is(t, one(t, "secrets", map[string]string{"JWT_SECRET": good, "ENCRYPTION_SECRET": good}), Warn, "JWT_SECRET and ENCRYPTION_SECRET are the same")
	is(t, one(t, "secrets", map[string]string{"JWT_SECRET": good, "ENCRYPTION_SECRET": "x" + good}), OK, "random enough")
}

func TestDatabase(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	well := map[string]string{"DATABASE_URL": url, "DATABASE_POOL_MAX": "10"}
	f := one(t, "database", well) // a busy machine may make it slow
	require.NotEqual(t, Fail, f.Status, f)
	require.Contains(t, f.Found, "PostgreSQL ")
	is(t, one(t, "migrations", well), OK, "tables are up to date")
	is(t, one(t, "clocks", well), OK, "agree")
	require.Empty(t, examine(t, "pooler", well))
	is(t, one(t, "database", map[string]string{"DATABASE_URL": "postgres://u:hunter2@" + closed + "/x"}), Fail, "refused")

	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	change := func(sql string) {
		_, err := conn.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	change("UPDATE uaol_billing.schema_migrations SET version = version - 1")
	is(t, one(t, "migrations", well), Warn, "behind: billing is at")
	change("UPDATE uaol_billing.schema_migrations SET dirty = true")
	is(t, one(t, "migrations", well), Fail, "interrupted: billing")
	change("UPDATE uaol_billing.schema_migrations SET dirty = false, version = 9999")
	is(t, one(t, "migrations", well), Warn, "newer than this binary: billing")
	production := map[string]string{"DATABASE_URL": url, "UAOL_ENV": "production", "JWT_SECRET": "q8Zr4wT1mX6vB9nK3sL7pD2fG5hJ0cYa", "ENCRYPTION_SECRET": "Hh3kP9sVw2Yb6Nq1Zt8Rm4Xd7Lf0Gc5J"}
	change("UPDATE uaol_billing.schema_migrations SET version = 1")
	is(t, one(t, "migrations", production), Fail, "behind: billing is at 1 of")
}

func TestConnections(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	var most int
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT current_setting('max_connections')::int").Scan(&most))
	require.NoError(t, conn.Close(t.Context()))
	is(t, one(t, "connections", map[string]string{"DATABASE_URL": url, "DATABASE_POOL_MAX": "1"}), OK, "at most 1 of")
	several := map[string]string{"DATABASE_URL": url, "DATABASE_POOL_MAX": strconv.Itoa(most / 4), "UAOL_AUTH_URL": "http://" + closed + ",http://127.0.0.1:2", "UAOL_JOBS_URL": "http://" + closed}
	is(t, one(t, "connections", several), OK, "at most")
	several["UAOL_PROXY_URL"] = "http://127.0.0.1:3"
	is(t, one(t, "connections", several), Warn, "the settings name 4 of these")
	if most <= 100 {
		is(t, one(t, "connections", map[string]string{"DATABASE_URL": url, "DATABASE_POOL_MAX": "100"}), Fail, "at most 100 of")
	}
}

func TestClocks(t *testing.T) {
	t.Parallel()
	is(t, apart(300*time.Millisecond, "its clock", 0), OK, "agree")
	is(t, apart(-3*time.Second, "its clock", 0), Warn, "3s behind this")
	is(t, apart(time.Minute, "its clock", 0), Fail, "1m0s ahead of this")
	is(t, apart(1400*time.Millisecond, "its clock", 500*time.Millisecond), OK, "agree")
}

func TestFilesAndDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	is(t, one(t, "files", map[string]string{"UAOL_DATA_DIR": dir}), OK, "written, read and removed")
	var left []string
	require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			left = append(left, path)
		}
		return err
	}))
	require.Empty(t, left, "the probe is removed")
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	is(t, one(t, "files", map[string]string{"UAOL_DATA_DIR": filepath.Join(file, "below")}), Fail, "")
	is(t, one(t, "files", map[string]string{"S3_BUCKET_NAME": "bucket", "S3_ENDPOINT": "http://" + closed, "AWS_REGION": "x",
		"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "hunter2"}), Fail, "a probe can't be written")
	is(t, one(t, "disk", nil), OK, "are free")
	is(t, room(1<<30, "d"), Warn, "1024 MB are free for d")
	is(t, room(100<<20, "d"), Fail, "100 MB are free for d")
}

func TestWhatCannotBeReached(t *testing.T) {
	t.Parallel()
	is(t, one(t, "redis", map[string]string{"REDIS_URL": "redis://:hunter2@" + closed}), Warn, "refused")
	is(t, one(t, "mail", map[string]string{"SMTP_URL": "smtp://u:hunter2@" + closed, "SMTP_FROM": "a@example.com"}), Fail, "refused")
	is(t, one(t, "models", map[string]string{"OPENAI_API_KEY": "hunter2", "UAOL_OPENAI_URL": "http://" + closed + "/v1"}), Fail, "refused")
	is(t, one(t, "addresses", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://" + closed}), Fail, "OTEL_EXPORTER_OTLP_ENDPOINT")
	is(t, one(t, "public url", map[string]string{"UAOL_PUBLIC_URL": "http://" + closed}), Warn, "refused")
	is(t, one(t, "peer auth", map[string]string{"UAOL_AUTH_URL": "http://" + closed, "UAOL_SERVICE_SECRET": peerstest.Secret}), Fail, "refused")
	is(t, one(t, "server", nil), OK, "none runs")

	for kind, variable := range map[string]string{"kafka": "KAFKA_BROKERS", "nats": "NATS_URL"} {
		at := closed
		if kind == "nats" {
			at = "nats://u:hunter2@" + closed
		}
		is(t, one(t, "broker", map[string]string{"MQ_TYPE": kind, variable: at}), Fail, kind+": ")
	}
	require.Empty(t, examine(t, "broker", nil), "what is not set up is not looked at")
	kafka, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	defer kafka.Close()
	is(t, one(t, "broker", map[string]string{"MQ_TYPE": "kafka", "KAFKA_BROKERS": kafka.ListenAddrs()[0]}), OK, "kafka takes events")
}

// TestRedis asks a real one.
func TestRedis(t *testing.T) {
	t.Parallel()
	url, _ := redistest.Start(t)
	is(t, one(t, "redis", map[string]string{"REDIS_URL": url}), OK, "it answers")
}

// served runs a handler, with a clock of its own when it has one.
func served(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

func TestModels(t *testing.T) {
	t.Parallel()
	url := served(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("Authorization") {
		case "Bearer right":
		case "":
		case "Bearer broken":
			w.WriteHeader(http.StatusBadGateway)
		default:
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	at := func(key string) map[string]string {
		return map[string]string{"OPENAI_API_KEY": key, "UAOL_OPENAI_URL": url + "/v1"}
	}
	is(t, one(t, "models", at("right")), OK, "takes the key")
	is(t, one(t, "models", at("hunter2")), Fail, "refuses the key")
	is(t, one(t, "models", at("broken")), Warn, "answers 502")
	is(t, one(t, "models", at("")), OK, "no key is set")
}

func TestPeers(t *testing.T) {
	t.Parallel()
	tokens := peerstest.Tokens(t)
	version, runs, date, ready := app.Version, "auth", time.Now, http.StatusOK
	url := served(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", date().UTC().Format(http.TimeFormat))
		if r.URL.Path == "/readyz" && ready == http.StatusOK {
			_, _ = w.Write([]byte(`{"success":true,"data":{"services":["` + runs + `"],"version":"` + version + `"}}`))
			return
		} else if r.URL.Path == "/readyz" {
			w.WriteHeader(ready)
			_, _ = w.Write([]byte(`{"success":false,"error":{"message":"Not ready; database: away"}}`))
			return
		}
		if _, err := tokens.VerifyService(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), "auth"); err != nil {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	look := func(secret string) Finding {
		return one(t, "peer auth", map[string]string{"UAOL_AUTH_URL": url, "UAOL_SERVICE_SECRET": secret})
	}
	is(t, look(peerstest.Secret), OK, "is ready, version "+app.Version)
	is(t, look("q8Zr4wT1mX6vB9nK3sL7pD2fG5hJ0cYa"), Fail, "refuses our token")
	is(t, look(""), Fail, "no UAOL_SERVICE_SECRET is set")
	version = "0.0.1-older"
	is(t, look(peerstest.Secret), Warn, "is version 0.0.1-older")
	version, runs = app.Version, "billing"
	is(t, look(peerstest.Secret), Fail, "runs other services")
	runs, date = "auth", func() time.Time { return time.Now().Add(-time.Hour) }
	is(t, look(peerstest.Secret), Fail, "behind this machine's")
	date, ready = time.Now, http.StatusServiceUnavailable
	is(t, look(peerstest.Secret), Fail, "is not ready: Not ready; database: away")
	stranger := served(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) })
	is(t, one(t, "peer auth", map[string]string{"UAOL_AUTH_URL": stranger, "UAOL_SERVICE_SECRET": peerstest.Secret}), Fail, "no server of ours")
	require.Equal(t, services.Auth, services.Name("auth"))
}

// TestAHangingCheckIsLeftBehind holds up nobody.
func TestAHangingCheckIsLeftBehind(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	begun := time.Now()
	found := bounded(t.Context(), check{"hangs", func(context.Context, *Patient) []Finding { <-release; return nil }}, &Patient{})
	require.Less(t, time.Since(begun), within+2*time.Second)
	require.Equal(t, Fail, found[0].Status)
	require.Equal(t, "hangs", found[0].Check)
	found = bounded(t.Context(), check{"breaks", func(context.Context, *Patient) []Finding { panic("broken") }}, &Patient{})
	require.Contains(t, found[0].Found, "broken")
}
