package proxy

import (
	"context"

	"uaol/services"
	"uaol/services/registry"
	"uaol/services/registry/credentials"
)

// credentials gives what a call carries; most tools want nothing.
func (s *Service) credentials(ctx context.Context, caller services.Caller, offer registry.Offer) (credentials.Carried, error) {
	if !offer.Credentialed().Needs() {
		return credentials.Carried{}, nil
	}
	return s.catalog.Credentials(ctx, registry.CredentialsRequest{Caller: caller, ToolID: offer.ToolID, Version: offer.Version})
}
