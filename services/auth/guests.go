package auth

import (
	"context"
	"crypto/rand"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"uaol/providers/postgres"
	"uaol/services"
)

// guestLifetime is how long a guest's session lasts.
const guestLifetime = 24 * time.Hour

// welcome finds or makes a guest. A session that is over begins anew under
// another name, which the client is told.
func (s *Service) welcome(ctx context.Context, guestID string, organization *uuid.UUID, address string) (Verified, error) {
	account, name, err := s.guest(ctx, guestID, address)
	if err != nil {
		return Verified{}, err
	}
	if organization != nil && *organization != account.Organization {
		return Verified{}, errNotMember
	}
	return Verified{Caller: account.Caller(), GuestID: name}, nil
}

var errGuestID = services.Faults(services.Fault{Path: "header.X-Guest-Id", Message: "must be a text of at most 128 characters"})

func (s *Service) guest(ctx context.Context, guestID, address string) (account Account, name string, err error) {
	if len(guestID) > 128 || !utf8.ValidString(guestID) {
		return Account{}, "", errGuestID
	}
	if guestID != "" {
		account, over, err := s.repository.guest(ctx, guestID)
		if err == nil && !over {
			return account, guestID, nil
		}
		if err != nil && !services.Is(err, services.NotFound) {
			return Account{}, "", err
		}
		if over {
			guestID = ""
		}
	}
	if guestID == "" {
		guestID = "guest_" + rand.Text()
	}
	account, err = s.repository.addGuest(ctx, guestID, s.newAccounts(address))
	switch {
	case services.Is(err, services.Conflict): // another request of the same guest was faster
		account, _, err = s.repository.guest(ctx, guestID)
	case services.Is(err, services.NotFound):
		err = errTooManyAccounts
	}
	return account, guestID, err
}

// guest finds a guest, and whether its session is over.
func (r *Repository) guest(ctx context.Context, guestID string) (account Account, over bool, err error) {
	type row struct {
		Account
		Over bool `db:"over"`
	}
	found, err := postgres.One[row](ctx, r.pool, `
		SELECT `+accountColumns+`, a.guest_expires_at <= now() AS over FROM uaol_auth.accounts a WHERE a.guest_id = $1`, guestID)
	return found.Account, found.Over, err
}

// addGuest makes a guest and its organisation, and counts it, in one statement;
// kind Conflict when somebody was faster, NotFound when its address has made
// enough.
func (r *Repository) addGuest(ctx context.Context, guestID string, share quota) (Account, error) {
	return postgres.One[Account](ctx, r.pool, `
		WITH counted AS (`+countOne+`), organization AS (
			INSERT INTO uaol_auth.organizations (organization_id, name, personal)
			SELECT $5::uuid, 'Guest', true FROM counted WHERE count <= $3
			RETURNING organization_id
		)
		INSERT INTO uaol_auth.accounts AS a (account_id, organization_id, kind, guest_id, guest_expires_at)
		SELECT $6, organization_id, 'guest', $4, now() + $7 * interval '1 second' FROM organization
		RETURNING `+accountColumns,
		share.bucket, share.seconds(), share.most, guestID, newID(), newID(), int64(guestLifetime/time.Second))
}
