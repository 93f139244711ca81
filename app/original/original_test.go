package original

import (
	"context"
	"crypto/sha256"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"uaol/services"
	"uaol/services/auth"
	"uaol/services/billing"
)

// awkward is a source in which much is not as one would like it.
type awkward struct {
	ada, rival, pro, debtor, rich, nobody, weak, blank, thief                      uuid.UUID
	adaKey, rivalKey, proKey, weakKey                                              string
	pending, approved, disabled, rest, private, negative, ofGuest, nameless, local uuid.UUID
	won, lost, empty, queued, running, retrying, guestJob                          uuid.UUID
}

func fill(t testing.TB, b *bench) (a awkward) {
	a.ada, a.adaKey = b.user(t, "Ada@Example.com", 120, "Free")
	a.pro, a.proKey = b.user(t, "pro@example.com", 5000, "Pro")
	a.rival, a.rivalKey = b.user(t, "ada@example.COM", 70, "Enterprise")
	a.debtor, _ = b.user(t, "debtor@example.com", -50, "Free")
	a.rich, _ = b.user(t, "rich@example.com", 9_000_000_000_000_000_000, "Free")
	a.nobody, _ = b.user(t, "no address at all", 1, "Free")
	a.blank, _ = b.user(t, "", 0, "Free")
	a.weak, _ = b.user(t, "weak@example.com", 3, "Free")
	a.weakKey = "password1"
	a.thief, _ = b.user(t, "thief@example.com", 4, "Free")
	b.put(t, `ALTER TABLE public.users ALTER COLUMN api_key DROP NOT NULL`)
	b.put(t, `UPDATE public.users SET api_key = $2 WHERE user_id = $1`, a.weak, a.weakKey)
	b.put(t, `UPDATE public.users SET api_key = NULL WHERE user_id = $1`, a.blank)
	b.put(t, `UPDATE public.users SET api_key = E'a key with spaces and\ta tab, long enough to be a good one' WHERE user_id = $1`, a.nobody)
	b.put(t, `UPDATE public.users SET created_at = 'infinity' WHERE user_id = $1`, a.thief)
	guest, _ := b.user(t, "guest_1@uaol.guest", 1000, "Free")
	b.put(t, `UPDATE public.users SET is_guest = true, session_id = 'x' WHERE user_id = $1`, guest)

	a.pending = b.tool(t, a.ada, "Weather", "https://tools.example.com/mcp", 2, "Pending", "json-rpc")
	a.approved = b.tool(t, a.ada, "Weather", "https://tools.example.com/mcp", 3, "Approved", "json-rpc")
	a.disabled = b.tool(t, a.rival, "Gone", "https://tools.example.com/old", 0, "Disabled", "json-rpc")
	a.rest = b.tool(t, a.pro, strings.Repeat("Ärger ", 2000), "https://tools.example.com/rest", 1, "Approved", "rest")
	a.private = b.tool(t, a.pro, "Private", "http://169.254.169.254/latest", 1, "Approved", "json-rpc")
	a.local = b.tool(t, a.pro, "Local", "http://localhost:3001/mcp", 1, "Pending", "json-rpc")
	a.negative = b.tool(t, a.pro, "Pays you", "https://tools.example.com/mcp", -5, "Approved", "json-rpc")
	a.nameless = b.tool(t, a.pro, " ", "https://tools.example.com/mcp", 1, "Pending", "json-rpc")
	a.ofGuest = b.tool(t, guest, "A guest's", "https://tools.example.com/mcp", 1, "Approved", "json-rpc")

	a.won = b.job(t, a.ada, "Success", `{"a":{"content":[{"type":"text","text":"hello"}]}}`)
	a.lost = b.job(t, a.rival, "Failed", "")
	a.empty = b.job(t, a.ada, "Success", "")
	a.queued = b.job(t, a.ada, "Queued", "")
	a.running = b.job(t, a.ada, "Running", "")
	a.retrying = b.job(t, a.pro, "Retrying", "")
	a.guestJob = b.job(t, guest, "Success", `{}`)
	b.put(t, `UPDATE public.processing_jobs SET end_time = NULL, created_at = '-infinity', start_time = 'infinity' WHERE job_id = $1`, a.empty)
	b.put(t, `INSERT INTO public.user_api_keys (user_id, provider, encrypted_key) VALUES ($1, 'openai', '00:00:00')`, a.ada)
	b.put(t, `INSERT INTO public.user_oauth_tokens (user_id, provider, access_token) VALUES ($1, 'google', 'ya29')`, a.ada)
	return a
}

func TestEverythingComes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := fill(t, b)
	r := b.run(t)
	assert.Equal(t, Count{Found: 10, Brought: 9, Left: 1}, r.Users)
	assert.Equal(t, Count{Found: 8, Brought: 6, Left: 2}, r.Keys)
	assert.Equal(t, Count{Found: 8, Brought: 6, Left: 2}, r.Credits)
	assert.EqualValues(t, 120+5000+70+1+3+4, r.Granted)
	assert.Equal(t, Count{Found: 9, Brought: 5, Left: 4}, r.Tools)
	assert.Equal(t, Count{Found: 7, Brought: 3, Left: 4}, r.Jobs)
	for code, want := range map[Code][]string{
		EmailTaken: texts(a.rival), EmailUnusable: texts(a.nobody, a.blank), KeyMissing: texts(a.blank), KeyUnfit: texts(a.weak, a.nobody),
		CreditsBelow: texts(a.debtor), CreditsAbove: texts(a.rich), ToolWaits: texts(a.approved, a.rest),
		ToolRefused: texts(a.private, a.negative, a.nameless), ToolOwner: texts(a.ofGuest),
		JobUnfinished: texts(a.queued, a.running, a.retrying), JobOwner: texts(a.guestJob),
	} {
		assert.Equal(t, want, r.found(code), code)
	}
	assert.EqualValues(t, 1, r.counted(Guests))
	assert.EqualValues(t, 1, r.counted(ProviderKeys))
	assert.EqualValues(t, 1, r.counted(OAuthTokens))
	assert.Len(t, r.Findings, 14)

	// Of two spellings the older user's counts, whoever it is keeps all the rest.
	email := func(id uuid.UUID) string {
		return value[string](t, b.target, `SELECT email FROM uaol_auth.accounts WHERE account_id = $1`, id)
	}
	require.Equal(t, "ada@example.com", email(a.ada))
	require.Equal(t, a.rival.String()+"@original.invalid", email(a.rival))
	require.Equal(t, a.nobody.String()+"@original.invalid", email(a.nobody))
	require.Zero(t, value[int](t, b.target, `SELECT count(*) FROM uaol_auth.accounts WHERE email_verified_at IS NOT NULL OR admin OR password_hash IS NOT NULL`))

	// Tools stand where they stood; nobody's approval there is one here.
	status := func(id uuid.UUID) string {
		return value[string](t, b.target, `
			SELECT concat_ws(' ', t.status, t.protocol, t.credit_cost_per_call, v.status, v.pinned, t.approved_version IS NOT NULL)
			FROM uaol_registry.tools t JOIN uaol_registry.versions v USING (tool_id) WHERE tool_id = $1`, id)
	}
	require.Equal(t, "Pending json-rpc 2 Pending f f", status(a.pending))
	require.Equal(t, "Pending json-rpc 3 Pending f f", status(a.approved))
	require.Equal(t, "Disabled json-rpc 0 Pending f f", status(a.disabled))
	require.Equal(t, "Pending rest 1 Pending f f", status(a.rest))
	require.Equal(t, "Pending json-rpc 1 Pending f f", status(a.local))
	require.Zero(t, value[int](t, b.target, `SELECT count(*) FROM uaol_jobs.jobs`), "nothing is run")
	require.Zero(t, value[int](t, b.target, `SELECT count(*) FROM uaol_auth.outbox`), "nobody is sent a letter")
	b.verified(t)
}

// verifier is auth with billing, as a server has them.
func (b *bench) verifier(t testing.TB) (*auth.Service, *billing.Service) {
	t.Helper()
	meter := billing.NewService(plans(t), b.to.Billing)
	service, err := auth.NewService(auth.Config{JWTSecret: strings.Repeat("s", 32)}, b.to.Auth, meter, nil, nil)
	require.NoError(t, err)
	return service, meter
}

func TestKeysAndCreditsWork(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := fill(t, b)
	b.run(t)
	verifier, meter := b.verifier(t)
	for key, want := range map[string]struct {
		id        uuid.UUID
		tier      billing.Tier
		available int64
	}{
		a.adaKey:   {a.ada, billing.Free, 120 + 10_000},
		a.proKey:   {a.pro, billing.Pro, 5000 + 100_000},
		a.rivalKey: {a.rival, billing.Enterprise, 70 + 1_000_000},
	} {
		v, err := verifier.Verify(t.Context(), auth.VerifyRequest{APIKey: key})
		require.NoError(t, err)
		require.Equal(t, want.id, v.Caller.Account)
		balance, err := meter.Balance(t.Context(), billing.BalanceRequest{Caller: v.Caller})
		require.NoError(t, err)
		require.Equal(t, want.tier, balance.Tier)
		require.Equal(t, want.available, balance.Available, "its own, beside the month's")
	}
	_, err := verifier.Verify(t.Context(), auth.VerifyRequest{APIKey: a.weakKey})
	require.Equal(t, services.Unauthenticated, services.KindOf(err))
	sum := sha256.Sum256([]byte(a.adaKey))
	require.Equal(t, 1, value[int](t, b.target, `SELECT count(*) FROM uaol_auth.api_keys WHERE hash = $1 AND prefix = $2`, sum[:], a.adaKey[:9]))
	for _, key := range []string{a.adaKey, a.proKey, a.rivalKey, a.weakKey} {
		require.NotContains(t, contents(t, b.target, "uaol%"), key)
	}
	b.verified(t)
}

func TestTwiceIsOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	fill(t, b)
	first := b.run(t)
	before := contents(t, b.target, "uaol%")
	second := b.run(t)
	require.Equal(t, before, contents(t, b.target, "uaol%"))
	for _, c := range []struct{ first, second Count }{{first.Users, second.Users}, {first.Keys, second.Keys}, {first.Credits, second.Credits}, {first.Tools, second.Tools}, {first.Jobs, second.Jobs}} {
		require.Equal(t, Count{Found: c.first.Found, Already: c.first.Brought, Left: c.first.Left}, c.second)
	}
	require.Zero(t, second.Granted)
	for _, code := range []Code{EmailTaken, EmailUnusable, KeyUnfit, CreditsBelow, JobUnfinished, ToolRefused} {
		require.Equal(t, first.found(code), second.found(code), code)
	}
	b.verified(t)
}

func TestDryRunSaysTheSame(t *testing.T) {
	t.Parallel()
	b := setup(t)
	fill(t, b)
	before := contents(t, b.target, "uaol%")
	said := b.run(t, dry)
	require.True(t, said.DryRun)
	require.Equal(t, before, contents(t, b.target, "uaol%"))
	done := b.run(t)
	said.DryRun = false
	require.Equal(t, done, said)
	require.Equal(t, b.run(t).Users, b.run(t, dry).Users)
}

func TestSourceIsOnlyRead(t *testing.T) {
	t.Parallel()
	b := setup(t)
	fill(t, b)
	before := contents(t, b.source, "public")
	b.run(t)
	require.Equal(t, before, contents(t, b.source, "public"))
	err := read(t.Context(), b.source.Config().ConnString(), func(s *source) error {
		_, err := s.tx.Exec(t.Context(), `UPDATE public.users SET email = 'x'`)
		return err
	})
	require.ErrorContains(t, err, "25006") // read_only_sql_transaction
}

// TestSnapshot: what changes in the source meanwhile is as though it had not.
func TestSnapshot(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada, _ := b.user(t, "ada@example.com", 10, "Free")
	require.NoError(t, read(t.Context(), b.source.Config().ConnString(), func(s *source) error {
		var users, jobs int
		if err := s.users(t.Context(), func(userRow) error { users++; return nil }); err != nil {
			return err
		}
		b.job(t, ada, "Success", "{}")
		if err := s.jobs(t.Context(), mostOfJob, func(jobRow) error { jobs++; return nil }); err != nil {
			return err
		}
		require.Equal(t, [2]int{1, 0}, [2]int{users, jobs})
		return nil
	}))
}

// TestCutShort ends imports everywhere until one comes through: then all is as if the
// first one had.
func TestCutShort(t *testing.T) {
	t.Parallel()
	b, whole := setup(t), setup(t)
	fill(t, b)
	whole.source = b.source
	b.put(t, `UPDATE public.users SET created_at = '2025-03-01' WHERE created_at = 'infinity'`)
	b.put(t, `UPDATE public.processing_jobs SET created_at = '2025-03-01', start_time = '2025-03-01' WHERE created_at = '-infinity'`)
	whole.run(t)
	cut := 0
	for patience := 2 * time.Millisecond; ; patience += time.Millisecond {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		_, err := b.try(ctx, func(in *Options) { in.Batch = 1 })
		ended := ctx.Err() != nil
		cancel()
		if err == nil {
			break
		}
		require.True(t, ended, err)
		cut++
	}
	require.Greater(t, cut, 3)
	require.Equal(t, meant(t, whole.target), meant(t, b.target))
	b.verified(t)
}

// TestAtOnce: two imports that do not know of each other are one.
func TestAtOnce(t *testing.T) {
	t.Parallel()
	b, whole := setup(t), setup(t)
	whole.source = b.source
	for range 60 {
		id, _ := b.user(t, uuid.NewString()+"@example.com", 7, "Pro")
		b.job(t, id, "Success", "{}")
		b.tool(t, id, "Same name", "https://tools.example.com/mcp", 1, "Pending", "json-rpc")
	}
	whole.run(t)
	var group sync.WaitGroup
	for range 3 {
		group.Go(func() {
			if _, err := b.try(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	require.Equal(t, meant(t, whole.target), meant(t, b.target))
	b.verified(t)
}
