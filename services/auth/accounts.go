package auth

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/events"
	"uaol/providers/postgres"
	"uaol/services"
	"uaol/services/billing"
)

// AccountFilter says which accounts are asked for.
type AccountFilter struct {
	Kind      Kind   // "" for people and service accounts; guests come only when they are asked for
	Beginning string // of an e-mail address or of a name, in any case of letters; "" for any
}

func (f AccountFilter) kinds() []string {
	if f.Kind == "" {
		return []string{string(User), string(ServiceAccount)}
	}
	return []string{string(f.Kind)}
}

// Accounts lists accounts of everybody, the newest first, before a moment and an id.
func (s *Service) Accounts(ctx context.Context, f AccountFilter, before time.Time, beforeID uuid.UUID, limit int) ([]Account, error) {
	if f.Beginning = strings.TrimSpace(f.Beginning); f.Beginning != "" {
		return s.repository.accountsBeginning(ctx, f, before, beforeID, limit)
	}
	return s.repository.accounts(ctx, f, before, beforeID, limit)
}

// Account gives anybody's account, and what a person may spend. Who is no person has
// credits only once they are used: looking at a guest is not to give any. Kind NotFound.
func (s *Service) Account(ctx context.Context, id uuid.UUID) (account Account, balance *billing.Balance, err error) {
	account, err = s.repository.byID(ctx, id)
	if services.Is(err, services.NotFound) {
		return account, nil, errNoAccount
	}
	if err != nil || account.Kind != User {
		return account, nil, err
	}
	found, err := s.meter.Balance(ctx, billing.BalanceRequest{Caller: account.Caller()})
	return account, &found, err
}

var errNoAccount = services.Errorf(services.NotFound, "There is no such account")

// SetAdmin makes a person an admin of the platform, or takes that away. Nobody does it to
// themselves, and whoever does it is still an admin at that moment: so one is always left.
// What the groups of a provider gave is no longer theirs to take back; they give it again
// when the person signs in with them. Kinds: NotFound; Conflict for oneself and for who is
// no person; Forbidden.
func (s *Service) SetAdmin(ctx context.Context, caller services.Caller, id uuid.UUID, admin bool) (account Account, err error) {
	if id == caller.Account {
		return account, services.Errorf(services.Conflict, "Nobody does this to themselves; ask another admin")
	}
	var happened []events.Event
	err = postgres.InTx(ctx, s.repository.pool, func(tx pgx.Tx) error {
		happened = nil
		locked, err := s.repository.lockAccounts(ctx, tx, caller.Account, id)
		if err != nil {
			return err
		}
		if !locked[caller.Account].Admin {
			return services.Errorf(services.Forbidden, "Only a platform admin may do this")
		}
		there := false
		if account, there = locked[id]; !there {
			return errNoAccount
		}
		if account.Kind != User {
			return services.Errorf(services.Conflict, "Only people can be admins of the platform")
		}
		happened, err = s.repository.setAdmin(ctx, tx, account, admin)
		account.Admin = admin
		return err
	})
	if err != nil {
		return Account{}, err
	}
	s.bus.Publish(happened...)
	return account, nil
}

// setAdmin changes whether a locked account is an admin of the platform. It gives the
// event, which is to be published once the transaction has committed; none when the
// account was so already.
func (r *Repository) setAdmin(ctx context.Context, tx pgx.Tx, account Account, admin bool) ([]events.Event, error) {
	n, err := postgres.Exec(ctx, tx, `UPDATE uaol_auth.accounts SET admin = $2, updated_at = now() WHERE account_id = $1 AND admin <> $2`, account.ID, admin)
	if err != nil || n == 0 {
		return nil, err
	}
	if _, err := postgres.Exec(ctx, tx, `DELETE FROM uaol_auth.group_roles WHERE account_id = $1 AND organization_id = $2`, account.ID, uuid.Nil); err != nil {
		return nil, err
	}
	happened := accessChanged(account.ID, account.Organization)
	return []events.Event{happened}, r.outbox.Append(ctx, tx, happened)
}

// lockAccounts locks accounts in the order of their ids; those that are not there are left out.
func (r *Repository) lockAccounts(ctx context.Context, tx pgx.Tx, ids ...uuid.UUID) (map[uuid.UUID]Account, error) {
	found, err := postgres.All[Account](ctx, tx, `
		SELECT `+accountColumns+` FROM uaol_auth.accounts a
		WHERE a.account_id = ANY ($1::text[]::uuid[]) ORDER BY a.account_id FOR UPDATE`, postgres.UUIDs(ids))
	locked := make(map[uuid.UUID]Account, len(found))
	for _, account := range found {
		locked[account.ID] = account
	}
	return locked, err
}

// accounts reads the newest of each kind from the index accounts_by_time, and merges them:
// however many guests there are, none is looked at for others.
func (r *Repository) accounts(ctx context.Context, f AccountFilter, before time.Time, beforeID uuid.UUID, limit int) ([]Account, error) {
	return postgres.All[Account](ctx, r.pool, `
		SELECT `+accountColumns+`
		FROM unnest($1::text[]) AS k (kind)
		CROSS JOIN LATERAL (
			SELECT w.* FROM uaol_auth.accounts w
			WHERE w.kind = k.kind AND (w.created_at, w.account_id) < ($2::timestamptz, $3::uuid)
			ORDER BY w.created_at DESC, w.account_id DESC LIMIT $4) a
		ORDER BY a.created_at DESC, a.account_id DESC LIMIT $4`, f.kinds(), before, beforeID, limit)
}

// accountsBeginning looks e-mail addresses and names up by how they begin, in the indexes
// accounts_by_email and accounts_by_name. They go by bytes, whatever the database's
// language, so that all that begins alike stands together, before the last character there
// is. What is lower case is the database's word, on both sides.
func (r *Repository) accountsBeginning(ctx context.Context, f AccountFilter, before time.Time, beforeID uuid.UUID, limit int) ([]Account, error) {
	const last = "\U0010ffff"
	email := strings.ToLower(f.Beginning) // as they are stored
	return postgres.All[Account](ctx, r.pool, `
		SELECT `+accountColumns+` FROM uaol_auth.accounts a
		WHERE (a.email COLLATE "C" >= $5 AND a.email COLLATE "C" < $6
				OR lower(a.name) COLLATE "C" >= lower($7::text) AND lower(a.name) COLLATE "C" < lower($8::text))
			AND a.kind = ANY ($1::text[]) AND (a.created_at, a.account_id) < ($2::timestamptz, $3::uuid)
		ORDER BY a.created_at DESC, a.account_id DESC LIMIT $4`,
		f.kinds(), before, beforeID, limit, email, email+last, f.Beginning, f.Beginning+last)
}
