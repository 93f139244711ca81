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

// maxServiceAccounts bounds how many an organisation may have.
const maxServiceAccounts = 100

var errNoAccount = services.Errorf(services.NotFound, "Service account not found")

// ServiceAccounts lists an organisation's, newest first. They are members too.
func (s *Service) ServiceAccounts(ctx context.Context, caller services.Caller, id uuid.UUID, before time.Time, beforeID uuid.UUID, limit int) ([]Member, error) {
	if _, err := s.shared(ctx, s.repository.pool, caller, id, services.OrgViewer); err != nil {
		return nil, err
	}
	return s.repository.serviceAccounts(ctx, id, before, beforeID, limit)
}

// AddServiceAccount makes an account for a program of the organisation: it has
// keys, and neither an e-mail address nor an organisation of its own.
func (s *Service) AddServiceAccount(ctx context.Context, caller services.Caller, id uuid.UUID, name string, role services.OrgRole) (made Member, err error) {
	services.Note(ctx, "role", string(role))
	if name, err = named(name); err != nil {
		return Member{}, err
	}
	account := services.NewID(ctx, caller.Account, id, "service-account")
	err = s.change(ctx, caller, id, services.OrgAdmin, func(tx pgx.Tx, _ Organization) ([]events.Event, error) {
		added, err := s.repository.addServiceAccount(ctx, tx, id, account, name, role)
		if err == nil && !added {
			err = services.Errorf(services.Conflict, "An organisation may have at most %d service accounts", maxServiceAccounts)
		}
		if err == nil {
			made, err = s.repository.member(ctx, tx, id, account)
		}
		return nil, err
	})
	if postgres.Violates(err, "accounts_pkey") { // the same request has made it
		made, err = s.repository.member(ctx, s.repository.pool, id, account)
		if err == nil && (made.Name == nil || *made.Name != name || made.Role != role) || services.Is(err, services.NotFound) {
			return Member{}, services.ErrRepeated
		}
	}
	if err == nil {
		services.Note(ctx, "serviceAccount", made.Account.String())
	}
	return made, err
}

// DeleteServiceAccount removes one with its keys.
func (s *Service) DeleteServiceAccount(ctx context.Context, caller services.Caller, id, account uuid.UUID) error {
	return s.change(ctx, caller, id, services.OrgAdmin, func(tx pgx.Tx, _ Organization) ([]events.Event, error) {
		if err := s.repository.isServiceAccount(ctx, tx, id, account); err != nil {
			return nil, err
		}
		return []events.Event{s.host.AccessChanged(account, id)}, s.repository.deleteServiceAccount(ctx, tx, account)
	})
}

// Keys lists a service account's API keys.
func (s *Service) Keys(ctx context.Context, caller services.Caller, id, account uuid.UUID) ([]Key, error) {
	if _, err := s.shared(ctx, s.repository.pool, caller, id, services.OrgAdmin); err != nil {
		return nil, err
	}
	if err := s.repository.isServiceAccount(ctx, s.repository.pool, id, account); err != nil {
		return nil, err
	}
	return s.host.Keys(ctx, account)
}

// AddKey makes an API key for a service account. The secret is given only here.
func (s *Service) AddKey(ctx context.Context, caller services.Caller, id, account uuid.UUID, request KeyRequest) (key Key, secret string, err error) {
	err = s.change(ctx, caller, id, services.OrgAdmin, func(tx pgx.Tx, in Organization) ([]events.Event, error) {
		if err := s.repository.isServiceAccount(ctx, tx, id, account); err != nil {
			return nil, err
		}
		key, secret, err = s.host.AddKey(ctx, tx, acting(caller, in), account, request)
		return nil, err
	})
	return key, secret, err
}

// RevokeKey ends an API key of a service account.
func (s *Service) RevokeKey(ctx context.Context, caller services.Caller, id, account, key uuid.UUID) error {
	return s.change(ctx, caller, id, services.OrgAdmin, func(tx pgx.Tx, _ Organization) ([]events.Event, error) {
		if err := s.repository.isServiceAccount(ctx, tx, id, account); err != nil {
			return nil, err
		}
		return []events.Event{s.host.AccessChanged(account, id)}, s.host.RevokeKey(ctx, tx, account, key)
	})
}

func (r *Repository) serviceAccounts(ctx context.Context, id uuid.UUID, before time.Time, beforeID uuid.UUID, limit int) ([]Member, error) {
	return postgres.All[Member](ctx, r.pool, `
		SELECT `+memberColumns+` WHERE m.organization_id = $1 AND a.kind = 'service' AND (m.created_at, m.account_id) < ($2::timestamptz, $3::uuid)
		ORDER BY m.created_at DESC, m.account_id DESC LIMIT $4`, id, before, beforeID, limit)
}

// addServiceAccount tells whether it did: the organisation, which is locked, may
// have enough of them.
func (r *Repository) addServiceAccount(ctx context.Context, tx pgx.Tx, id, account uuid.UUID, name string, role services.OrgRole) (bool, error) {
	n, err := postgres.Exec(ctx, tx, `
		WITH made AS (
			INSERT INTO uaol_auth.accounts (account_id, organization_id, kind, name)
			SELECT $2::uuid, $1::uuid, 'service', $3
			WHERE (SELECT count(*) FROM uaol_auth.accounts WHERE organization_id = $1::uuid) < $5
				OR EXISTS (SELECT 1 FROM uaol_auth.accounts WHERE account_id = $2::uuid)
			RETURNING account_id, organization_id
		)
		INSERT INTO uaol_auth.members (organization_id, account_id, role) SELECT organization_id, account_id, $4 FROM made`,
		id, account, name, string(role), maxServiceAccounts)
	return n == 1, err
}

// isServiceAccount is an error of kind NotFound when it is not one of that
// organisation.
func (r *Repository) isServiceAccount(ctx context.Context, q postgres.Querier, id, account uuid.UUID) error {
	is, err := postgres.Value[bool](ctx, q, `
		SELECT EXISTS (SELECT 1 FROM uaol_auth.accounts WHERE account_id = $2 AND organization_id = $1 AND kind = 'service')`, id, account)
	if err == nil && !is {
		err = errNoAccount
	}
	return err
}

// deleteServiceAccount holds the account first: a key made at the same time is
// waited for, or not made. Its membership and its sessions go with it.
func (r *Repository) deleteServiceAccount(ctx context.Context, tx pgx.Tx, account uuid.UUID) error {
	for _, sql := range []string{
		`SELECT 1 FROM uaol_auth.accounts WHERE account_id = $1 FOR UPDATE`,
		`DELETE FROM uaol_auth.api_keys WHERE account_id = $1`,
		`DELETE FROM uaol_auth.accounts WHERE account_id = $1`,
	} {
		if _, err := postgres.Exec(ctx, tx, sql, account); err != nil {
			return err
		}
	}
	return nil
}
