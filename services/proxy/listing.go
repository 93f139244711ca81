package proxy

import (
	"context"
	"encoding/json"

	"uaol/providers/upstream"
	"uaol/services"
	"uaol/services/registry"
)

// List gives what the server of a tool that the caller may call lists besides its
// methods, as it wrote that. Nobody has approved it; it is only shown. Kinds as for
// Invoker's Methods.
func (s *Service) List(ctx context.Context, caller services.Caller, offer registry.Offer, list upstream.List) ([]json.RawMessage, error) {
	carried, err := s.credentials(ctx, caller, offer)
	if err != nil {
		return nil, err
	}
	found, err := s.client.Lists(ctx, offer.Target(carried), list)
	for i, entry := range found {
		found[i], _ = carried.Veil(entry)
	}
	return found, carried.VeilError(err)
}

// Watch tells whenever a resource of a tool changes, until ctx ends or the tool's server
// does not tell any more. Kinds as upstream.Client.Watch's.
func (s *Service) Watch(ctx context.Context, caller services.Caller, offer registry.Offer, uri string, changed func()) error {
	carried, err := s.credentials(ctx, caller, offer)
	if err != nil {
		return err
	}
	return carried.VeilError(s.client.Watch(ctx, offer.Target(carried), uri, changed))
}
