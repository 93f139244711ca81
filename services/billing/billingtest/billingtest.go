// Package billingtest gives other services' tests the real ledger.
package billingtest

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"uaol/providers/config"
	"uaol/services/billing"
)

// New is billing on a test's database, with the plans as they are by default.
func New(t testing.TB, pool *pgxpool.Pool) *billing.Service {
	t.Helper()
	cfg, err := config.Parse[billing.PlansConfig](config.Of(nil))
	if err != nil {
		t.Fatal(err)
	}
	return billing.NewService(cfg, billing.NewRepository(pool))
}
