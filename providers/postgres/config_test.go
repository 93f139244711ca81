package postgres

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"pgregory.net/rapid"

	"uaol/providers/config"
)

func TestConfig(t *testing.T) {
	t.Parallel()
	const form = "; want a URL such as postgres://user:password@host:5432/database"
	for name, test := range map[string]struct {
		set  map[string]string
		want string
	}{
		"none, development": {nil, ""},
		"none, production": {map[string]string{"UAOL_ENV": "production"},
			"DATABASE_URL is not set" + form + ", because production runs no embedded database"},
		"empty, production": {map[string]string{"NODE_ENV": "production", "DATABASE_URL": ""},
			"DATABASE_URL is not set" + form + ", because production runs no embedded database"},
		"postgres":            {map[string]string{"DATABASE_URL": "postgres://u:p@h:5432/db"}, ""},
		"postgresql":          {map[string]string{"DATABASE_URL": "postgresql://u@h/db?sslmode=disable"}, ""},
		"cockroach":           {map[string]string{"DATABASE_URL": "cockroachdb://root@h:26257/db?sslmode=disable"}, ""},
		"a socket":            {map[string]string{"DATABASE_URL": "postgres:///db?host=/tmp"}, ""},
		"several":             {map[string]string{"DATABASE_URL": "postgres://u:p@a:1,b:2/db"}, ""},
		"escaped":             {map[string]string{"DATABASE_URL": "postgres://u:p%40%3A%2F%23@h/db"}, ""},
		"banana":              {map[string]string{"DATABASE_URL": "banana"}, `DATABASE_URL holds "banana"` + form + " (the scheme must be postgres, postgresql or cockroachdb)"},
		"mysql":               {map[string]string{"DATABASE_URL": "mysql://u:hunter2@h/db"}, `DATABASE_URL holds "mysql://u:***@h/db"` + form + " (the scheme must be postgres, postgresql or cockroachdb)"},
		"no host":             {map[string]string{"DATABASE_URL": "postgres:///db"}, `DATABASE_URL holds "postgres:///db"` + form + " (the host is missing)"},
		"no host, user":       {map[string]string{"DATABASE_URL": "postgres://u:hunter2@/db"}, `DATABASE_URL holds "postgres://u:***@/db"` + form + " (the host is missing)"},
		"no database":         {map[string]string{"DATABASE_URL": "postgres://u:hunter2@h:5432"}, `DATABASE_URL holds "postgres://u:***@h:5432"` + form + " (the database's name is missing)"},
		"no database/":        {map[string]string{"DATABASE_URL": "postgres://u:hunter2@h:5432/?x=y"}, `DATABASE_URL holds "postgres://u:***@h:5432/?x=y"` + form + " (the database's name is missing)"},
		"a bad port":          {map[string]string{"DATABASE_URL": "postgres://u:hunter2@h:port/db"}, `DATABASE_URL holds "postgres://u:***@h:port/db"` + form + " (it is not a URL)"},
		"a bad option":        {map[string]string{"DATABASE_URL": "postgres://u:hunter2@h/db?sslmode=perhaps"}, `DATABASE_URL holds "postgres://u:***@h/db?sslmode=perhaps"` + form},
		"a bare /":            {map[string]string{"DATABASE_URL": "postgres://u:123/hunter2@h/db"}, `DATABASE_URL holds "postgres://u:***@h/db"` + form + " (characters such as / and @ in a password or a name must be written as %2F and %40)"},
		"a bare / and ?":      {map[string]string{"DATABASE_URL": "postgres://u:0/hunter2?@h:5432/db"}, `DATABASE_URL holds "postgres://u:***@h:5432/db"` + form},
		"key = value":         {map[string]string{"DATABASE_URL": "host=h user=u password=hunter2 dbname=d"}, `DATABASE_URL holds "host=h user=u password=***"` + form + " (the scheme must be postgres, postgresql or cockroachdb)"},
		"pool min":            {map[string]string{"DATABASE_POOL_MIN": "-1"}, `DATABASE_POOL_MIN holds "-1"; want a whole number from 0 to 100`},
		"pool max":            {map[string]string{"DATABASE_POOL_MAX": "0"}, `DATABASE_POOL_MAX holds "0"; want a whole number from 1 to 100`},
		"pool text":           {map[string]string{"DATABASE_POOL_MAX": "many"}, `DATABASE_POOL_MAX holds "many"; want a whole number from 1 to 100`},
		"the original's pool": {map[string]string{"DATABASE_POOL_MAX": "10000"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg, err := config.Parse[Config](config.Of(test.set))
			if test.want != "" {
				require.EqualError(t, err, test.want)
				return
			}
			require.NoError(t, err)
			require.Equal(t, test.set["DATABASE_URL"] == "", cfg.Embedded())
			require.Equal(t, cfg.Embedded(), cfg.parsed == nil)
		})
	}
	cfg, err := config.Parse[Config](config.Of(map[string]string{"DATABASE_URL": "cockroachdb://root:p%40@h/db", "DATABASE_POOL_MAX": "10000", "DATABASE_POOL_MIN": "500"}))
	require.NoError(t, err)
	require.Equal(t, Address{Host: "h:5432", Database: "db"}, addressOf(cfg.parsed.ConnConfig))
	require.Equal(t, "p@", cfg.parsed.ConnConfig.Password)
	require.Equal(t, 10*time.Second, cfg.Ping)
	most, least := clamp(zap.NewNop(), cfg)
	require.Equal(t, [2]int32{100, 100}, [2]int32{most, least})
}

// TestThroughPooler: the query mode that a pooler in transaction mode needs, and
// no parameter that the server does not know.
func TestThroughPooler(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]struct {
		mode  string
		route route
	}{
		"postgres://u:p@h/db":                                   {"cache statement", unknown},
		"postgres://u:p@h:6543/db":                              {"cache statement", unknown},
		"postgres://u:p@h/db?pgbouncer=true&connection_limit=1": {"cache describe", transaction},
		"postgresql://postgres.abcdefghijklmnop:p@aws-0-eu.pooler.supabase.com:6543/postgres": {"cache describe", transaction},
		"postgresql://postgres.abcdefghijklmnop:p@aws-0-eu.pooler.supabase.com:5432/postgres": {"cache statement", session},
		"postgresql://postgres.abcdefghijklmnop:p@aws-0-eu.pooler.supabase.com/postgres":      {"cache statement", session},
		"postgresql://postgres:p@db.abcdefghijklmnop.supabase.co:6543/postgres":               {"cache describe", transaction},
		"postgresql://postgres:p@db.abcdefghijklmnop.supabase.co:5432/postgres":               {"cache statement", unknown},
		"postgres://u:p@h/db?pgbouncer=true&default_query_exec_mode=exec":                     {"exec", transaction},
	} {
		cfg, err := config.Parse[Config](config.Of(map[string]string{"DATABASE_URL": url}))
		require.NoError(t, err, url)
		require.Equal(t, want.mode, cfg.parsed.ConnConfig.DefaultQueryExecMode.String(), url)
		require.Equal(t, want.route, cfg.route, url)
		require.Empty(t, cfg.parsed.ConnConfig.RuntimeParams, url)
		if strings.Contains(url, "abcdefghijklmnop:") {
			require.Equal(t, "postgres.abcdefghijklmnop", cfg.parsed.ConnConfig.User)
		}
	}
}

// TestPlaintext: what production lets through to another machine, by all that libpq's
// sslmode can be.
func TestPlaintext(t *testing.T) {
	t.Parallel()
	for url, refused := range map[string]bool{
		"postgres://u:p@db.example.com/db":                               true,
		"postgres://u:p@db.example.com/db?sslmode=disable":               true,
		"postgres://u:p@db.example.com/db?sslmode=allow":                 true,
		"postgres://u:p@db.example.com/db?sslmode=prefer":                true,
		"postgres://u:p@db.example.com/db?sslmode=require":               false,
		"postgres://u:p@db.example.com/db?sslmode=verify-ca":             false,
		"postgres://u:p@db.example.com/db?sslmode=verify-full":           false,
		"postgres://u:p@db.example.com/db?sslrootcert=system":            false,
		"postgres://u:p@127.0.0.1,10.1.2.3/db?sslmode=disable":           true,
		"postgres://u:p@10.1.2.3/db?sslmode=disable":                     true,
		"postgres://u:p@127.0.0.2/db":                                    false,
		"postgres://u:p@[::1]/db":                                        false,
		"postgres://u:p@localhost/db":                                    false,
		"postgres://u:p@/db?host=/var/run/postgresql":                    false,
		"cockroachdb://u:p@free-tier.cockroachlabs.cloud:26257/db":       true,
		"postgresql://postgres.a:p@x.pooler.supabase.com:6543/postgres":  true,
		"postgres://u:p@localhost.evil.example/db":                       true,
		"postgres://u:p@127.0.0.1.evil.example/db?sslmode=allow":         true,
		"postgres://u:p@db.example.com/db?sslmode=require&host=10.1.1.1": false,
	} {
		for variables, let := range map[*map[string]string]bool{
			{"UAOL_ENV": "production"}:                                    !refused,
			{"UAOL_ENV": "production", "UAOL_DATABASE_PLAINTEXT": "true"}: true,
			{}: true,
		} {
			(*variables)["DATABASE_URL"] = url
			_, err := config.Parse[Config](config.Of(*variables))
			if let {
				require.NoError(t, err, url)
				continue
			}
			require.ErrorContains(t, err, "DATABASE_URL holds", url)
			require.ErrorContains(t, err, "UAOL_DATABASE_PLAINTEXT=true", url)
			require.NotContains(t, err.Error(), "\n")
			require.NotContains(t, err.Error(), ":p@")
		}
	}
	_, err := config.Parse[Config](config.Of(map[string]string{"DATABASE_URL": "postgres://u:p@h/db?sslmode=verify-full&sslrootcert=/nonexistent"}))
	require.ErrorContains(t, err, "DATABASE_URL")
	for _, bad := range []string{"-1s", "1us", "soon"} {
		_, err := config.Parse[Config](config.Of(map[string]string{"UAOL_STATEMENT_TIMEOUT": bad}))
		require.ErrorContains(t, err, "UAOL_STATEMENT_TIMEOUT", bad)
	}
	_, err = config.Parse[Config](config.Of(map[string]string{"UAOL_DATABASE_PASSWORD_FILE": "/nonexistent"}))
	require.EqualError(t, err, `UAOL_DATABASE_PASSWORD_FILE holds "/nonexistent"; want a readable file that holds the password and nothing else`)
}

// TestPasswordNeverShows: whatever characters a password has, an error about
// the URL does not show it, neither raw nor by the parser's own words.
func TestPasswordNeverShows(t *testing.T) {
	t.Parallel()
	const marker = "s3cretMARKER"
	rapid.Check(t, func(t *rapid.T) {
		rest := rapid.SampledFrom([]string{"@h:5432/db", "@h/db?sslmode=perhaps", "@h", "@/db", "@h:port/db", "@", ""}).Draw(t, "rest")
		junk := rapid.StringMatching(`[a-zA-Z0-9:/?#@%&=;,+ '"\\\[\]{}^|<>-]{0,5}`)
		scheme := rapid.SampledFrom([]string{"postgres://", "postgresql://", "mysql://", "cockroachdb://", "", "postgres:"}).Draw(t, "scheme")
		if rest == "" { // cut off: only then nothing says where the password ends, or that it is one
			junk, scheme = rapid.StringMatching(`[a-zA-Z:%+;-]{0,5}`), "postgres://"
		}
		password := junk.Draw(t, "before") + marker + junk.Draw(t, "after")
		user := rapid.StringMatching(`[a-z]{0,3}`).Draw(t, "user")
		if scheme == "" && strings.HasPrefix(password, "//") {
			return // then the user is a scheme
		}
		url := scheme + user + ":" + password + rest
		cfg := Config{URL: url, PoolMax: 1}
		err := cfg.Check()
		if err == nil {
			return
		}
		require.NotContains(t, err.Error(), "MARKER", url)
	})
}
