package ledger

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/services/billing/chain"
)

// The oldest spender that is not erased, and a hold of its.
const (
	aSpender = `(SELECT j.spender_id FROM uaol_billing.journal j JOIN uaol_billing.spenders s ON s.spender_id = j.spender_id
		WHERE s.account_id IS NOT NULL ORDER BY j.created_at LIMIT 1)`
	another = `(SELECT o.spender_id FROM uaol_billing.spenders o JOIN uaol_billing.spenders s ON s.organization_id = o.organization_id
		WHERE s.spender_id = ` + aSpender + ` AND o.spender_id <> s.spender_id AND o.account_id IS NOT NULL ORDER BY 1 LIMIT 1)`
)

// TestWhoSpentCantBeToldOtherwise: somebody with all rights in the database says of
// what was spent that somebody else did.
func TestWhoSpentCantBeToldOtherwise(t *testing.T) {
	t.Parallel()
	b := filled(t)
	b.unguard(t)
	restore := b.backup(t)
	const notIt, gone, unlike = "is not the organisation, account and key that its id commits to", "there is no row of its spender", "it is not the spender's that the journal names"
	for what, want := range map[string]string{
		`UPDATE uaol_billing.spenders SET account_id = gen_random_uuid() WHERE spender_id = ` + aSpender:                          notIt,
		`UPDATE uaol_billing.spenders SET account_id = key_id, key_id = account_id WHERE spender_id = ` + aSpender:                notIt,
		`UPDATE uaol_billing.spenders SET key_id = gen_random_uuid() WHERE spender_id = ` + aSpender:                              notIt,
		`UPDATE uaol_billing.spenders SET salt = sha256(salt) WHERE spender_id = ` + aSpender:                                     notIt,
		`UPDATE uaol_billing.spenders SET salt = NULL WHERE spender_id = ` + aSpender:                                             notIt,
		`UPDATE uaol_billing.spenders SET account_id = gen_random_uuid(), salt = NULL WHERE spender_id = ` + aSpender:             notIt,
		`UPDATE uaol_billing.spenders SET organization_id = gen_random_uuid() WHERE spender_id = ` + aSpender:                     notIt,
		`UPDATE uaol_billing.spenders SET account_id = NULL WHERE spender_id = ` + aSpender:                                       "it is neither whole nor erased",
		`UPDATE uaol_billing.spenders SET key_id = NULL WHERE spender_id = ` + aSpender:                                           "it is neither whole nor erased",
		`UPDATE uaol_billing.spenders SET account_id = NULL, key_id = NULL WHERE spender_id = ` + aSpender:                        "it is neither whole nor erased",
		`UPDATE uaol_billing.spenders SET account_id = gen_random_uuid() WHERE account_id IS NULL`:                                "it is neither whole nor erased",
		`UPDATE uaol_billing.spenders SET account_id = gen_random_uuid(), key_id = gen_random_uuid() WHERE account_id IS NULL`:    notIt,
		`DELETE FROM uaol_billing.spenders WHERE spender_id = ` + aSpender:                                                        gone,
		`DELETE FROM uaol_billing.spenders WHERE account_id IS NULL`:                                                              gone,
		`DELETE FROM uaol_billing.spenders WHERE spender_id IN (SELECT spender_id FROM uaol_billing.journal WHERE kind = 'send')`: gone,
		`UPDATE uaol_billing.spenders SET spender_id = gen_random_uuid(), salt = NULL WHERE spender_id = ` + aSpender:             gone,
		`UPDATE uaol_billing.holds SET spender_id = ` + another + ` WHERE spender_id = ` + aSpender:                               unlike,
		`UPDATE uaol_billing.holds SET spender_id = NULL WHERE spender_id = ` + aSpender:                                          unlike,
		`UPDATE uaol_billing.holds SET spender_id = gen_random_uuid() WHERE spender_id = ` + aSpender:                             gone,
		`UPDATE uaol_billing.journal SET spender_id = ` + another + ` WHERE spender_id = ` + aSpender:                             "are not those that were sealed",
		`UPDATE uaol_billing.journal SET spender_id = NULL WHERE spender_id = ` + aSpender:                                        unlike,
		`UPDATE uaol_billing.spenders s SET account_id = o.account_id, key_id = o.key_id, salt = o.salt FROM uaol_billing.spenders o
			WHERE s.spender_id = ` + aSpender + ` AND o.spender_id = ` + another: notIt,
	} {
		b.exec(t, what)
		require.Contains(t, b.verify(t).String(), want, what)
		restore()
	}
	b.clean(t)
}

// TestErasedSpenders stay in the books, and their number is told.
func TestErasedSpenders(t *testing.T) {
	t.Parallel()
	b := filled(t)
	before := b.clean(t).Spenders
	b.exec(t, `UPDATE uaol_billing.spenders SET account_id = NULL, key_id = NULL, salt = NULL WHERE spender_id = `+aSpender)
	before.Erased++
	report := b.clean(t)
	require.Equal(t, before, report.Spenders)
}

// TestUncommittedSpenders are of before ids committed to anything: told, and no
// finding. An id that commits can't be passed off as one.
func TestUncommittedSpenders(t *testing.T) {
	t.Parallel()
	b := filled(t)
	require.NotContains(t, b.clean(t).String(), "committed")
	b.exec(t, `INSERT INTO uaol_billing.spenders (spender_id, organization_id, account_id, key_id) VALUES ($1, $2, $2, $2)`, uuid.New(), b.library.ids[0])
	report := b.clean(t)
	require.EqualValues(t, 1, report.Spenders.Uncommitted)
	require.Contains(t, report.String(), ", 1 of before their ids committed to whom they stand for\n")
	b.exec(t, `UPDATE uaol_billing.spenders SET salt = 'salt'::bytea WHERE spender_id = $1`, b.uncommitted(t))
	require.Contains(t, b.verify(t).String(), "its id commits to")
}

func (b *bench) uncommitted(t testing.TB) (id uuid.UUID) {
	t.Helper()
	require.NoError(t, b.pool.QueryRow(t.Context(), `SELECT spender_id FROM uaol_billing.spenders WHERE account_id = organization_id`).Scan(&id))
	require.True(t, chain.Uncommitted(id))
	return id
}

// TestASpenderOfNothing: its row is there before the account's.
func TestASpenderOfNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	who := chain.NewSpender(uuid.New(), uuid.New(), uuid.Nil)
	b.exec(t, `INSERT INTO uaol_billing.spenders (spender_id, organization_id, account_id, key_id, salt) VALUES ($1, $2, $3, $4, $5)`,
		who.ID(), who.Organization, who.Account, who.Key, []byte(who.Salt))
	require.Equal(t, Spenders{All: 1}, b.clean(t).Spenders)
}
