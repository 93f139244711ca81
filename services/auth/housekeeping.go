package auth

import (
	"context"

	"uaol/providers/postgres"
	"uaol/services/auth/oauth"
)

// Housekeeper forgets what has had its time. Several may run at once: every
// step may be repeated.
type Housekeeper struct {
	repository *Repository
	programs   *oauth.Repository
	auditDays  int
}

// NewHousekeeper makes a Housekeeper.
func NewHousekeeper(cfg Config, repository *Repository) *Housekeeper {
	return &Housekeeper{repository: repository, programs: oauth.NewRepository(repository.pool), auditDays: cfg.AuditDays}
}

// guestBatch is how many guests one transaction ends.
const guestBatch = 200

// Sweep looks once.
func (h *Housekeeper) Sweep(ctx context.Context) error {
	for _, overdue := range []string{
		`DELETE FROM uaol_auth.sessions WHERE expires_at <= now()`,
		`DELETE FROM uaol_auth.sign_ins WHERE expires_at <= now()`,
		`DELETE FROM uaol_auth.links WHERE expires_at <= now()`,
		`DELETE FROM uaol_auth.invitations WHERE expires_at <= now()`,
		// Admins' stay revoked for good: one may still stand in UAOL_ADMIN_API_KEY.
		`DELETE FROM uaol_auth.api_keys WHERE revoked_at < now() - interval '90 days'
			AND account_id NOT IN (SELECT account_id FROM uaol_auth.accounts WHERE admin)`,
	} {
		if _, err := postgres.Exec(ctx, h.repository.pool, overdue); err != nil {
			return err
		}
	}
	if err := h.programs.Sweep(ctx); err != nil {
		return err
	}
	if err := h.repository.forgetAttempts(ctx); err != nil {
		return err
	}
	for ended := guestBatch; ended == guestBatch; {
		var err error
		if ended, err = h.repository.endGuests(ctx, guestBatch); err != nil {
			return err
		}
	}
	return h.repository.forgetActs(ctx, h.auditDays)
}
