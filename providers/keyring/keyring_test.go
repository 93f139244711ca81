package keyring

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"uaol/providers/config"
)

const (
	first  = "Lp0hG6fDs3Ew9Kx5Cn1By7Rt4Zm2qJ8v"
	second = "v8Jq2mZ4tR7yB1nC5xK9wE3sD6fG0hLp"
)

func ring(t testing.TB, cfg Config) *Ring {
	t.Helper()
	r, err := New(cfg, zap.NewNop())
	require.NoError(t, err)
	return r
}

func TestSealAndOpen(t *testing.T) {
	t.Parallel()
	r := ring(t, Config{Secret: first})
	for _, plain := range [][]byte{nil, []byte("x"), []byte("sk-abcdefghijklmnop"), bytes.Repeat([]byte{0}, 100_000)} {
		sealed := r.Seal(plain, "row 1")
		opened, err := r.Open(sealed, "row 1")
		require.NoError(t, err)
		require.True(t, bytes.Equal(plain, opened))
		require.False(t, len(plain) > 1 && bytes.Contains(sealed, plain[:min(len(plain), 8)]) && plain[0] != 0)
		require.NotEqual(t, sealed, r.Seal(plain, "row 1"), "never twice the same")
		_, err = r.Open(sealed, "row 2")
		require.ErrorIs(t, err, errBroken, "moved to another row")
		for i := range sealed[:min(len(sealed), 60)] {
			broken := bytes.Clone(sealed)
			broken[i] ^= 1
			_, err = r.Open(broken, "row 1")
			require.Error(t, err, "byte %d changed", i)
		}
		for n := range min(len(sealed), 60) {
			_, err = r.Open(sealed[:n], "row 1")
			require.Error(t, err, "cut to %d", n)
		}
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	old := ring(t, Config{Secret: first})
	sealed := old.Seal([]byte("a key"), "row")
	_, err := ring(t, Config{Secret: second}).Open(sealed, "row")
	require.ErrorContains(t, err, "ENCRYPTION_SECRET_PREVIOUS")
	both := ring(t, Config{Secret: second, Previous: first})
	plain, err := both.Open(sealed, "row")
	require.NoError(t, err)
	require.Equal(t, "a key", string(plain))
	require.False(t, bytes.HasPrefix(sealed, both.Current()))
	anew := both.Seal(plain, "row")
	require.True(t, bytes.HasPrefix(anew, both.Current()))
	_, err = old.Open(anew, "row")
	require.Error(t, err)
	_, err = ring(t, Config{Secret: first, Salt: "salt"}).Open(sealed, "row")
	require.Error(t, err, "the salt is part of the key")
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		set   map[string]string
		names string
	}{
		"development":              {},
		"production":               {map[string]string{"UAOL_ENV": "production"}, "ENCRYPTION_SECRET"},
		"production, set":          {map[string]string{"UAOL_ENV": "production", "ENCRYPTION_SECRET": first}, ""},
		"production, short":        {map[string]string{"UAOL_ENV": "production", "ENCRYPTION_SECRET": "hunter2"}, "ENCRYPTION_SECRET"},
		"production, short before": {map[string]string{"UAOL_ENV": "production", "ENCRYPTION_SECRET": first, "ENCRYPTION_SECRET_PREVIOUS": "hunter2"}, "ENCRYPTION_SECRET_PREVIOUS"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Parse[Config](config.Of(test.set))
			if test.names == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.names)
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
}

// TestMadeInDevelopment is kept: what it sealed can be opened after a restart.
func TestMadeInDevelopment(t *testing.T) {
	t.Parallel()
	cfg := Config{Process: config.Process{DataDir: t.TempDir()}}
	sealed := ring(t, cfg).Seal([]byte("x"), "row")
	_, err := ring(t, cfg).Open(sealed, "row")
	require.NoError(t, err)
}

func FuzzOpen(f *testing.F) {
	r := ring(f, Config{Secret: first, Previous: second})
	f.Add(r.Seal([]byte("x"), "row"), "row")
	f.Add([]byte{1, 2, 3}, "")
	f.Fuzz(func(t *testing.T, sealed []byte, bond string) {
		if plain, err := r.Open(sealed, bond); err == nil && !bytes.HasPrefix(sealed, r.Current()) {
			t.Fatalf("%x opens to %q", sealed, plain)
		}
	})
}

// TestKeysForOtherPurposes are the secret's, and one for each purpose.
func TestKeysForOtherPurposes(t *testing.T) {
	t.Parallel()
	keyOf := func(cfg Config, purpose string) []byte { return ring(t, cfg).Key(purpose) }
	key := keyOf(Config{Secret: first}, "digests")
	require.Len(t, key, 32)
	require.Equal(t, key, keyOf(Config{Secret: first}, "digests"))
	require.Equal(t, key, keyOf(Config{Secret: first, Previous: second}, "digests"), "the current secret's")
	for name, another := range map[string][]byte{
		"purpose":      keyOf(Config{Secret: first}, "others"),
		"secret":       keyOf(Config{Secret: second}, "digests"),
		"rotated":      keyOf(Config{Secret: second, Previous: first}, "digests"),
		"salt":         keyOf(Config{Secret: first, Salt: "x"}, "digests"),
		"sealing's id": keyOf(Config{Secret: first}, "uaol keyring 1"),
	} {
		require.NotEqual(t, key, another, name)
	}
}

// TestPreviousKeys are those of the secret that was replaced.
func TestPreviousKeys(t *testing.T) {
	t.Parallel()
	old := ring(t, Config{Secret: first, Salt: "salt"})
	require.Nil(t, old.PreviousKey("digests"))
	both := ring(t, Config{Secret: second, Previous: first, Salt: "salt"})
	require.Equal(t, old.Key("digests"), both.PreviousKey("digests"))
	require.NotEqual(t, both.Key("digests"), both.PreviousKey("digests"))
	require.NotEqual(t, both.PreviousKey("others"), both.PreviousKey("digests"))
}
