package modelkeys

import (
	"context"

	"uaol/providers/llm"
	"uaol/services"
)

// CodeMissing tells of a provider for which there is no key.
const CodeMissing = "PROVIDER_KEY_MISSING"

// Keys is what other services see of the keys of model providers.
type Keys interface {
	// ModelAccess says with which key which model of which provider is asked for
	// a caller. Kinds: Invalid with code PROVIDER_KEY_MISSING when neither the
	// caller's organisation nor the platform has a key, Invalid for an unknown
	// provider, Unauthenticated for nobody, Unavailable.
	ModelAccess(ctx context.Context, in AccessRequest) (llm.Access, error)
}

// AccessRequest asks how a model is asked for somebody.
type AccessRequest struct {
	Caller   services.Caller `json:"caller"`
	Provider string          `json:"provider,omitempty"` // openai, gemini, anthropic or claude; "" for the caller's choice
}

// ModelAccess implements Keys. The key that the caller's organisation
// stored counts; without a provider the one it made its default, or stored first.
// Where it has none, the platform's own key does.
func (s *Service) ModelAccess(ctx context.Context, in AccessRequest) (llm.Access, error) {
	if !in.Caller.Known() {
		return llm.Access{}, services.Errorf(services.Unauthenticated, "Nobody is known for whom a model could be asked")
	}
	var wanted llm.Provider
	if in.Provider != "" {
		var known bool
		if wanted, known = llm.Named(in.Provider); !known {
			return llm.Access{}, fault("provider", "Invalid provider. Must be one of: openai, gemini, claude")
		}
	}
	offers := s.cfg.offers()
	name := ""
	for _, o := range offers {
		if o.provider == wanted {
			name = o.stored
		}
	}
	stored, err := s.repository.find(ctx, in.Caller.Organization, name)
	if err != nil && !services.Is(err, services.NotFound) {
		return llm.Access{}, err
	}
	for _, o := range offers {
		switch {
		case err == nil && o.stored == stored.Provider:
			// One that can't be opened is no reason to spend the platform's.
			secret, err := s.ring.Open(stored.Sealed, bond(in.Caller.Organization, stored.Provider))
			if err != nil {
				return llm.Access{}, err
			}
			return llm.Access{Provider: o.provider, Key: llm.Key(secret), Model: o.model}, nil
		case err != nil && o.key != "" && (wanted == "" || o.provider == wanted):
			return llm.Access{Provider: o.provider, Key: llm.Key(o.key), Model: o.model, Platform: true}, nil
		}
	}
	of := ""
	if wanted != "" {
		of = " " + string(wanted)
	}
	return llm.Access{}, services.Errorf(services.Invalid, "There is no API key for the model provider%s: store one with POST /api-keys", of).WithCode(CodeMissing)
}
