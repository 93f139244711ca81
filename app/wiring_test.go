package app_test

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"uaol/app"
	"uaol/providers/config"
	"uaol/providers/httpserver"
	"uaol/providers/postgres/pgtest"
	"uaol/services"
)

func TestEverySetIsComplete(t *testing.T) {
	t.Parallel()
	for _, set := range everySet() {
		require.NoError(t, fx.ValidateApp(app.Options(config.Of(nil), set...)), nameOf(set))
	}
}

func TestEverySetStartsAndStopsWithoutADatabase(t *testing.T) {
	t.Parallel()
	values := settings(t, unreachable)
	values["UAOL_MIGRATE"] = "false"
	for _, set := range everySet() {
		var server *httpserver.Server
		process := fxtest.New(t, app.Options(config.Of(values), set...), pretendPing(), fx.Populate(&server), fx.NopLogger)
		process.RequireStart()
		status, body := get(t, "http://"+server.Addr().String()+"/readyz")
		process.RequireStop()
		if ownsTables(set) {
			assert.Equal(t, 503, status, nameOf(set))
			assert.Contains(t, body, "database", nameOf(set))
			assert.NotContains(t, body, "pass-that-is-secret")
		}
	}
}

// ownsTables reports whether a set has anything in the database.
func ownsTables(set []services.Name) bool {
	for _, s := range set {
		if s != services.Gateway {
			return true
		}
	}
	return false
}

func TestSetsRunOnARealDatabase(t *testing.T) {
	t.Parallel()
	sets := [][]services.Name{app.Services()}
	for _, s := range app.Services() {
		sets = append(sets, []services.Name{s})
	}
	for _, set := range sets {
		t.Run(nameOf(set), func(t *testing.T) {
			t.Parallel()
			var server *httpserver.Server
			process := fxtest.New(t, app.Options(config.Of(settings(t, pgtest.URL(t))), set...), fx.Populate(&server), fx.NopLogger)
			process.RequireStart()
			defer process.RequireStop()
			status, body := get(t, "http://"+server.Addr().String()+"/readyz")
			assert.Equal(t, 200, status, body)
			status, body = get(t, "http://"+server.Addr().String()+"/openapi.json")
			assert.Equal(t, 200, status)
			assert.Contains(t, body, "/auth/register", "every process describes the whole API")
		})
	}
}

func TestASetSaysWhatItLacks(t *testing.T) {
	t.Parallel()
	for missing, set := range map[string][]services.Name{
		"UAOL_AUTH_URL":       {services.Registry},
		"UAOL_REGISTRY_URL":   {services.Jobs},
		"UAOL_PROXY_URL":      {services.Jobs},
		"UAOL_BILLING_URL":    {services.Auth},
		"UAOL_JOBS_URL":       {services.Billing},
		"UAOL_STORAGE_URL":    {services.Gateway},
		"UAOL_SERVICE_SECRET": {services.Gateway, services.Auth},
	} {
		values := settings(t, unreachable)
		delete(values, missing)
		process := fx.New(app.Options(config.Of(values), set...), fx.NopLogger)
		require.Error(t, process.Err(), missing)
		line := app.Explain(process.Err()).Error()
		assert.True(t, strings.HasPrefix(line, missing+" is not set; want "), line)
		assert.NotContains(t, line, "\n")
	}
}

// TestNothingIsDialledBeforeTheConfigIsGood is the seed's race, turned round:
// whatever is wrong with the settings, no pool is made and nobody is called.
func TestNothingIsDialledBeforeTheConfigIsGood(t *testing.T) {
	t.Parallel()
	good := settings(t, unreachable)
	good["UAOL_ENV"] = "production"
	good["JWT_SECRET"] = "q8Zr4wT1mX6vB9nK3sL7pD2fG5hJ0cYa"
	good["ENCRYPTION_SECRET"] = "Hh3kP9sVw2Yb6Nq1Zt8Rm4Xd7Lf0Gc5J"
	for name, bad := range map[string]map[string]string{
		"DATABASE_URL is no URL":      {"DATABASE_URL": "banana"},
		"DATABASE_URL has no host":    {"DATABASE_URL": "postgres:///uaol"},
		"DATABASE_URL has no name":    {"DATABASE_URL": "postgres://u:p@db.example.com"},
		"DATABASE_URL is missing":     {"DATABASE_URL": ""},
		"DATABASE_URL is cut in half": {"DATABASE_URL": "postgres://uaol:pass-that-is"},
		"a port is no port":           {"API_GATEWAY_PORT": "abc"},
		"a secret is missing":         {"JWT_SECRET": ""},
		"a secret is well known":      {"ENCRYPTION_SECRET": "default-encryption-secret-change-in-production"},
		"the pool's size is a word":   {"DATABASE_POOL_MAX": "many"},
		"the rate limit is none":      {"RATE_LIMIT_PER_MINUTE": "0"},
		"an egress rule is none":      {"TOOL_EGRESS_ALLOW": "10.0.0.0/99"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			values := maps.Clone(good)
			maps.Copy(values, bad)
			var w watch
			process := fx.New(app.Options(config.Of(values)), w.options())
			require.Error(t, process.Err())
			line := app.Explain(process.Err()).Error()
			for variable := range bad {
				assert.True(t, strings.HasPrefix(line, variable+" "), line)
			}
			assert.NotContains(t, line, "pass-that-is")
			assert.Zero(t, w.pools.Load(), "the pool's constructor ran")
			assert.Zero(t, w.dials.Load(), "somebody was dialled")
		})
	}
}

func TestNothingIsDialledWithAHalfEnvFile(t *testing.T) {
	t.Parallel()
	whole := "JWT_EXPIRES_IN=7d\nDATABASE_URL=\"" + unreachable + "\"\nLOG_LEVEL=error\n" +
		"JWT_SECRET=q8Zr4wT1mX6vB9nK3sL7pD2fG5hJ0cYa\nENCRYPTION_SECRET=Hh3kP9sVw2Yb6Nq1Zt8Rm4Xd7Lf0Gc5J"
	dir := t.TempDir()
	for cut := range len(whole) {
		path := filepath.Join(dir, "env")
		require.NoError(t, os.WriteFile(path, []byte(whole[:cut]), 0o600))
		var w watch
		env, err := config.ReadFrom([]string{"UAOL_ENV_FILE=" + path, "UAOL_ENV=production", "UAOL_DATA_DIR=" + dir}, dir)
		if err == nil {
			process := fx.New(app.Options(env), w.options())
			err = process.Err()
		}
		require.Error(t, err, "cut after %q", whole[:cut])
		assert.NotContains(t, err.Error(), "pass-that-is-secret")
		require.Zero(t, w.pools.Load())
		require.Zero(t, w.dials.Load())
	}
	_, err := config.ReadFrom([]string{"UAOL_ENV_FILE=" + filepath.Join(dir, "missing")}, dir)
	require.ErrorContains(t, err, "UAOL_ENV_FILE holds")
}

// TestThePoolDialsNothingBeforeTheStart shows the gate: a pool that exists
// keeps its connections back until the process starts.
func TestThePoolDialsNothingBeforeTheStart(t *testing.T) {
	t.Parallel()
	var w watch
	values := settings(t, pgtest.URL(t))
	values["DATABASE_POOL_MIN"] = "3"
	process := fxtest.New(t, app.Options(config.Of(values)), w.options())
	assert.EqualValues(t, 1, w.pools.Load())
	assert.Zero(t, w.dials.Load())
	process.RequireStart()
	assert.Positive(t, w.dials.Load())
	process.RequireStop()
}

// TestTheLogShowsTheSeedsIndicators holds the order that the original got wrong.
func TestTheLogShowsTheSeedsIndicators(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	url := pgtest.URL(t)
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".env"), []byte("DATABASE_URL="+url+"\n"), 0o600))
	env, err := config.ReadFrom([]string{"UAOL_ADDR=127.0.0.1:0", "UAOL_DATA_DIR=" + dir}, dir)
	require.NoError(t, err)
	replaced, logs := observed()
	process := fxtest.New(t, app.Options(env), replaced, fx.NopLogger)
	process.RequireStart()
	process.RequireStop()
	var messages []string
	for _, entry := range logs.All() {
		messages = append(messages, entry.Message)
		assert.NotContains(t, entry.Message, "ECONNREFUSED")
		assert.NotContains(t, strings.ToLower(entry.Message), "localhost")
	}
	last := -1
	for _, indicator := range []string{
		".env loaded", "database module starting", "DATABASE_URL set", "database pool created",
		"database connection established", "migrations complete", "listening",
	} {
		at := -1
		for i, m := range messages {
			if m == indicator {
				assert.Equal(t, -1, at, "%q is logged once", indicator)
				at = i
			}
		}
		require.Greater(t, at, last, "%q comes in its order; the log was %q", indicator, messages)
		last = at
	}
}
