package proxy

import (
	"context"

	"uaol/providers/upstream"
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

// CodeTokenRefused tells of a tool that does not take what its own authorization
// server gave.
const CodeTokenRefused = "TOKEN_REFUSED"

// withAnother repeats a call, once, whose token the tool has refused: it was
// withdrawn before its end, and the tool has done nothing. Where there is no other
// token, or that is refused too, only people can help.
func (s *Service) withAnother(ctx context.Context, caller services.Caller, offer registry.Offer, carried credentials.Carried, pass *upstream.Pass, ask upstream.Ask) (*upstream.Answer, credentials.Carried, error) {
	refused := carried.Token()
	another, err := s.catalog.Credentials(ctx, registry.CredentialsRequest{Caller: caller, ToolID: offer.ToolID, Version: offer.Version, Refused: refused})
	if err != nil {
		return nil, carried, err
	}
	if another.Token() != refused {
		answer, err := pass.With(offer.Target(another)).Call(ctx, ask)
		if !upstream.Unauthorized(err) {
			return answer, another, err
		}
	}
	err = services.Errorf(services.Upstream, "%s refuses the token that its authorization server gave; consent again with POST /tools/%s/authorize or, where it takes no consent, tell its owner",
		offer.Name, offer.ToolID).WithCode(CodeTokenRefused).WithDetails(credentials.Required{ToolID: offer.ToolID, Authorize: offer.Credentialed().Consents()})
	return nil, carried, err
}
