package billing

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/services"
)

// actingFor is a caller on behalf of a shared organisation.
func actingFor(caller services.Caller, organization uuid.UUID) services.Caller {
	caller.Organization, caller.Personal, caller.OrgRole = organization, false, services.OrgMember
	return caller
}

func TestTransferMovesCreditsOnce(t *testing.T) {
	t.Parallel()
	b, caller, shared := setup(t), user(), uuid.New()
	acting, operation := actingFor(caller, shared), uuid.New()
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			if _, _, err := b.service.Transfer(t.Context(), acting, TransferRequest{Organization: shared, Amount: 300, Operation: operation}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	from, to, err := b.service.Transfer(t.Context(), acting, TransferRequest{Organization: shared, Amount: 300, Operation: operation})
	require.NoError(t, err)
	require.Equal(t, Balance{Tier: Free, Available: 9_700}, from)
	require.Equal(t, Balance{Tier: Free, Available: 300}, to, "a shared organisation begins with nothing")
	require.Equal(t, from, b.balance(t, caller))
	require.Equal(t, to, b.balance(t, acting))

	// The same id for anything else is refused, and moves nothing.
	_, _, err = b.service.Transfer(t.Context(), acting, TransferRequest{Organization: shared, Amount: 301, Operation: operation})
	require.Equal(t, services.Conflict, services.KindOf(err))
	elsewhere := actingFor(caller, uuid.New())
	_, _, err = b.service.Transfer(t.Context(), elsewhere, TransferRequest{Organization: elsewhere.Organization, Amount: 300, Operation: operation})
	require.Equal(t, services.Conflict, services.KindOf(err))
	require.Zero(t, b.balance(t, elsewhere).Available)

	// Another member may have chosen the same id.
	other := user()
	_, to, err = b.service.Transfer(t.Context(), actingFor(other, shared), TransferRequest{Organization: shared, Amount: 5, Operation: operation})
	require.NoError(t, err)
	require.Equal(t, int64(305), to.Available)
	b.audit(t)
}

func TestTransferIsRefused(t *testing.T) {
	t.Parallel()
	b, caller, shared := setup(t), user(), uuid.New()
	acting := actingFor(caller, shared)
	withKey, service := acting, acting
	withKey.Key, service.Home = uuid.New(), uuid.Nil
	for name, test := range map[string]struct {
		caller services.Caller
		to     uuid.UUID
		amount int64
		want   services.Kind
	}{
		"with an API key":                {withKey, shared, 1, services.Forbidden},
		"by a service account":           {service, shared, 1, services.Forbidden},
		"to another than it is made for": {acting, uuid.New(), 1, services.Invalid},
		"without naming it in a header":  {caller, shared, 1, services.Invalid},
		"to oneself":                     {caller, caller.Home, 1, services.Invalid},
		"of more than there is":          {acting, shared, 10_001, services.Insufficient},
	} {
		_, _, err := b.service.Transfer(t.Context(), test.caller, TransferRequest{Organization: test.to, Amount: test.amount, Operation: uuid.New()})
		require.Equal(t, test.want, services.KindOf(err), "%s: %v", name, err)
	}
	require.Equal(t, int64(10_000), b.balance(t, caller).Available)
	require.Zero(t, b.balance(t, acting).Available)
	b.audit(t)
}

// TestTransfersAtOnce: members give to each other's organisations at once, more
// than they have; nothing is made, lost or lent.
func TestTransfersAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	members, shared := []services.Caller{user(), user(), user()}, []uuid.UUID{uuid.New(), uuid.New()}
	var moved atomic.Int64
	var group sync.WaitGroup
	for i := range 90 {
		group.Go(func() {
			acting := actingFor(members[i%3], shared[i%2])
			_, _, err := b.service.Transfer(t.Context(), acting, TransferRequest{Organization: acting.Organization, Amount: 900, Operation: uuid.New()})
			switch {
			case err == nil:
				moved.Add(900)
			case !services.Is(err, services.Insufficient):
				t.Error(err)
			}
		})
	}
	for _, member := range members { // while they spend
		group.Go(func() {
			for range 10 {
				b.release(t, b.hold(t, member, OwnerJob, 10))
			}
		})
	}
	group.Wait()
	var own, common int64
	for _, m := range members {
		own += b.balance(t, m).Available
	}
	for _, id := range shared {
		common += b.balance(t, actingFor(members[0], id)).Available
	}
	require.Equal(t, moved.Load(), common)
	require.Equal(t, int64(30_000), own+common)
	require.Equal(t, int64(3*9_900), common, "each of the three could give eleven times")
	b.audit(t)
}
