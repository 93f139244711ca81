// Package modelkeys keeps organisations' keys of model providers, and says which
// key a model is asked with. They are sealed for their organisation and provider,
// and given to no one but the services that ask models.
package modelkeys

import (
	"context"
	"slices"
	"strings"

	"github.com/google/uuid"

	"uaol/providers/keyring"
	"uaol/services"
)

// ModelKey is a stored key without its secret.
type ModelKey struct {
	Provider  string        `json:"provider" db:"provider"`
	Default   bool          `json:"isDefault" db:"is_default"`
	Masked    string        `json:"maskedKey" db:"masked"`
	CreatedAt services.Time `json:"createdAt" db:"created_at"`
	UpdatedAt services.Time `json:"updatedAt" db:"updated_at"`
}

// providers are those whose keys are taken, with what their keys begin with.
var providers = map[string]string{"openai": "sk-", "gemini": "", "claude": "sk-ant-"}

// Service is the use cases.
type Service struct {
	cfg        Config
	repository *Repository
	ring       *keyring.Ring
}

// NewService makes a Service.
func NewService(cfg Config, repository *Repository, ring *keyring.Ring) *Service {
	return &Service{cfg: cfg, repository: repository, ring: ring}
}

func checkProvider(path, provider string) error {
	if _, ok := providers[provider]; !ok {
		return fault(path, "Invalid provider. Must be one of: openai, gemini, claude")
	}
	return nil
}

// fault has the contract's words as its message.
func fault(path, message string) error {
	return services.Errorf(services.Invalid, "%s", message).WithDetails([]services.Fault{{Path: path, Message: message}})
}

// Set stores the organisation's key of a provider, in place of an earlier one.
// The first one is the default.
func (s *Service) Set(ctx context.Context, caller services.Caller, provider, secret string, isDefault bool) (ModelKey, error) {
	if provider == "" || secret == "" {
		return ModelKey{}, fault("body", "Provider and API key are required")
	}
	if err := checkProvider("body.provider", provider); err != nil {
		return ModelKey{}, err
	}
	if !wellFormed(provider, secret) {
		return ModelKey{}, fault("body.apiKey", "Invalid "+provider+" API key format")
	}
	services.Note(ctx, "provider", provider)
	sealed := s.ring.Seal([]byte(secret), bond(caller.Organization, provider))
	return s.repository.set(ctx, caller.Organization, provider, sealed, mask(secret), isDefault)
}

// wellFormed refuses what can't be a key: all providers' are printable ASCII of
// at least 20 characters.
func wellFormed(provider, secret string) bool {
	return len(secret) >= 20 && strings.HasPrefix(secret, providers[provider]) && sendable(secret)
}

// mask shows what people tell keys apart by; a key has 20 characters at least.
func mask(secret string) string { return secret[:8] + "..." + secret[len(secret)-4:] }

// bond ties a sealed key to its row.
func bond(organization uuid.UUID, provider string) string {
	return "provider key:" + organization.String() + ":" + provider
}

// List gives the organisation's keys, by provider.
func (s *Service) List(ctx context.Context, caller services.Caller) ([]ModelKey, error) {
	keys, err := s.repository.all(ctx, caller.Organization)
	slices.SortFunc(keys, func(a, b ModelKey) int { return a.CreatedAt.Compare(b.CreatedAt.Time) })
	return keys, err
}

// Get gives the organisation's key of a provider; nil when there is none.
func (s *Service) Get(ctx context.Context, caller services.Caller, provider string) (*ModelKey, error) {
	if err := checkProvider("path.provider", provider); err != nil {
		return nil, err
	}
	keys, err := s.List(ctx, caller)
	for _, k := range keys {
		if k.Provider == provider {
			return &k, err
		}
	}
	return nil, err
}

// SetDefault makes one of the organisation's keys the one to use.
func (s *Service) SetDefault(ctx context.Context, caller services.Caller, provider string) error {
	if err := checkProvider("path.provider", provider); err != nil {
		return err
	}
	found, err := s.repository.setDefault(ctx, caller.Organization, provider)
	if err == nil && !found {
		err = services.Errorf(services.NotFound, "API key for provider %s not found. Please set it first.", provider)
	}
	return err
}

// Delete forgets a key; it may be repeated.
func (s *Service) Delete(ctx context.Context, caller services.Caller, provider string) error {
	if err := checkProvider("path.provider", provider); err != nil {
		return err
	}
	return s.repository.delete(ctx, caller.Organization, provider)
}

// Rotate seals every key that an older secret sealed with the current one, and
// counts them. It may be cut short and repeated.
func Rotate(ctx context.Context, r *Repository, ring *keyring.Ring) (rotated int, err error) {
	var after row
	for {
		rows, err := r.outdated(ctx, ring.Current(), after)
		if err != nil || len(rows) == 0 {
			return rotated, err
		}
		for _, old := range rows {
			plain, err := ring.Open(old.Sealed, bond(old.Organization, old.Provider))
			if err != nil {
				return rotated, services.Errorf(services.Conflict, "the %s key of organisation %s cannot be opened: %v", old.Provider, old.Organization, err)
			}
			if err := r.replace(ctx, old, ring.Seal(plain, bond(old.Organization, old.Provider))); err != nil {
				return rotated, err
			}
			rotated, after = rotated+1, old
		}
	}
}
