package modelkeys

import (
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"uaol/providers/keyring"
	"uaol/providers/postgres/pgtest"
	"uaol/services"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const (
	before = "an encryption secret of a test, 32 characters or more"
	after  = "the encryption secret that takes its place, 32 or more"
	openai = "sk-abcdefghijklmnopqrstuvwxyz123456"
	claude = "sk-ant-abcdefghijklmnopqrstuvwxyz"
)

type bench struct {
	pool       *pgxpool.Pool
	repository *Repository
	service    *Service
}

func setup(t testing.TB) *bench {
	t.Helper()
	b := &bench{pool: pgtest.New(t)}
	b.repository = NewRepository(b.pool)
	b.service = NewService(Config{}, b.repository, ring(t, keyring.Config{Secret: before}))
	return b
}

func ring(t testing.TB, cfg keyring.Config) *keyring.Ring {
	t.Helper()
	r, err := keyring.New(cfg, zap.NewNop())
	require.NoError(t, err)
	return r
}

// somebody is a caller with an organisation.
func (b *bench) somebody(t testing.TB) services.Caller {
	t.Helper()
	caller := services.Caller{Account: uuid.New(), Organization: uuid.New(), Role: services.RoleUser, OrgRole: services.OrgOwner, Personal: true}
	_, err := b.pool.Exec(t.Context(), `INSERT INTO uaol_auth.organizations (organization_id, name, personal) VALUES ($1, 'x', true)`, caller.Organization)
	require.NoError(t, err)
	return caller
}

func (b *bench) set(t testing.TB, caller services.Caller, provider, secret string, isDefault bool) ModelKey {
	t.Helper()
	key, err := b.service.Set(t.Context(), caller, provider, secret, isDefault)
	require.NoError(t, err)
	return key
}

// secret is a key as a service that asks a model gets it.
func secret(t testing.TB, s *Service, caller services.Caller, provider string) (string, error) {
	t.Helper()
	access, err := s.ModelAccess(t.Context(), AccessRequest{Caller: caller, Provider: provider})
	return string(access.Key), err
}

func (b *bench) defaults(t testing.TB, caller services.Caller) (names string) {
	t.Helper()
	keys, err := b.service.List(t.Context(), caller)
	require.NoError(t, err)
	for _, k := range keys {
		names += k.Provider
		if k.Default {
			names += "*"
		}
		names += " "
	}
	return strings.TrimSpace(names)
}

func TestModelKeys(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada, bob := b.somebody(t), b.somebody(t)
	key := b.set(t, ada, "openai", openai, false)
	require.Equal(t, "sk-abcde...3456", key.Masked)
	require.True(t, key.Default, "the first one")
	b.set(t, ada, "claude", claude, false)
	require.Equal(t, "openai* claude", b.defaults(t, ada))
	b.set(t, ada, "claude", claude, true)
	require.Equal(t, "openai claude*", b.defaults(t, ada))
	b.set(t, ada, "claude", claude, false)
	require.Equal(t, "openai claude*", b.defaults(t, ada), "a new key for it is no other choice")
	require.NoError(t, b.service.SetDefault(t.Context(), ada, "openai"))
	require.Equal(t, "openai* claude", b.defaults(t, ada))

	// Another's see and change nothing of it.
	require.Empty(t, b.defaults(t, bob))
	none, err := b.service.Get(t.Context(), bob, "openai")
	require.NoError(t, err)
	require.Nil(t, none)
	require.Equal(t, services.NotFound, services.KindOf(b.service.SetDefault(t.Context(), bob, "openai")))
	require.NoError(t, b.service.Delete(t.Context(), bob, "openai"))
	_, err = secret(t, b.service, bob, "openai")
	require.Equal(t, services.Invalid, services.KindOf(err))

	got, err := secret(t, b.service, ada, "openai")
	require.NoError(t, err)
	require.Equal(t, openai, got)
	require.NoError(t, b.service.Delete(t.Context(), ada, "openai"))
	require.NoError(t, b.service.Delete(t.Context(), ada, "openai"), "it may be repeated")
	require.Equal(t, "claude", b.defaults(t, ada))
}

func TestModelKeysAreChecked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada := b.somebody(t)
	for name, test := range map[string]struct{ provider, secret, message string }{
		"no provider":     {"", openai, "Provider and API key are required"},
		"no key":          {"openai", "", "Provider and API key are required"},
		"another":         {"foo", openai, "Invalid provider. Must be one of: openai, gemini, claude"},
		"short":           {"gemini", "short", "Invalid gemini API key format"},
		"another's":       {"claude", openai, "Invalid claude API key format"},
		"a space":         {"openai", openai + " x", "Invalid openai API key format"},
		"a line break":    {"openai", openai + "\r\nX: y", "Invalid openai API key format"},
		"not ASCII":       {"openai", openai + "é", "Invalid openai API key format"},
		"a control":       {"gemini", openai + "\x00", "Invalid gemini API key format"},
		"upper case name": {"OpenAI", openai, "Invalid provider. Must be one of: openai, gemini, claude"},
	} {
		_, err := b.service.Set(t.Context(), ada, test.provider, test.secret, false)
		require.Equal(t, services.Invalid, services.KindOf(err), name)
		require.EqualError(t, err, test.message, name)
		if len(test.secret) > 5 {
			require.NotContains(t, err.Error(), test.secret)
		}
	}
	require.Empty(t, b.defaults(t, ada))
}

// TestOneDefault whoever sets what at once.
func TestOneDefault(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada := b.somebody(t)
	var group sync.WaitGroup
	for range 10 {
		for provider, secret := range map[string]string{"openai": openai, "claude": claude, "gemini": openai} {
			group.Go(func() {
				if _, err := b.service.Set(t.Context(), ada, provider, secret, true); err != nil {
					t.Error(err)
				}
				if err := b.service.SetDefault(t.Context(), ada, provider); err != nil {
					t.Error(err)
				}
			})
		}
	}
	group.Wait()
	require.Equal(t, 1, strings.Count(b.defaults(t, ada), "*"))
}

// TestSealedForItsRow: a key is readable nowhere in the table, and worthless in
// another row.
func TestSealedForItsRow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada, eve := b.somebody(t), b.somebody(t)
	b.set(t, ada, "openai", openai, false)
	b.set(t, eve, "openai", "sk-eve-eve-eve-eve-eve-eve", false)
	b.set(t, ada, "gemini", "sk-ada-gemini-gemini-gemini", false)
	var n int
	require.NoError(t, b.pool.QueryRow(t.Context(), `SELECT count(*) FROM uaol_auth.provider_keys k
		WHERE position($1 IN k::text) > 0 OR position(encode(convert_to($1, 'UTF8'), 'hex') IN k::text) > 0`, openai).Scan(&n))
	require.Zero(t, n)
	for _, move := range []string{
		`UPDATE uaol_auth.provider_keys SET sealed = (SELECT sealed FROM uaol_auth.provider_keys WHERE organization_id = $1 AND provider = 'openai') WHERE organization_id = $2 AND provider = 'openai'`,
		`UPDATE uaol_auth.provider_keys SET sealed = (SELECT sealed FROM uaol_auth.provider_keys WHERE organization_id = $1 AND provider = 'gemini') WHERE organization_id = $1 AND provider = 'openai' AND $2::uuid IS NOT NULL`,
	} {
		_, err := b.pool.Exec(t.Context(), move, ada.Organization, eve.Organization)
		require.NoError(t, err)
	}
	for _, thief := range []services.Caller{eve, ada} {
		_, err := secret(t, b.service, thief, "openai")
		require.Error(t, err)
	}
}

func TestRotate(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var owners []services.Caller
	for range 120 { // more than are read at a time
		owner := b.somebody(t)
		b.set(t, owner, "openai", openai, false)
		b.set(t, owner, "claude", claude, false)
		owners = append(owners, owner)
	}
	both := ring(t, keyring.Config{Secret: after, Previous: before})
	n, err := Rotate(t.Context(), b.repository, both)
	require.NoError(t, err)
	require.Equal(t, 240, n)
	n, err = Rotate(t.Context(), b.repository, both)
	require.NoError(t, err)
	require.Zero(t, n, "it may be repeated")
	alone := NewService(Config{}, b.repository, ring(t, keyring.Config{Secret: after}))
	for _, owner := range owners {
		got, err := secret(t, alone, owner, "claude")
		require.NoError(t, err)
		require.Equal(t, claude, got)
	}
	_, err = Rotate(t.Context(), b.repository, ring(t, keyring.Config{Secret: before}))
	require.ErrorContains(t, err, "ENCRYPTION_SECRET_PREVIOUS")
}
