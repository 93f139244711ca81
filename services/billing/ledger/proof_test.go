package ledger

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"uaol/providers/config"
	"uaol/providers/keyring"
	"uaol/services"
	"uaol/services/billing/chain"
)

// TestProofs: each entry that is sealed has one.
func TestProofs(t *testing.T) {
	t.Parallel()
	b := filled(t)
	for i, e := range b.library.entries {
		if i%7 != 0 {
			continue
		}
		in, err := NewProver(b.pool, e.Organization).Prove(t.Context(), e.Seq)
		require.NoError(t, err)
		require.NoError(t, in.Verify(e, b.trusted))
		require.Error(t, in.Verify(e, chain.NewTrusted()))
		e.Amount++
		require.Error(t, in.Verify(e, b.trusted))
	}
	provers := map[uuid.UUID]*Prover{} // that go on from entry to entry
	for _, e := range b.library.entries {
		if provers[e.Organization] == nil {
			provers[e.Organization] = NewProver(b.pool, e.Organization)
		}
		in, err := provers[e.Organization].Prove(t.Context(), e.Seq)
		require.NoError(t, err)
		require.NoError(t, in.Verify(e, b.trusted))
	}
	for _, seq := range []int64{0, -1, 10_000} {
		_, err := NewProver(b.pool, b.library.ids[0]).Prove(t.Context(), seq)
		require.True(t, services.Is(err, services.NotFound), seq)
	}
	_, err := NewProver(b.pool, uuid.New()).Prove(t.Context(), 1)
	require.True(t, services.Is(err, services.NotFound))
	b.exec(t, `DELETE FROM uaol_billing.journal`)
	_, err = NewProver(b.pool, b.library.ids[0]).Prove(t.Context(), 1)
	require.Error(t, err)
}

const (
	first  = "Lp0hG6fDs3Ew9Kx5Cn1By7Rt4Zm2qJ8v"
	second = "v8Jq2mZ4tR7yB1nC5xK9wE3sD6fG0hLp"
	third  = "q9Wd3Tf7Yh1Ju5Ki0Lo8Pz2Xc6Vb4Nm7"
)

// TestKeys: what was sealed with any secret that is still named counts.
func TestKeys(t *testing.T) {
	t.Parallel()
	keys := func(cfg Config, ring keyring.Config) (*chain.Key, chain.Trusted) {
		r, err := keyring.New(ring, zap.NewNop())
		require.NoError(t, err)
		key, trusted, err := Keys(cfg, r)
		require.NoError(t, err)
		require.NoError(t, trusted.Check(key.Sign(chain.Seal{})))
		return key, trusted
	}
	derived, _ := keys(Config{}, keyring.Config{Secret: first})
	again, _ := keys(Config{}, keyring.Config{Secret: first})
	require.Equal(t, derived.Public(), again.Public())
	seal := derived.Sign(chain.Seal{Number: 1})
	for name, test := range map[string]struct {
		cfg  Config
		ring keyring.Config
	}{
		"rotated":    {Config{}, keyring.Config{Secret: second, Previous: first}},
		"own":        {Config{Secret: third}, keyring.Config{Secret: first}},
		"public key": {Config{Previous: []string{derived.Public().String()}}, keyring.Config{Secret: second}},
	} {
		key, trusted := keys(test.cfg, test.ring)
		require.NotEqual(t, derived.Public(), key.Public(), name)
		require.NoError(t, trusted.Check(seal), name)
	}
	_, trusted := keys(Config{}, keyring.Config{Secret: second})
	require.Error(t, trusted.Check(seal))

	own, _ := keys(Config{Secret: third}, keyring.Config{Secret: first})
	_, trusted = keys(Config{Secret: second, Previous: []string{third}}, keyring.Config{Secret: second})
	require.NoError(t, trusted.Check(own.Sign(chain.Seal{})))
	ring, err := keyring.New(keyring.Config{Secret: first}, zap.NewNop())
	require.NoError(t, err)
	_, _, err = Keys(Config{Previous: []string{"ed25519:x"}}, ring)
	require.Error(t, err)
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		set   map[string]string
		names string
	}{
		"development":       {nil, ""},
		"production":        {map[string]string{"UAOL_ENV": "production"}, ""},
		"short":             {map[string]string{"UAOL_ENV": "production", "UAOL_LEDGER_SECRET": "hunter2"}, "UAOL_LEDGER_SECRET"},
		"previous":          {map[string]string{"UAOL_ENV": "production", "UAOL_LEDGER_SECRET_PREVIOUS": first + "," + second}, ""},
		"previous, short":   {map[string]string{"UAOL_ENV": "production", "UAOL_LEDGER_SECRET_PREVIOUS": first + ",hunter2"}, "UAOL_LEDGER_SECRET_PREVIOUS"},
		"previous, public":  {map[string]string{"UAOL_LEDGER_SECRET_PREVIOUS": testKey(t, 1).Public().String()}, ""},
		"previous, damaged": {map[string]string{"UAOL_LEDGER_SECRET_PREVIOUS": "ed25519:hunter2"}, "UAOL_LEDGER_SECRET_PREVIOUS"},
		"webhook":           {map[string]string{"UAOL_LEDGER_HEAD_WEBHOOK": "https://example.com/x"}, ""},
		"no webhook":        {map[string]string{"UAOL_LEDGER_HEAD_WEBHOOK": "example.com/hunter2"}, "UAOL_LEDGER_HEAD_WEBHOOK"},
		"mode":              {map[string]string{"UAOL_ENV": "x"}, "UAOL_ENV"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg, err := config.Parse[Config](config.Of(test.set))
			if test.names == "" {
				require.NoError(t, err)
				require.Equal(t, !cfg.Production(), cfg.File != "" && strings.HasPrefix(cfg.File, cfg.DataDir))
				return
			}
			require.ErrorContains(t, err, test.names)
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
}

func TestHeadsFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "heads")
	_, err := Heads(path)
	require.Error(t, err)
	require.NoError(t, appendLine(path, []byte(`{"number":1}`)))
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = file.WriteString(`{"number":`) // a crash
	require.NoError(t, err)
	require.NoError(t, file.Close())
	heads, err := Heads(path)
	require.NoError(t, err)
	require.Len(t, heads, 1)
	require.NoError(t, appendLine(path, []byte(`{"number":2}`)))
	heads, err = Heads(path)
	require.NoError(t, err)
	require.Equal(t, []chain.Head{{Number: 1}, {Number: 2}}, heads)
	require.NoError(t, appendLine(path, []byte(`{"number":"x"}`)))
	_, err = Heads(path)
	require.ErrorContains(t, err, "line 4")
}
