package speech

import (
	"context"

	"uaol/services"
	"uaol/services/billing"
)

// pay does what costs credits. Whoever leaves meanwhile pays, because it was done for them
// all the same; what failed costs nothing.
func (s *Service) pay(ctx context.Context, caller services.Caller, method string, price int64, do func() (done bool, err error)) error {
	if price == 0 {
		_, err := do()
		return err
	}
	hold, err := s.till.Hold(ctx, caller, price)
	if err != nil {
		return err
	}
	done, err := do()
	charge := billing.Charge{Operation: hold.String(), Amount: price, Facts: billing.Facts{Method: method}}
	switch {
	case !done && ctx.Err() == nil:
		charge.Amount = 0
	case err != nil:
		charge.Facts.Outcome = "unknown"
	}
	s.till.Settle(ctx, hold, charge)
	return err
}
