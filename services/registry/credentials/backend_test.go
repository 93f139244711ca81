package credentials

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"uaol/providers/config"
	"uaol/providers/keyring"
	"uaol/services"
)

// TestBackends is the contract of all of them.
func TestBackends(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(t *testing.T) backend{
		"the index": func(t *testing.T) backend { return inIndex{ringOf(t, keyring.Config{Secret: sealedWith})} },
		"vault": func(t *testing.T) backend {
			var cfg Config
			startVault(t).config(&cfg)
			v, err := newVault(cfg)
			require.NoError(t, err)
			return v
		},
		"aws": func(t *testing.T) backend {
			var cfg Config
			startAWS(t).config(&cfg)
			a, err := newAmazon(t.Context(), cfg)
			require.NoError(t, err)
			return a
		},
		"the store, on aws":     func(t *testing.T) backend { return setup(t, startAWS(t).config).store },
		"the store, on a vault": func(t *testing.T) backend { return setup(t, startVault(t).config).store },
		"the store":             func(t *testing.T) backend { return setup(t).store },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := start(t)
			at := place{Tool: uuid.New(), Scope: ofUser, Holder: uuid.New(), Name: "KEY", Origin: "https://example.com:443"}
			_, err := b.get(t.Context(), at, nil)
			require.ErrorIs(t, err, errNoValue)
			for _, value := range []string{"first", " ", "ä\n\"{{secret.KEY}}\"", strings.Repeat("x", maxValue)} {
				sealed, err := b.put(t.Context(), at, value)
				require.NoError(t, err)
				require.NotNil(t, sealed)
				require.NotContains(t, string(sealed), "first")
				got, err := b.get(t.Context(), at, sealed)
				require.NoError(t, err)
				require.Equal(t, value, got)
				for part, change := range map[string]func(*place){
					"tool": func(p *place) { p.Tool = uuid.New() }, "scope": func(p *place) { p.Scope = ofTool }, "holder": func(p *place) { p.Holder = uuid.New() },
					"name": func(p *place) { p.Name = "OTHER" }, "origin": func(p *place) { p.Origin = "https://evil.example.com:443" },
				} {
					other := at
					change(&other)
					_, err := b.get(t.Context(), other, sealed)
					require.Error(t, err, "it counts in its own place only: %s", part)
				}
			}
			require.NoError(t, b.remove(t.Context(), at))
			require.NoError(t, b.remove(t.Context(), at), "it may be repeated")
			_, err = b.get(t.Context(), at, nil)
			require.ErrorIs(t, err, errNoValue)
		})
	}
}

// elsewhere is a server that keeps values, as tests see it.
type elsewhere interface {
	config(c *Config)
	paths() []string // where something is kept
	wipe()
	failures() map[string]func() // ways to fail, until mend
	mend()
}

var everywhere = map[string]func(t testing.TB) elsewhere{
	"vault": func(t testing.TB) elsewhere { return startVault(t) },
	"aws":   func(t testing.TB) elsewhere { return startAWS(t) },
}

func TestValuesAreKeptElsewhereAndInTheIndexNone(t *testing.T) {
	t.Parallel()
	for name, start := range everywhere {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := start(t)
			b := setup(t, v.config)
			owner, ada := user(), user()
			tool := b.tool(t, owner)
			b.give(t, owner, tool, ofTool, "KEY", "tool's")
			b.give(t, ada, tool, ofUser, "ZONE", "ada's")
			c := b.carried(t, tool, ada)
			require.Equal(t, "k tool's", c.Headers["X-Key"])
			require.Equal(t, "ada's", c.Arguments["zone"])
			require.Equal(t, 2, b.count(t, `SELECT count(*) FROM uaol_registry.secrets WHERE length(sealed) = 0`))
			require.Contains(t, strings.Join(v.paths(), "\n"), "/"+tool.ID.String()+"/user/"+ada.Account.String()+"/ZONE/")

			// What was given for two addresses is forgotten for both.
			moved := tool
			moved.GatewayURL = "https://new.example.com/mcp"
			b.give(t, ada, moved, ofUser, "ZONE", "ada's there")
			require.Equal(t, "ada's", b.carried(t, tool, ada).Arguments["zone"])
			require.Len(t, v.paths(), 3)
			require.NoError(t, b.service.Delete(t.Context(), ada, tool, ofUser, "ZONE"))
			require.Len(t, v.paths(), 1)
			require.Equal(t, []string{"ZONE"}, b.required(t, tool, ada).Missing)

			// A value that is gone is one that was not given.
			v.wipe()
			require.Equal(t, []string{"KEY", "ZONE"}, b.required(t, tool, ada).Missing)

			// What was sealed in the index before stays readable.
			before := onDatabase(t, b.pool)
			before.put(tool)
			before.give(t, ada, tool, ofUser, "KEY", "from before")
			before.give(t, ada, tool, ofUser, "ZONE", "from before")
			require.Equal(t, "k from before", b.carried(t, tool, ada).Headers["X-Key"])
			// And what is elsewhere is not there without it.
			b.give(t, ada, tool, ofUser, "KEY", "elsewhere")
			require.Equal(t, []string{"KEY"}, before.required(t, tool, ada).Missing)
		})
	}
}

// TestABackendThatIsAway is an error that says so, with nothing of what was asked.
func TestABackendThatIsAway(t *testing.T) {
	t.Parallel()
	for name, start := range everywhere {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := start(t)
			b := setup(t, v.config)
			owner := user()
			tool := b.tool(t, owner, func(tool *Tool) { tool.Inject = Injection{Env: map[string]string{"A": "{{secret.KEY}}"}} })
			b.give(t, owner, tool, ofTool, "KEY", "value-elsewhere")
			for how, fail := range v.failures() {
				fail()
				_, err := b.service.For(t.Context(), tool, owner)
				require.Equal(t, services.Unavailable, services.KindOf(err), how)
				require.NotContains(t, fmt.Sprint(errors.Unwrap(err)), "123456789012", how)
				_, err = b.service.Set(t.Context(), owner, tool, SetRequest{Name: "KEY", Value: "another-value", Scope: ofTool})
				require.Equal(t, services.Unavailable, services.KindOf(err), how)
				for _, said := range []string{err.Error(), fmt.Sprint(errors.Unwrap(err))} {
					require.NotContains(t, said, "another-value")
					require.NotContains(t, said, tool.ID.String())
				}
			}
			// The index says nothing that the backend has not taken, and forgets first.
			v.mend()
			require.Equal(t, "value-elsewhere", b.carried(t, tool, owner).Env["A"])
			for _, fail := range v.failures() {
				fail()
			}
			require.Equal(t, services.Unavailable, services.KindOf(b.service.Delete(t.Context(), owner, tool, ofTool, "KEY")))
			v.mend()
			require.Equal(t, []string{"KEY"}, b.required(t, tool, owner).Missing, "it counts no more")
			require.NotEmpty(t, v.paths())
			b.give(t, owner, tool, ofTool, "KEY", "value-elsewhere-again")
			require.Equal(t, "value-elsewhere-again", b.carried(t, tool, owner).Env["A"])
			for _, fail := range v.failures() {
				fail()
			}
			require.Error(t, b.service.Delete(t.Context(), owner, tool, ofTool, "KEY"))
			v.mend()
			require.NoError(t, b.service.Delete(t.Context(), owner, tool, ofTool, "KEY"), "repeated, it does the rest")
			require.Empty(t, v.paths())
			require.Zero(t, b.count(t, `SELECT count(*) FROM uaol_registry.secrets`))
			for _, entry := range b.logged.All() {
				require.NotContains(t, fmt.Sprint(entry.Message, entry.ContextMap()), "value")
			}
		})
	}
}

func TestStartWithAndWithoutABackend(t *testing.T) {
	t.Parallel()
	gone := startVault(t)
	gone.Close()
	ring := ringOf(t, keyring.Config{Secret: sealedWith})
	denied := startAWS(t)
	denied.fail = "AccessDeniedException"
	for name, test := range map[string]struct {
		change  func(*Config)
		refused string // in production
	}{
		"the database":     {func(*Config) {}, ""},
		"vault":            {startVault(t).config, ""},
		"vault, gone":      {gone.config, "VAULT_ADDR and VAULT_TOKEN"},
		"vault, bad token": {func(c *Config) { startVault(t).config(c); c.VaultToken = "a token that nobody knows" }, "VAULT_ADDR and VAULT_TOKEN"},
		"aws":              {startAWS(t).config, ""},
		"aws, bad key":     {func(c *Config) { startAWS(t).config(c); c.Account.Key = "AKIANOBODYKNOWSTHEM0" }, "UnrecognizedClientException"},
		"aws, denied":      {denied.config, "AccessDeniedException); set AWS_REGION and credentials"},
	} {
		for _, production := range []bool{false, true} {
			cfg := Config{Manager: inDatabase}
			test.change(&cfg)
			if production {
				cfg.Mode = "production"
			}
			b := setup(t)
			s, err := NewStore(cfg, ring, b.service.log)
			require.NoError(t, err)
			err = s.Start(t.Context())
			warnings := b.logged.FilterLevelExact(zap.WarnLevel).Len()
			if production && test.refused != "" {
				require.ErrorContains(t, err, test.refused, name)
				require.NotContains(t, err.Error(), "\n")
				for _, secret := range []string{cfg.VaultToken, cfg.Account.Key, cfg.Account.Secret} {
					require.False(t, secret != "" && strings.Contains(err.Error(), secret), name)
				}
				continue
			}
			require.NoError(t, err, name)
			require.Equal(t, test.refused != "", warnings == 1, name)
			at := place{Name: "KEY"}
			sealed, err := s.put(t.Context(), at, "x")
			require.NoError(t, err, name)
			require.Equal(t, name == "vault" || name == "aws", len(sealed) == 0, name)
		}
	}
}

// TestVaultsTokenIsRenewed at half its time.
func TestVaultsTokenIsRenewed(t *testing.T) {
	t.Parallel()
	server := startVault(t)
	server.ttl = 100
	b := setup(t, server.config)
	vault, ok := b.store.beyond.(*vault)
	require.True(t, ok)
	pause, err := vault.renew(t.Context())
	require.NoError(t, err)
	require.Equal(t, 50*time.Second, pause)
	server.set(func(v *vaultServer) { v.fail = http.StatusServiceUnavailable })
	pause, err = vault.renew(t.Context())
	require.Error(t, err)
	require.Less(t, pause, time.Minute)
	server.set(func(v *vaultServer) { v.fail = 0 })

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.store.Run(ctx) }()
	require.Eventually(t, func() bool { server.mu.Lock(); defer server.mu.Unlock(); return server.renewed >= 2 }, 10*time.Second, 5*time.Millisecond)
	cancel()
	require.NoError(t, <-ended)
}

func TestConfig(t *testing.T) {
	t.Parallel()
	vault := map[string]string{"SECRETS_MANAGER_TYPE": "vault", "VAULT_ADDR": "https://vault.example.com:8200", "VAULT_TOKEN": "hvs.hunter2"}
	for name, test := range map[string]struct {
		set   map[string]string
		names string
	}{
		"nothing":                {nil, ""},
		"database":               {map[string]string{"SECRETS_MANAGER_TYPE": "Database"}, ""},
		"vault":                  {vault, ""},
		"vault without address":  {map[string]string{"SECRETS_MANAGER_TYPE": "vault", "VAULT_TOKEN": "hvs.hunter2"}, "VAULT_ADDR is not set"},
		"vault, a bad address":   {map[string]string{"SECRETS_MANAGER_TYPE": "vault", "VAULT_ADDR": "vault:8200", "VAULT_TOKEN": "hvs.hunter2"}, "VAULT_ADDR"},
		"vault without token":    {map[string]string{"SECRETS_MANAGER_TYPE": "vault", "VAULT_ADDR": "http://vault:8200"}, "VAULT_TOKEN is not set"},
		"vault, a bad mount":     {with(vault, "VAULT_MOUNT", "../sys"), "VAULT_MOUNT"},
		"aws, by its own ways":   {map[string]string{"SECRETS_MANAGER_TYPE": "aws", "UAOL_ENV": "production"}, ""},
		"aws, a key":             {map[string]string{"SECRETS_MANAGER_TYPE": "AWS", "AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "hunter2"}, ""},
		"aws, half a key":        {map[string]string{"SECRETS_MANAGER_TYPE": "aws", "AWS_ACCESS_KEY_ID": "hunter2"}, "AWS_SECRET_ACCESS_KEY is not set"},
		"aws, the other half":    {map[string]string{"SECRETS_MANAGER_TYPE": "aws", "AWS_SECRET_ACCESS_KEY": "hunter2"}, "AWS_ACCESS_KEY_ID is not set"},
		"aws, a bad prefix":      {map[string]string{"SECRETS_MANAGER_TYPE": "aws", "AWS_SECRETS_PREFIX": "uaol tools"}, "AWS_SECRETS_PREFIX"},
		"aws, a long prefix":     {map[string]string{"SECRETS_MANAGER_TYPE": "aws", "AWS_SECRETS_PREFIX": strings.Repeat("x", 201)}, "AWS_SECRETS_PREFIX"},
		"half a key, unused":     {map[string]string{"AWS_ACCESS_KEY_ID": "hunter2"}, ""},
		"something else":         {map[string]string{"SECRETS_MANAGER_TYPE": "keychain"}, "database, vault or aws"},
		"a bad public address":   {map[string]string{"UAOL_PUBLIC_URL": "example.com"}, "UAOL_PUBLIC_URL"},
		"a bad frontend address": {map[string]string{"FRONTEND_URL": "javascript:alert(1)"}, "FRONTEND_URL"},
	} {
		_, err := config.Parse[Config](config.Of(test.set))
		if test.names == "" {
			require.NoError(t, err, name)
			continue
		}
		require.ErrorContains(t, err, test.names, name)
		require.NotContains(t, err.Error(), "hunter2")
		var fault *config.Fault
		require.True(t, errors.As(err, &fault), name)
	}
	cfg, err := config.Parse[Config](config.Of(map[string]string{"UAOL_PUBLIC_URL": "https://uaol.example.com/", "FRONTEND_URL": "https://a.example.com/, https://b.example.com"}))
	require.NoError(t, err)
	require.Equal(t, "https://uaol.example.com", cfg.PublicURL)
	require.Equal(t, "https://a.example.com", cfg.Frontend)
	require.Equal(t, "secret", cfg.VaultMount)
}

func with(set map[string]string, name, value string) map[string]string {
	changed := map[string]string{name: value}
	for n, v := range set {
		if n != name {
			changed[n] = v
		}
	}
	return changed
}
