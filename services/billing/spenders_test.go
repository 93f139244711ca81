package billing

import (
	"context"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/services"
	"uaol/services/billing/chain"
	"uaol/services/billing/ledger"
)

// TestASpenderIsMadeOnce, however many processes need it at once, and its id is one
// that commits to it.
func TestASpenderIsMadeOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	with, without := user(), user()
	with.Key, without.Organization = uuid.New(), with.Organization
	for _, caller := range []services.Caller{with, without} {
		who := spenderOf(caller)
		var mu sync.Mutex
		var group sync.WaitGroup
		ids := map[uuid.UUID]int{}
		begin := make(chan struct{})
		for range 20 {
			process := newSpenders(b.pool)
			group.Go(func() {
				<-begin
				id, err := process.id(context.Background(), who)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				ids[id]++
			})
		}
		close(begin)
		group.Wait()
		require.Len(t, ids, 1)
		for id := range ids {
			require.EqualValues(t, 1, b.number(t, `SELECT count(*) FROM uaol_billing.spenders WHERE spender_id = $1 AND account_id = $2`, id, who.account))
			var salt []byte
			require.NoError(t, b.pool.QueryRow(t.Context(), `SELECT salt FROM uaol_billing.spenders WHERE spender_id = $1`, id).Scan(&salt))
			require.NoError(t, chain.Spender{Organization: who.organization, Account: who.account, Key: who.key, Salt: salt}.Check(id))
		}
	}
	require.EqualValues(t, 2, b.number(t, `SELECT count(*) FROM uaol_billing.spenders`))
	b.verify(t)
}

// TestUncommittedSpendersSpendNoMore: what was spent under a random id stays what it
// is, and the same caller gets one that commits.
func TestUncommittedSpendersSpendNoMore(t *testing.T) {
	t.Parallel()
	b, caller := setup(t), user()
	b.balance(t, caller)
	old := uuid.New()
	_, err := b.pool.Exec(t.Context(), `INSERT INTO uaol_billing.spenders (spender_id, organization_id, account_id, key_id) VALUES ($1, $2, $3, $4)`,
		old, caller.Organization, caller.Account, caller.Key)
	require.NoError(t, err)
	id, err := b.service.spenders.id(t.Context(), spenderOf(caller))
	require.NoError(t, err)
	require.NotEqual(t, old, id)
	require.False(t, chain.Uncommitted(id))

	// Receipts of that time name who asked, on the server's word.
	s, call := b.site(t), callOf(caller, 1)
	_, err = b.repository.holdAll(t.Context(), []asked{{HoldRequest: call, spender: old}})
	require.NoError(t, err)
	_, receipt := s.receipt(t, caller, call.ID)
	require.Equal(t, caller.Account, *receipt.Account)
	require.False(t, receipt.Committed())
	b.verify(t)
}

// TestErasedAreForgotten by whoever has all of the database, and the books are none
// the worse.
func TestErasedAreForgotten(t *testing.T) {
	t.Parallel()
	b, guest, ada := setup(t), user(), user()
	team := services.Caller{Account: ada.Account, Key: uuid.New(), Organization: uuid.New(), Role: services.RoleUser}
	b.give(t, team, 100)
	for _, caller := range []services.Caller{guest, ada, team} {
		b.spends(t, caller, uuid.Nil, uuid.New(), 5, 3)
	}
	report := func() ledger.Spenders {
		b.verify(t)
		report, err := ledger.Verify(t.Context(), ledger.Database(b.pool), ledger.Options{Trusted: chain.NewTrusted(testSigner(t).Public())})
		require.NoError(t, err)
		return report.Spenders
	}
	require.Equal(t, ledger.Spenders{All: 3}, report())
	for _, erased := range []struct {
		who   services.Person
		sofar int64
	}{
		{services.Person{Account: guest.Account, Guest: true, Organizations: []uuid.UUID{guest.Organization}}, 1},
		{services.Person{Account: ada.Account, Organizations: []uuid.UUID{ada.Organization}}, 3},
	} {
		require.NoError(t, b.service.Erase(t.Context(), erased.who))
		require.Equal(t, ledger.Spenders{All: 3, Erased: erased.sofar}, report())
	}
	require.Zero(t, b.number(t, `SELECT count(*) FROM uaol_billing.spenders WHERE account_id IS NOT NULL OR key_id IS NOT NULL OR salt IS NOT NULL`))
	b.audit(t)
}
