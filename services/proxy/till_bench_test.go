package proxy

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/services"
)

// BenchmarkTill is what a priced call costs beside the call: held, recorded and
// settled, by 32 callers of one account and of as many.
func BenchmarkTill(b *testing.B) {
	for _, accounts := range []int{1, 32} {
		b.Run(fmt.Sprint(accounts, " accounts"), func(b *testing.B) {
			c := newCounter(b)
			c.meter.recorded = func(uuid.UUID) bool { return true }
			callers := make([]services.Caller, accounts)
			for i := range callers {
				c.caller = user()
				callers[i] = c.caller
				c.balance(b)
			}
			_, err := c.pool.Exec(b.Context(), `UPDATE uaol_billing.accounts SET available = 1000000000, grants = 1000000000, monthly = 0`)
			require.NoError(b, err)
			b.ReportAllocs()
			b.ResetTimer()
			var next atomic.Int64
			var group sync.WaitGroup
			for i := range 32 {
				group.Go(func() {
					caller := callers[i%accounts]
					for next.Add(1) <= int64(b.N) {
						call := c.call()
						call.Caller, call.Organization, call.Account = caller, caller.Organization, caller.Account
						if err := c.till.Open(b.Context(), call, 1); err != nil {
							b.Error(err)
							return
						}
						call.Outcome = Succeeded
						c.till.Close(b.Context(), call)
					}
				})
			}
			group.Wait()
			require.NoError(b, c.till.Flush(b.Context()))
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
		})
	}
}
