package oauth

import (
	"context"
	"net/url"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/postgres"
	"uaol/services"
)

// Grant is a program that somebody let in.
type Grant struct {
	ID           uuid.UUID     `json:"id" db:"grant_id"`
	ClientID     string        `json:"clientId" db:"client_id"`
	ClientName   string        `json:"clientName" db:"client_name" doc:"what it calls itself"`
	ClientHost   string        `json:"clientHost,omitempty" db:"-" doc:"where its metadata is; absent when it has registered itself"`
	Organization uuid.UUID     `json:"organization" db:"organization_id"`
	Resource     string        `json:"resource" db:"resource" doc:"the URL that it may use"`
	Scopes       []string      `json:"scopes" db:"-"`
	ScopeText    string        `json:"-" db:"scopes"`
	CreatedAt    services.Time `json:"createdAt" db:"created_at"`
	LastUsedAt   services.Time `json:"lastUsedAt" db:"last_used_at" doc:"to the minute"`
	ExpiresAt    services.Time `json:"expiresAt" db:"expires_at" doc:"unless it comes back before"`
}

// Grants lists what an account has let in, newest first.
func (s *Service) Grants(ctx context.Context, account uuid.UUID) ([]Grant, error) {
	return s.repository.Grants(ctx, account)
}

var errNoGrant = services.Errorf(services.NotFound, "There is no such grant")

// End ends one; kind NotFound when the caller has not let it in.
func (s *Service) End(ctx context.Context, caller services.Caller, id uuid.UUID) error {
	happened := s.host.AccessChanged(caller.Account, uuid.Nil)
	err := postgres.InTx(ctx, s.repository.pool, func(tx pgx.Tx) error {
		if err := s.repository.end(ctx, tx, caller.Account, id); err != nil {
			return err
		}
		return s.repository.outbox.Append(ctx, tx, happened)
	})
	if services.Is(err, services.NotFound) {
		return errNoGrant
	}
	if err == nil {
		s.bus.Publish(happened)
	}
	return err
}

// Grants lists what an account has let in, newest first.
func (r *Repository) Grants(ctx context.Context, account uuid.UUID) ([]Grant, error) {
	all, err := postgres.All[Grant](ctx, r.pool, `
		SELECT g.grant_id, g.client_id, g.client_name, g.organization_id, g.resource, g.scopes, g.created_at, s.last_used_at, s.expires_at
		FROM uaol_auth.sessions s JOIN uaol_auth.oauth_grants g ON g.grant_id = s.session_id
		WHERE s.account_id = $1 AND s.expires_at > now() AND g.code_used_at IS NOT NULL
		ORDER BY g.created_at DESC, g.grant_id DESC LIMIT 1000`, account)
	for i := range all {
		all[i].Scopes = []string{all[i].ScopeText}
		if u, err := url.Parse(all[i].ClientID); err == nil && byDocument(all[i].ClientID) {
			all[i].ClientHost = u.Host
		}
	}
	return all, err
}

func (r *Repository) end(ctx context.Context, tx pgx.Tx, account, id uuid.UUID) error {
	_, err := postgres.Value[uuid.UUID](ctx, tx, `
		DELETE FROM uaol_auth.sessions WHERE session_id = $1 AND account_id = $2 AND method = 'oauth' RETURNING session_id`, id, account)
	return err
}
