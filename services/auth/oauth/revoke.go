package oauth

import (
	"context"
	"net/http"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/events"
	"uaol/providers/postgres"
	"uaol/services"
)

// Revoke ends a token (RFC 7009): with a refresh token, its whole grant. A token that is
// not known has ended, which is what was asked for.
func (s *Service) Revoke(ctx context.Context, body string, header http.Header) error {
	form, err := readForm(body)
	if err != nil {
		return err
	}
	client, err := s.authenticate(ctx, form, header)
	if err != nil {
		return err
	}
	if form.Get("token") == "" {
		return refuse(codeInvalidRequest, "token is missing")
	}
	var happened events.Event
	err = postgres.InTx(ctx, s.repository.pool, func(tx pgx.Tx) error {
		owned, err := s.repository.ownerOf(ctx, tx, hash(form.Get("token")))
		if err != nil {
			return err
		}
		if owned.Client != client.ID {
			return refuse(codeInvalidRequest, "The token was given to another client")
		}
		services.NoteCaller(ctx, services.Caller{Account: owned.Account, Role: services.RoleUser})
		services.Note(ctx, "grant", owned.Grant.String())
		happened = s.host.AccessChanged(owned.Account, uuid.Nil)
		if err := s.repository.revoke(ctx, tx, owned, hash(form.Get("token"))); err != nil {
			return err
		}
		return s.repository.outbox.Append(ctx, tx, happened)
	})
	if services.Is(err, services.NotFound) {
		return nil
	}
	if err == nil {
		s.bus.Publish(happened)
	}
	return err
}

// owned is a token with whom it belongs to.
type owned struct {
	Grant   uuid.UUID `db:"grant_id"`
	Kind    string    `db:"kind"`
	Account uuid.UUID `db:"account_id"`
	Client  string    `db:"client_id"`
}

func (r *Repository) ownerOf(ctx context.Context, tx pgx.Tx, token []byte) (owned, error) {
	return postgres.One[owned](ctx, tx, `
		SELECT t.grant_id, t.kind, s.account_id, g.client_id FROM uaol_auth.oauth_tokens t
		JOIN uaol_auth.oauth_grants g ON g.grant_id = t.grant_id
		JOIN uaol_auth.sessions s ON s.session_id = g.grant_id
		WHERE t.hash = $1`, token)
}

func (r *Repository) revoke(ctx context.Context, tx pgx.Tx, of owned, token []byte) error {
	if of.Kind == "refresh" {
		_, err := postgres.Exec(ctx, tx, `DELETE FROM uaol_auth.sessions WHERE session_id = $1`, of.Grant)
		return err
	}
	_, err := postgres.Exec(ctx, tx, `DELETE FROM uaol_auth.oauth_tokens WHERE hash = $1`, token)
	return err
}
