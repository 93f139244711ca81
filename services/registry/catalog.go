package registry

import (
	"context"
	"time"

	"github.com/google/uuid"

	"uaol/services"
	"uaol/services/registry/credentials"
)

// Offers implements Catalog.
func (s *Service) Offers(ctx context.Context, in ToolsRequest) ([]Offer, error) {
	if len(in.IDs) == 0 {
		return nil, nil
	}
	rows, err := s.repository.offers(ctx, in.IDs)
	if err != nil {
		return nil, err
	}
	offers := make([]Offer, len(rows))
	for i, row := range rows {
		if offers[i], err = row.offer(); err != nil {
			return nil, err
		}
	}
	return offers, nil
}

func (s *Service) offer(ctx context.Context, id uuid.UUID) (Offer, error) {
	offers, err := s.Offers(ctx, ToolsRequest{IDs: []uuid.UUID{id}})
	if err == nil && len(offers) == 0 {
		return Offer{}, errNotFound
	}
	if err != nil {
		return Offer{}, err
	}
	return offers[0], nil
}

// at gives the offer while it is at that version.
func (s *Service) at(ctx context.Context, id uuid.UUID, version int64) (Offer, error) {
	offer, err := s.offer(ctx, id)
	if err == nil && offer.Version != version {
		return Offer{}, services.Errorf(services.Conflict, "The tool %s has changed since (version %d, now %d)", offer.Name, version, offer.Version)
	}
	return offer, err
}

// freshEnough is how long a look at a server answers for others who ask.
const freshEnough = 2 * time.Second

// Inspect implements Catalog. Who asks at the same time shares one look.
func (s *Service) Inspect(ctx context.Context, in InspectRequest) (Offer, error) {
	offer, err := s.at(ctx, in.ToolID, in.Version)
	if err != nil {
		return Offer{}, err
	}
	if in.Method == "" && time.Since(offer.CheckedAt) < freshEnough {
		return offer, nil
	}
	looked := s.looks.DoChan(in.ToolID.String(), func() (any, error) {
		// It serves everybody who waits, whatever becomes of the first.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*lookTime)
		defer cancel()
		return nil, s.look(ctx, offer)
	})
	select {
	case <-ctx.Done():
		return Offer{}, services.Errorf(services.Timeout, "The server of %s was still being looked at when the time was up", offer.Name).Because(ctx.Err())
	case result := <-looked:
		if result.Err != nil {
			return Offer{}, result.Err
		}
	}
	return s.at(ctx, in.ToolID, in.Version)
}

// Credentials implements Catalog.
func (s *Service) Credentials(ctx context.Context, in CredentialsRequest) (credentials.Carried, error) {
	offer, err := s.offer(ctx, in.ToolID)
	switch {
	case err != nil:
		return credentials.Carried{}, err
	case !offer.VisibleTo(in.Caller):
		return credentials.Carried{}, errNotFound
	case offer.Version != in.Version:
		return credentials.Carried{}, services.Errorf(services.Conflict, "The tool %s has changed since (version %d, now %d)", offer.Name, in.Version, offer.Version)
	case !offer.Credentialed().Needs():
		return credentials.Carried{}, nil
	}
	return s.wallet.Another(ctx, offer.Credentialed(), in.Caller, in.Refused)
}

// credentialedAs is what a version's credentials are got for.
func (t Tool) credentialedAs(version int64, d Definition) credentials.Tool {
	of := Offer{ToolID: t.ID, Name: t.Name, Version: version, Organization: t.Organization, Developer: t.Developer, Definition: d}.Credentialed()
	of.Proposed = version != t.Version
	return of
}

func (t Tool) credentialed(d Definition) credentials.Tool { return t.credentialedAs(t.Version, d) }

// Credentialed implements credentials.Tools.
func (s *Service) Credentialed(ctx context.Context, caller services.Caller, id uuid.UUID, version int64) (credentials.Tool, error) {
	tool, err := s.visible(ctx, caller, id)
	if err != nil {
		return credentials.Tool{}, err
	}
	waits := tool.PendingVersion != nil && version == *tool.PendingVersion && tool.insider(caller)
	if version == 0 {
		version = tool.Version
	}
	if version != tool.Version && !waits {
		return credentials.Tool{}, services.Errorf(services.Conflict, "%s has changed since you looked at it (version %d, now %d)", tool.Name, version, tool.Version)
	}
	d, err := s.repository.definition(ctx, id, version)
	if services.Is(err, services.NotFound) { // changed in between
		return credentials.Tool{}, errOvertaken
	}
	return tool.credentialedAs(version, d), err
}
