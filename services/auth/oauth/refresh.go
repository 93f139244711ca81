package oauth

import (
	"context"
	"net/url"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/postgres"
	"uaol/services"
)

// A refresh token counts once: with its tokens comes the next one. Whoever shows one
// again that was replaced shows that two have it, and the whole grant ends.
//
// But an answer may get lost, and a program that does not know whether its request was
// carried out asks again; or two of its requests ask at once. So within repeatable of
// its first use a token may be used again, as long as nobody has used any that came of
// it. Of those the first that is used counts: the others then are as good as used, and
// whoever shows one ends the grant. A thief who is as quick therefore gains nothing that
// lasts: whichever of the two comes second is noticed.

// repeatable is for how long, in seconds.
const repeatable = 10

// remembered is how long a replaced token is recognised, in seconds; after that it is
// not known, and opens nothing either.
const remembered = 7 * 24 * 3600

var errRefresh = refuse(codeInvalidGrant, "The refresh token is not known, or counts no more; ask again")

// refresh gives new tokens for a refresh token.
func (s *Service) refresh(ctx context.Context, tx pgx.Tx, client Client, form url.Values) (grant, Tokens, error) {
	shown := hash(form.Get("refresh_token"))
	of, token, err := s.repository.grantByRefresh(ctx, tx, shown)
	if services.Is(err, services.NotFound) {
		return of, Tokens{}, errRefresh
	}
	if err != nil {
		return of, Tokens{}, err
	}
	resource, ours := resourceOf(s.Base(ctx), form.Get("resource"))
	scopes, known := scopesOf(form.Get("scope"))
	switch {
	case of.Client != client.ID:
		return of, Tokens{}, errRefresh
	case token.Replaced && !token.Repeatable:
		return of, Tokens{}, errReused
	case form.Has("resource") && (!ours || resource != of.Resource):
		return of, Tokens{}, errTarget
	case !known || scopes != of.Scopes:
		return of, Tokens{}, refuse(codeInvalidScope, "scope is more than was granted")
	}
	if err := s.repository.replace(ctx, tx, shown); err != nil {
		return of, Tokens{}, err
	}
	tokens, err := s.give(ctx, tx, of, shown)
	return of, tokens, err
}

// refreshToken is what is known of one.
type refreshToken struct {
	Replaced   bool `db:"replaced"`   // or another one that came of the same was used
	Repeatable bool `db:"repeatable"` // its answer may have been lost
}

func (r *Repository) grantByRefresh(ctx context.Context, tx pgx.Tx, token []byte) (grant, refreshToken, error) {
	id, err := postgres.Value[uuid.UUID](ctx, tx, `SELECT grant_id FROM uaol_auth.oauth_tokens WHERE hash = $1 AND kind = 'refresh'`, token)
	if err != nil {
		return grant{}, refreshToken{}, err
	}
	of, err := r.lockGrant(ctx, tx, id)
	if err != nil {
		return of, refreshToken{}, err
	}
	found, err := postgres.One[refreshToken](ctx, tx, `
		SELECT t.replaced_at IS NOT NULL OR EXISTS (
				SELECT 1 FROM uaol_auth.oauth_tokens n
				WHERE n.grant_id = t.grant_id AND n.kind = 'refresh' AND n.parent = t.parent AND n.hash <> t.hash AND n.replaced_at IS NOT NULL) AS replaced,
			coalesce(t.replaced_at > now() - $2 * interval '1 second', false) AND NOT EXISTS (
				SELECT 1 FROM uaol_auth.oauth_tokens n
				WHERE n.grant_id = t.grant_id AND n.kind = 'refresh' AND n.parent = t.hash AND n.replaced_at IS NOT NULL) AS repeatable
		FROM uaol_auth.oauth_tokens t WHERE t.hash = $1 AND t.kind = 'refresh' AND t.expires_at > now()`, token, int64(repeatable))
	return of, found, err
}

// replace notes that a token was used, if it was not before.
func (r *Repository) replace(ctx context.Context, tx pgx.Tx, token []byte) error {
	_, err := postgres.Exec(ctx, tx, `
		UPDATE uaol_auth.oauth_tokens SET replaced_at = now(), expires_at = least(expires_at, now() + $2 * interval '1 second')
		WHERE hash = $1 AND replaced_at IS NULL`, token, int64(remembered))
	return err
}
