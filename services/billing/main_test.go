package billing

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"uaol/providers/config"
	"uaol/providers/postgres/pgtest"
	"uaol/services"
	"uaol/services/billing/chain"
	"uaol/services/billing/ledger"
	"uaol/services/billing/payments"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// bench is what a test of this package works with.
type bench struct {
	pool       *pgxpool.Pool
	repository *Repository
	service    *Service
	sweeper    *Sweeper
	jobs       *directory
	accounts   homes
}

// homes are the accounts that auth knows.
type homes map[uuid.UUID]Home

func (h homes) Home(_ context.Context, in HomeRequest) (Home, error) {
	home, ok := h[in.Account]
	if !ok {
		return Home{}, services.Errorf(services.NotFound, "There is no such user")
	}
	return home, nil
}

func setup(t testing.TB) *bench {
	t.Helper()
	pool := pgtest.New(t)
	repository, jobs := NewRepository(pool), &directory{}
	service := NewService(plans(t), repository)
	return &bench{pool: pool, repository: repository, service: service, jobs: jobs, accounts: homes{}, sweeper: NewSweeper(repository, service, jobs)}
}

// plans are the plans as they are without any setting.
func plans(t testing.TB) PlansConfig {
	t.Helper()
	cfg, err := config.Parse[PlansConfig](config.Of(nil))
	require.NoError(t, err)
	return cfg
}

// handler is billing's routes, with payments as they are without any setting.
func (b *bench) handler(t testing.TB) *Handler {
	t.Helper()
	cfg, err := config.Parse[payments.Config](config.Of(nil))
	require.NoError(t, err)
	key, err := chain.NewKey(make([]byte, 32))
	require.NoError(t, err)
	return NewHandler(b.service, b.accounts, payments.New(cfg, payments.Pages{Frontend: "http://localhost"}, b.pool, NewPaid(plans(t))), NewReceipts(b.pool, key))
}

// directory is a jobs service whose jobs have ended unless they are going.
type directory struct {
	mu    sync.Mutex
	going map[uuid.UUID]bool
	asked [][]uuid.UUID
	err   error
}

func (d *directory) Ended(_ context.Context, in EndedRequest) ([]uuid.UUID, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, in.JobIDs)
	if d.err != nil {
		return nil, d.err
	}
	var ended []uuid.UUID
	for _, id := range in.JobIDs {
		if !d.going[id] {
			ended = append(ended, id)
		}
	}
	return ended, nil
}

func user() services.Caller {
	home := uuid.New()
	return services.Caller{Account: uuid.New(), Organization: home, Home: home, Role: services.RoleUser, OrgRole: services.OrgOwner, Personal: true}
}

func (b *bench) balance(t testing.TB, caller services.Caller) Balance {
	t.Helper()
	balance, err := b.service.Balance(t.Context(), BalanceRequest{Caller: caller})
	require.NoError(t, err)
	return balance
}

func (b *bench) hold(t testing.TB, caller services.Caller, owner Owner, amount int64) uuid.UUID {
	t.Helper()
	id := uuid.New()
	hold, err := b.service.Hold(t.Context(), HoldRequest{ID: id, Caller: caller, Owner: owner, Amount: amount, Lifetime: time.Minute})
	require.NoError(t, err)
	require.Equal(t, Hold{ID: id, Amount: amount, Open: true}, hold)
	return id
}

// organizationDay is the cap of a whole organisation for a day.
var organizationDay = CapID{Scope: ScopeOrganization, Period: PeriodDay}

func (b *bench) cap(t testing.TB, caller services.Caller, id CapID, amount int64) Cap {
	t.Helper()
	set, err := b.service.SetCap(t.Context(), caller, id, amount)
	require.NoError(t, err)
	return set
}

// expire lets the time of some holds be up for so long that all are the sweeper's.
func (b *bench) expire(t testing.TB, ids ...uuid.UUID) {
	t.Helper()
	for _, id := range ids {
		_, err := b.pool.Exec(t.Context(), `UPDATE uaol_billing.holds SET expires_at = now() - interval '2 hours' WHERE hold_id = $1`, id)
		require.NoError(t, err)
	}
}

// audit compares what the accounts hold with what the entries and the holds
// say: credits neither appear nor vanish, and caps count every hold once.
func (b *bench) audit(t require.TestingT) {
	b.auditAccounts(t)
	b.auditTransfers(t)
	b.auditDebts(t)
	b.auditCaps(t)
	b.verify(t)
}

// verify seals what there is and lets the verifier look at all of it.
func (b *bench) verify(t require.TestingT) {
	key, err := chain.NewKey(make([]byte, 32))
	require.NoError(t, err)
	require.NoError(t, ledger.NewSealer(b.pool, key, ledger.NewPublisher(ledger.Config{}, zap.NewNop()), zap.NewNop()).SealAll(context.Background()))
	report, err := ledger.Verify(context.Background(), ledger.Database(b.pool), ledger.Options{Trusted: chain.NewTrusted(key.Public())})
	require.NoError(t, err)
	require.True(t, report.OK(), report.String())
	require.Zero(t, report.Unsealed.Entries)
}

// auditTransfers: what leaves one organisation arrives in another.
func (b *bench) auditTransfers(t require.TestingT) {
	var lopsided int
	require.NoError(t, b.pool.QueryRow(context.Background(), `
		SELECT count(*) FROM (
			SELECT operation_id FROM uaol_billing.journal WHERE kind IN ('send', 'receive')
			GROUP BY operation_id HAVING sum(CASE kind WHEN 'send' THEN amount ELSE -amount END) <> 0 OR count(*) <> 2) x`).Scan(&lopsided))
	require.Zero(t, lopsided, "a transfer has two sides that add up to nothing")
}

// auditDebts: nobody owes who could pay.
func (b *bench) auditDebts(t require.TestingT) {
	var could int
	require.NoError(t, b.pool.QueryRow(context.Background(), `SELECT count(*) FROM uaol_billing.accounts WHERE debt > 0 AND available > 0`).Scan(&could))
	require.Zero(t, could)
}

// auditCaps counts the holds of each cap's period anew.
func (b *bench) auditCaps(t require.TestingT) {
	rows, err := b.pool.Query(context.Background(), `
		SELECT c.scope, c.period, c.amount, c.ceiling, c.spent,
			coalesce((SELECT sum(CASE h.state WHEN 'open' THEN h.amount ELSE h.settled END) FROM uaol_billing.holds h
				LEFT JOIN uaol_billing.spenders s ON s.spender_id = h.spender_id
				WHERE h.organization_id = c.organization_id AND date_trunc(c.period, h.created_at AT TIME ZONE 'UTC')::date = c.period_start
					AND (c.scope = 'organization' OR (c.scope = 'member' AND s.account_id = c.subject_id) OR (c.scope = 'key' AND s.key_id = c.subject_id))), 0)::bigint
		FROM uaol_billing.caps c`)
	require.NoError(t, err)
	for rows.Next() {
		var scope, period string
		var amount, ceiling, spent, counted int64
		require.NoError(t, rows.Scan(&scope, &period, &amount, &ceiling, &spent, &counted))
		require.Equal(t, counted, spent, "what the %s's holds of the %s cost is what its cap has counted", scope, period)
		require.Equal(t, max(amount, spent), ceiling, "a cap's ceiling is its amount, or what was spent before it was lowered")
	}
	require.NoError(t, rows.Err())
}

func (b *bench) auditAccounts(t require.TestingT) {
	type row struct {
		Organization                                 uuid.UUID
		Available, Held, LastSeq                     int64
		Entries, Journal, JournalHeld, InHold, Wrong int64
	}
	rows, err := b.pool.Query(context.Background(), `
		SELECT a.organization_id, a.available, a.held, a.last_seq,
			(SELECT count(*) FROM uaol_billing.journal j WHERE j.organization_id = a.organization_id AND j.seq <= a.last_seq),
			coalesce((SELECT sum(CASE WHEN kind IN ('grant', 'purchase', 'release', 'refund', 'receive') THEN amount
				WHEN kind IN ('settle', 'owe') THEN 0 ELSE -amount END)
				FROM uaol_billing.journal j WHERE j.organization_id = a.organization_id), 0)::bigint,
			coalesce((SELECT sum(CASE kind WHEN 'hold' THEN amount WHEN 'settle' THEN -amount WHEN 'release' THEN -amount END)
				FROM uaol_billing.journal j WHERE j.organization_id = a.organization_id), 0)::bigint,
			coalesce((SELECT sum(h.amount - h.settled) FROM uaol_billing.holds h
				WHERE h.organization_id = a.organization_id AND h.state = 'open'), 0)::bigint,
			(SELECT count(*) FROM (SELECT balance, sum(CASE WHEN kind IN ('grant', 'purchase', 'release', 'refund', 'receive') THEN amount
				WHEN kind IN ('settle', 'owe') THEN 0 ELSE -amount END) OVER (ORDER BY seq) AS running
				FROM uaol_billing.journal j WHERE j.organization_id = a.organization_id) r WHERE r.running <> r.balance)
		FROM uaol_billing.accounts a`)
	require.NoError(t, err)
	for rows.Next() {
		var r row
		require.NoError(t, rows.Scan(&r.Organization, &r.Available, &r.Held, &r.LastSeq, &r.Entries, &r.Journal, &r.JournalHeld, &r.InHold, &r.Wrong))
		require.Equal(t, r.LastSeq, r.Entries, "the journal has no gaps")
		require.Equal(t, r.Journal, r.Available, "the journal's sum is the account's available")
		require.Equal(t, r.JournalHeld, r.Held, "the journal's sum is the account's held")
		require.Equal(t, r.InHold, r.Held, "the open holds' rests are the account's held")
		require.Zero(t, r.Wrong, "each entry says what was available after it")
		require.GreaterOrEqual(t, r.Available, int64(0))
		require.GreaterOrEqual(t, r.Held, int64(0))
	}
	require.NoError(t, rows.Err())
}
