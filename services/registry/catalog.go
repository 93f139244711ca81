package registry

import (
	"context"

	"github.com/google/uuid"

	"uaol/services"
	"uaol/services/registry/credentials"
)

// Offers implements Catalog.
func (s *Service) Offers(ctx context.Context, in ToolsRequest) ([]Offer, error) {
	if len(in.IDs) == 0 {
		return nil, nil
	}
	tools, err := s.repository.byIDs(ctx, in.IDs)
	if err != nil {
		return nil, err
	}
	var offers []Offer
	for _, t := range tools {
		if t.Status == Approved {
			offers = append(offers, Offer{ToolID: t.ID, Slug: t.Slug, Name: t.Name, Version: t.Version, Organization: t.Organization, Developer: t.Developer,
				Definition: Definition{GatewayURL: t.GatewayURL, Protocol: t.Protocol, Price: t.Price, Visibility: Public}})
		}
	}
	return offers, nil
}

// Inspect implements Catalog.
func (s *Service) Inspect(ctx context.Context, in InspectRequest) (Offer, error) {
	return Offer{}, services.Errorf(services.Unavailable, "not built yet")
}

// Credentials implements Catalog.
func (s *Service) Credentials(ctx context.Context, in CredentialsRequest) (credentials.Carried, error) {
	offers, err := s.Offers(ctx, ToolsRequest{IDs: []uuid.UUID{in.ToolID}})
	switch {
	case err != nil:
		return credentials.Carried{}, err
	case len(offers) == 0 || !offers[0].VisibleTo(in.Caller):
		return credentials.Carried{}, errNotFound
	case offers[0].Version != in.Version:
		return credentials.Carried{}, services.Errorf(services.Conflict, "The tool %s has changed since (version %d, now %d)", offers[0].Name, in.Version, offers[0].Version)
	case !offers[0].Credentialed().Needs():
		return credentials.Carried{}, nil
	}
	return s.wallet.For(ctx, offers[0].Credentialed(), in.Caller)
}
