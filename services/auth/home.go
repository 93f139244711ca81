package auth

import (
	"context"

	"uaol/services"
	"uaol/services/billing"
)

// Home implements billing.AccountDirectory.
func (r *Repository) Home(ctx context.Context, in billing.HomeRequest) (billing.Home, error) {
	account, err := r.byID(ctx, in.Account)
	if services.Is(err, services.NotFound) || err == nil && account.Kind == ServiceAccount {
		return billing.Home{}, services.Errorf(services.NotFound, "There is no such user")
	}
	return billing.Home{Organization: account.Organization, Guest: account.Kind == Guest}, err
}
