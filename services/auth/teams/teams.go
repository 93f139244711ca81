// Package teams keeps shared organisations: who is in them and as what, who is
// invited, and the accounts of their programs.
//
// Whatever changes an organisation locks its row first and looks up the
// caller's role after that, in the same transaction. Of two changes made at
// once, the second one sees what the first one did.
package teams

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/events"
	"uaol/providers/postgres"
	"uaol/services"
)

// Host is what teams needs of the service that it is a part of.
type Host interface {
	// AccessChanged is the event after which every process asks anew what an
	// account may do.
	AccessChanged(account, organization uuid.UUID) events.Event
	// StillCounts locks the caller's account and refuses a caller whose session
	// or key has ended since the request began; kind Unauthenticated.
	StillCounts(ctx context.Context, tx pgx.Tx, caller services.Caller) error
	// NormalEmail is an address as accounts store it; kind Invalid when it is none.
	NormalEmail(raw string) (string, error)
	// Keys lists an account's API keys that still count.
	Keys(ctx context.Context, account uuid.UUID) ([]Key, error)
	// AddKey makes a key for an account in the organisation that the caller acts
	// for. Kinds: Invalid; Forbidden when the caller's own scopes are narrower.
	AddKey(ctx context.Context, tx pgx.Tx, caller services.Caller, account uuid.UUID, in KeyRequest) (key Key, secret string, err error)
	// RevokeKey ends a key of an account, and what was got with it; kind
	// NotFound when there is none.
	RevokeKey(ctx context.Context, tx pgx.Tx, account, key uuid.UUID) error
	// Acts lists what the audit log has of an organisation, newest first.
	Acts(ctx context.Context, organization uuid.UUID, before time.Time, beforeID uuid.UUID, limit int) ([]services.Act, error)
	// Erase lets the other services erase what they keep of an organisation.
	Erase(ctx context.Context, tx pgx.Tx, organization uuid.UUID) error
	// Mail sends a letter soon; false when mail is not configured, or there is
	// too much of it.
	Mail(to, subject, text string) bool
}

// Key is an API key without its secret.
type Key struct {
	ID         uuid.UUID      `json:"id"`
	Name       string         `json:"name"`
	Masked     string         `json:"maskedKey"`
	Scopes     []string       `json:"scopes" doc:"empty: everything"`
	CreatedAt  services.Time  `json:"createdAt"`
	ExpiresAt  *services.Time `json:"expiresAt"`
	LastUsedAt *services.Time `json:"lastUsedAt" doc:"to the minute"`
}

// KeyRequest is what a new key shall be.
type KeyRequest struct {
	Name    string
	Scopes  []string
	Expires *time.Time
}

// Service is the use cases.
type Service struct {
	repository *Repository
	host       Host
	bus        *events.Bus
}

// NewService makes a Service.
func NewService(repository *Repository, host Host, bus *events.Bus) *Service {
	return &Service{repository: repository, host: host, bus: bus}
}

var (
	errNoOrganization = services.Errorf(services.NotFound, "Organisation not found")
	errPersonal       = services.Errorf(services.Conflict, "A personal organisation can't be changed, and has no members, invitations or service accounts")
	errWithKey        = services.Errorf(services.Forbidden, "An API key reaches only its own organisation; sign in without one to do this").WithCode("WITH_KEY")
)

// role judges what the caller may do in an organisation. Somebody who is not in
// it does not learn that it exists, nor does a key of another one.
func (s *Service) role(ctx context.Context, q postgres.Querier, caller services.Caller, id uuid.UUID, needs services.OrgRole) (Organization, error) {
	if caller.Key != uuid.Nil && caller.Organization != id {
		return Organization{}, errNoOrganization
	}
	found, err := s.repository.organization(ctx, q, caller.Account, id)
	if services.Is(err, services.NotFound) {
		return found, errNoOrganization
	}
	if err != nil {
		return found, err
	}
	services.NoteCaller(ctx, acting(caller, found))
	if !found.Role.AtLeast(needs) {
		return found, services.Errorf(services.Forbidden, "This needs the role %s in the organisation; yours is %s", needs, found.Role)
	}
	return found, nil
}

// acting is the caller on behalf of an organisation.
func acting(caller services.Caller, organization Organization) services.Caller {
	caller.Organization, caller.OrgRole, caller.Personal = organization.ID, organization.Role, organization.Personal
	return caller
}

// shared is role for what only shared organisations have.
func (s *Service) shared(ctx context.Context, q postgres.Querier, caller services.Caller, id uuid.UUID, needs services.OrgRole) (Organization, error) {
	found, err := s.role(ctx, q, caller, id, needs)
	if err == nil && found.Personal {
		err = errPersonal
	}
	return found, err
}

// change runs f in a transaction that has locked a shared organisation, with the
// caller's role there, and publishes the events that f gives.
func (s *Service) change(ctx context.Context, caller services.Caller, id uuid.UUID, needs services.OrgRole,
	f func(tx pgx.Tx, in Organization) ([]events.Event, error),
) error {
	var happened []events.Event
	err := postgres.InTx(ctx, s.repository.pool, func(tx pgx.Tx) error {
		if err := s.repository.lock(ctx, tx, id); err != nil {
			return err
		}
		found, err := s.shared(ctx, tx, caller, id, needs)
		if err != nil {
			return err
		}
		if caller.Home == uuid.Nil { // or who made it could come back through it
			return services.Errorf(services.Forbidden, "A service account does not decide who is in an organisation")
		}
		if err := s.host.StillCounts(ctx, tx, caller); err != nil {
			return err
		}
		if happened, err = f(tx, found); err != nil {
			return err
		}
		return s.repository.outbox.Append(ctx, tx, happened...)
	})
	if err == nil {
		s.bus.Publish(happened...)
	}
	return err
}
