package auth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/events"
	"uaol/providers/keyring"
	"uaol/providers/postgres"
	"uaol/services"
	"uaol/services/auth/oidc"
)

// Identity is who a provider says that an account is.
type Identity struct {
	ID             uuid.UUID      `json:"id" db:"identity_id"`
	Provider       string         `json:"provider" db:"provider"`
	Issuer         string         `json:"issuer" db:"issuer"`
	Email          *string        `json:"email" db:"email"`
	TokensExpireAt *services.Time `json:"tokensExpireAt" db:"tokens_expire_at" doc:"when the provider's access token expires"`
	CreatedAt      services.Time  `json:"createdAt" db:"created_at"`
	LastUsedAt     services.Time  `json:"lastUsedAt" db:"last_used_at" doc:"the last sign-in"`
}

// Identities lists the providers' identities of the caller's account.
func (s *SignIns) Identities(ctx context.Context, caller services.Caller) ([]Identity, error) {
	return s.repository.identities(ctx, caller.Account)
}

var (
	errNoIdentity = services.Errorf(services.NotFound, "Identity not found")
	errLastWayIn  = services.Errorf(services.Conflict, "This is the only way to sign in to the account; set a password or make an API key first")
)

// revoking bounds what a provider's revocation may take of somebody's time.
const revoking = 15 * time.Second

// Unlink takes an identity from the caller's account with the sessions that
// were begun through it, but the one that asks, and with what its groups gave.
// It tells whether the provider ended its tokens, too.
func (s *SignIns) Unlink(ctx context.Context, caller services.Caller, id uuid.UUID) (revoked bool, err error) {
	var identity storedIdentity
	var happened []events.Event
	err = postgres.InTx(ctx, s.repository.pool, func(tx pgx.Tx) (err error) {
		identity, happened, err = s.unlink(ctx, tx, caller, id)
		return err
	})
	if err != nil {
		return false, err
	}
	s.service.bus.Publish(happened...)
	services.Note(ctx, "provider", identity.Provider)
	tokens, ok := s.open(identity)
	if !ok {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), revoking)
	defer cancel()
	revoked, err = s.providers.Named(identity.Provider).Revoke(ctx, identity.Issuer, tokens)
	if err != nil { // the identity is gone all the same, and its tokens with it
		services.Note(ctx, "revocation", "failed")
	}
	return revoked, nil
}

func (s *SignIns) unlink(ctx context.Context, tx pgx.Tx, caller services.Caller, id uuid.UUID) (storedIdentity, []events.Event, error) {
	r := s.repository
	if err := r.lockGroupOrganizations(ctx, tx, caller.Account, nil); err != nil {
		return storedIdentity{}, nil, err
	}
	if _, err := r.lockAccount(ctx, tx, caller.Account); err != nil { // of two at once, the second sees what the first left
		return storedIdentity{}, nil, err
	}
	identity, err := r.removeIdentity(ctx, tx, caller.Account, id)
	if services.Is(err, services.NotFound) {
		return identity, nil, errNoIdentity
	}
	if err != nil {
		return identity, nil, err
	}
	other, err := r.hasWayIn(ctx, tx, caller.Account)
	if err == nil && !other {
		err = errLastWayIn
	}
	if err != nil {
		return identity, nil, err
	}
	if identity.Provider == generic {
		if _, err := r.applyRoles(ctx, tx, caller.Account, nil); err != nil {
			return identity, nil, err
		}
	}
	if err := r.endSessionsOf(ctx, tx, caller, identity.Provider); err != nil {
		return identity, nil, err
	}
	happened := []events.Event{
		events.New("user.identity_unlinked", caller.Account.String(), caller.Home, map[string]any{"provider": identity.Provider}),
		accessChanged(caller.Account, uuid.Nil),
	}
	return identity, happened, r.outbox.Append(ctx, tx, happened...)
}

// soon is how long before its expiry an access token is replaced.
const soon = time.Minute

// Refresh gets new tokens from the provider and tells when they expire; nil when
// the provider does not say.
func (s *SignIns) Refresh(ctx context.Context, caller services.Caller, id uuid.UUID) (*services.Time, error) {
	identity, _, err := s.held(ctx, caller.Account, id)
	if err != nil {
		return nil, err
	}
	tokens, err := s.refreshed(ctx, identity)
	return services.At(expiry(tokens)), err
}

// AccessToken is the provider's, for requests in the name of the account's
// owner; one that expires within a minute is replaced first.
func (s *SignIns) AccessToken(ctx context.Context, account, id uuid.UUID) (string, error) {
	identity, tokens, err := s.held(ctx, account, id)
	if err != nil {
		return "", err
	}
	if !tokens.Expiry.IsZero() && time.Until(tokens.Expiry) < soon {
		tokens, err = s.refreshed(ctx, identity)
	}
	return tokens.Access, err
}

// held reads an identity with its tokens.
func (s *SignIns) held(ctx context.Context, account, id uuid.UUID) (storedIdentity, oidc.Tokens, error) {
	identity, err := s.repository.identity(ctx, account, id)
	if services.Is(err, services.NotFound) {
		return identity, oidc.Tokens{}, errNoIdentity
	}
	if err != nil {
		return identity, oidc.Tokens{}, err
	}
	tokens, ok := s.open(identity)
	if !ok {
		return identity, tokens, services.Errorf(services.Conflict, "The provider's tokens are not known any more; sign in again")
	}
	return identity, tokens, nil
}

// refreshed replaces the tokens that seen holds. A provider may take a refresh
// token only once, so requests of this process share one refresh, and what
// another process got meanwhile counts.
func (s *SignIns) refreshed(ctx context.Context, seen storedIdentity) (oidc.Tokens, error) {
	done := s.refreshing.DoChan(seen.ID.String(), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), revoking)
		defer cancel()
		return s.refresh(ctx, seen)
	})
	select {
	case <-ctx.Done():
		return oidc.Tokens{}, ctx.Err()
	case made := <-done:
		tokens, _ := made.Val.(oidc.Tokens)
		return tokens, made.Err
	}
}

func (s *SignIns) refresh(ctx context.Context, seen storedIdentity) (oidc.Tokens, error) {
	now, held, err := s.held(ctx, seen.Account, seen.ID)
	if err != nil || !bytes.Equal(now.Tokens, seen.Tokens) {
		return held, err
	}
	fresh, err := s.providers.Named(now.Provider).Refresh(ctx, now.Issuer, held)
	if err == nil {
		var written bool
		written, err = s.repository.replaceTokens(ctx, now.ID, now.Tokens, seal(s.ring, now.ID, fresh), expiry(fresh))
		if err != nil || written {
			return fresh, err
		}
	}
	if later, held, again := s.held(ctx, seen.Account, seen.ID); again == nil && !bytes.Equal(later.Tokens, now.Tokens) {
		return held, nil // another process was faster
	}
	return fresh, err
}

// bond says whose tokens were sealed.
func bond(id uuid.UUID) string { return "identity:" + id.String() }

func seal(ring *keyring.Ring, id uuid.UUID, tokens oidc.Tokens) []byte {
	text, err := json.Marshal(tokens)
	if err != nil { // texts and a time can always be written
		return nil
	}
	return ring.Seal(text, bond(id))
}

// open reads an identity's tokens; false when there are none, or none that can
// be read.
func (s *SignIns) open(identity storedIdentity) (tokens oidc.Tokens, ok bool) {
	text, err := s.ring.Open(identity.Tokens, bond(identity.ID))
	return tokens, err == nil && json.Unmarshal(text, &tokens) == nil
}

func expiry(tokens oidc.Tokens) *time.Time {
	if tokens.Expiry.IsZero() {
		return nil
	}
	return &tokens.Expiry
}

// ResealIdentities seals all providers' tokens anew that were not sealed with
// the current key, and counts them. It may be repeated, also while auth runs. An
// error tells of those that no known key opens; the others are done all the same.
func ResealIdentities(ctx context.Context, r *Repository, ring *keyring.Ring) (done int, err error) {
	const page = 500
	var broken []error
	for last := uuid.Nil; ; {
		sealed, err := r.sealedAfter(ctx, last, page)
		if err != nil {
			return done, err
		}
		for _, identity := range sealed {
			last = identity.ID
			if bytes.HasPrefix(identity.Tokens, ring.Current()) {
				continue
			}
			plain, err := ring.Open(identity.Tokens, bond(identity.ID))
			if err != nil {
				broken = append(broken, fmt.Errorf("tokens of identity %s: %w", identity.ID, err))
				continue
			}
			written, err := r.resealTokens(ctx, identity.ID, identity.Tokens, ring.Seal(plain, bond(identity.ID)))
			if err != nil {
				return done, err
			}
			if written { // else they were replaced meanwhile, with the current key
				done++
			}
		}
		if len(sealed) < page {
			return done, errors.Join(broken...)
		}
	}
}
