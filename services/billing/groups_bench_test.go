package billing

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"uaol/services"
)

// BenchmarkHolds is 32 callers at once, on one account and on as many.
func BenchmarkHolds(b *testing.B) {
	for _, accounts := range []int{1, 32} {
		b.Run(fmt.Sprint(accounts, " accounts"), func(b *testing.B) {
			bench := setup(b)
			callers := make([]services.Caller, accounts)
			for i := range callers {
				callers[i] = user()
				bench.balance(b, callers[i])
			}
			if _, err := bench.pool.Exec(b.Context(), `UPDATE uaol_billing.accounts SET available = 1000000000, grants = 1000000000, monthly = 0`); err != nil {
				b.Fatal(err)
			}
			var next atomic.Int64
			var group sync.WaitGroup
			b.ResetTimer()
			for i := range 32 {
				group.Go(func() {
					for next.Add(1) <= int64(b.N) {
						if _, err := bench.service.Hold(b.Context(), HoldRequest{ID: uuid.New(), Caller: callers[i%accounts], Owner: OwnerCall, Amount: 1, Lifetime: time.Minute}); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			group.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "holds/s")
		})
	}
}
