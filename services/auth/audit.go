package auth

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/postgres"
	"uaol/services"
)

// AuditLog is the audit log where auth runs; it is a services.Auditor.
type AuditLog struct{ repository *Repository }

// NewAuditLog makes an AuditLog.
func NewAuditLog(repository *Repository) *AuditLog { return &AuditLog{repository: repository} }

// Record implements services.Auditor.
func (l *AuditLog) Record(ctx context.Context, act services.Act) error {
	return l.repository.record(ctx, act)
}

// record is Record in the form of an internal operation.
func (l *AuditLog) record(ctx context.Context, act services.Act) (struct{}, error) {
	return struct{}{}, l.Record(ctx, act)
}

// Filter says which acts are asked for; zero members ask for all.
type Filter struct {
	Action       string
	Account      uuid.UUID
	Organization uuid.UUID
	Since, Until time.Time
}

// List gives acts, newest first.
func (l *AuditLog) List(ctx context.Context, f Filter, before time.Time, beforeID uuid.UUID, limit int) ([]services.Act, error) {
	if f.Until.IsZero() || f.Until.After(before) {
		f.Until = before
	}
	return l.repository.acts(ctx, f, beforeID, limit)
}

// record adds an act, or completes one that was only attempted so far.
func (r *Repository) record(ctx context.Context, act services.Act) error {
	details, err := json.Marshal(act.Details)
	if err != nil {
		return err
	}
	_, err = postgres.Exec(ctx, r.pool, `
		INSERT INTO uaol_auth.audit AS a (act_id, created_at, action, account_id, organization_id, key_id, address, user_agent, request_id, outcome, details)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::jsonb)
		ON CONFLICT (act_id) DO UPDATE SET account_id = excluded.account_id, organization_id = excluded.organization_id,
			key_id = excluded.key_id, outcome = excluded.outcome, details = excluded.details
		WHERE a.outcome = 'attempted'`,
		act.ID, act.Time, act.Action, act.Account, act.Organization, act.Key, act.Address, act.UserAgent, act.RequestID,
		string(act.Outcome), string(details))
	return err
}

// recordCommand adds what an operator did on the machine itself, in the
// transaction that does it.
func (r *Repository) recordCommand(ctx context.Context, tx pgx.Tx, action string, account Account) error {
	_, err := postgres.Exec(ctx, tx, `
		INSERT INTO uaol_auth.audit (act_id, created_at, action, account_id, organization_id, key_id, address, user_agent, request_id, outcome, details)
		VALUES ($1, now(), $2, $3, $4, $5, '', 'uaol on the server', '', 'done', '{}'::jsonb)`,
		newID(), action, account.ID, account.Organization, uuid.Nil)
	return err
}

const actColumns = `act_id, created_at, action, account_id, organization_id, key_id, address, user_agent, request_id, outcome, details`

func (r *Repository) acts(ctx context.Context, f Filter, beforeID uuid.UUID, limit int) ([]services.Act, error) {
	return postgres.All[services.Act](ctx, r.pool, `
		SELECT `+actColumns+` FROM uaol_auth.audit
		WHERE ($1::text = '' OR action = $1::text) AND ($2::uuid = $3::uuid OR account_id = $2::uuid)
			AND ($4::uuid = $3::uuid OR organization_id = $4::uuid)
			AND created_at >= $5 AND (created_at, act_id) < ($6::timestamptz, $7::uuid)
		ORDER BY created_at DESC, act_id DESC LIMIT $8`,
		f.Action, f.Account, uuid.Nil, f.Organization, f.Since, f.Until, beforeID, limit)
}

// forgetActs drops acts that are older than so many days.
func (r *Repository) forgetActs(ctx context.Context, days int) error {
	_, err := postgres.Exec(ctx, r.pool, `DELETE FROM uaol_auth.audit WHERE created_at < now() - $1 * interval '1 day'`, days)
	return err
}
