package billing

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/providers/events"
	"uaol/services"
)

func (b *bench) told(t *testing.T) (types []string, data map[string]string) {
	t.Helper()
	found, err := events.NewOutbox(services.Billing).Read(t.Context(), b.pool, events.ReadRequest{Limit: 1000})
	require.NoError(t, err)
	data = map[string]string{}
	for _, e := range found {
		types, data[e.Type] = append(types, e.Type), string(e.Data)
	}
	return types, data
}

// TestCreditsAreTold: what comes and is given always, charges and low balances
// only where there is a broker.
func TestCreditsAreTold(t *testing.T) {
	t.Parallel()
	for name, outward := range map[string]bool{"with a broker": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.repository.Telling(outward)
			b.service = NewService(plans(t), b.repository)
			caller := user()
			require.EqualValues(t, 10_000, b.balance(t, caller).Available)
			b.settle(t, b.hold(t, caller, OwnerJob, 9_000), 9_000) // 1,000 are a tenth: not below it
			b.settle(t, b.hold(t, caller, OwnerJob, 10), 10)
			b.hold(t, caller, OwnerJob, 10) // said already
			_, err := b.service.Grant(t.Context(), Correction{Organization: caller.Organization, Operation: uuid.New(), Amount: 7})
			require.NoError(t, err)
			types, data := b.told(t)
			if !outward {
				require.Equal(t, []string{"credits.granted", "credits.granted"}, types)
				return
			}
			require.Equal(t, []string{"credits.granted", "credits.charged", "credits.low", "credits.charged", "credits.granted"}, types)
			require.JSONEq(t, `{"amount":10,"charges":1,"available":990}`, data["credits.charged"])
			require.JSONEq(t, `{"available":990,"below":1000,"tier":"Free"}`, data["credits.low"])
			require.Contains(t, data["credits.granted"], `"amount": 7`)
		})
	}
}
