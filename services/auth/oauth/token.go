package oauth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/events"
	"uaol/providers/postgres"
	"uaol/services"
)

// Tokens is what a program gets: RFC 6749, section 5.1.
type Tokens struct {
	Access  string `json:"access_token"`
	Type    string `json:"token_type"`
	Seconds int64  `json:"expires_in"`
	Refresh string `json:"refresh_token,omitempty"`
	Scope   string `json:"scope"`
}

// Token gives tokens for a code or a refresh token. What is wrong is a Refusal, but
// what is wrong with us.
func (s *Service) Token(ctx context.Context, body string, header http.Header) (Tokens, error) {
	form, err := readForm(body)
	if err != nil {
		return Tokens{}, err
	}
	client, err := s.authenticate(ctx, form, header)
	if err != nil {
		return Tokens{}, err
	}
	switch form.Get("grant_type") {
	case grantCode:
		return s.change(ctx, func(tx pgx.Tx) (grant, Tokens, error) { return s.redeem(ctx, tx, client, form) })
	case grantRefresh:
		return s.change(ctx, func(tx pgx.Tx) (grant, Tokens, error) { return s.refresh(ctx, tx, client, form) })
	case "":
		return Tokens{}, refuse(codeInvalidRequest, "grant_type is missing")
	}
	return Tokens{}, refuse(codeUnsupportedType, "grant_type must be authorization_code or refresh_token")
}

// readForm reads a form's body, in which each parameter may be once.
func readForm(body string) (url.Values, error) {
	form, err := url.ParseQuery(body)
	if err != nil {
		return nil, refuse(codeInvalidRequest, "The form can't be read")
	}
	for _, values := range form {
		if len(values) > 1 {
			return nil, refuse(codeInvalidRequest, "A parameter is there twice")
		}
	}
	return form, nil
}

// errReused says that something was shown again that counts once: somebody else may
// have it, so that the grant ends. The transaction that found out is kept.
var errReused = errors.New("used again")

// change runs f, which gives tokens for a grant, in a transaction. A grant of which
// something was used twice ends in it, and every process hears of that.
func (s *Service) change(ctx context.Context, f func(tx pgx.Tx) (grant, Tokens, error)) (tokens Tokens, err error) {
	var happened []events.Event
	var refusal *Refusal
	err = postgres.InTx(ctx, s.repository.pool, func(tx pgx.Tx) error {
		happened, refusal = nil, nil
		var of grant
		var err error
		of, tokens, err = f(tx)
		if !errors.Is(err, errReused) {
			return err
		}
		refusal = refuse(codeInvalidGrant, "This was used before. Somebody else may have it, so all that came of it has ended; ask again")
		happened = []events.Event{s.host.AccessChanged(of.Account, uuid.Nil)}
		return s.repository.endReused(ctx, tx, of, happened)
	})
	if err == nil && refusal != nil {
		s.bus.Publish(happened...)
		return Tokens{}, refusal
	}
	return tokens, err
}

var errCode = refuse(codeInvalidGrant, "The code is not known, or has expired; ask again")

// redeem gives the first tokens of a grant for its code.
func (s *Service) redeem(ctx context.Context, tx pgx.Tx, client Client, form url.Values) (grant, Tokens, error) {
	of, err := s.repository.grantByCode(ctx, tx, hash(form.Get("code")))
	if services.Is(err, services.NotFound) {
		return of, Tokens{}, errCode
	}
	if err != nil {
		return of, Tokens{}, err
	}
	verifier := form.Get("code_verifier")
	resource, ours := resourceOf(s.Base(ctx), form.Get("resource"))
	switch {
	case of.Client != client.ID:
		return of, Tokens{}, errCode
	case of.CodeUsed:
		return of, Tokens{}, errReused
	case of.CodeOver:
		return of, Tokens{}, errCode
	case form.Has("redirect_uri") && form.Get("redirect_uri") != of.Redirect:
		return of, Tokens{}, refuse(codeInvalidGrant, "redirect_uri is not the one that the code was sent to")
	case !proves(verifier, of.Challenge):
		return of, Tokens{}, refuse(codeInvalidGrant, "code_verifier is missing, or not the one that the code was asked for with")
	case form.Has("resource") && (!ours || resource != of.Resource):
		return of, Tokens{}, errTarget
	}
	if err := s.repository.useCode(ctx, tx, of); err != nil {
		return of, Tokens{}, err
	}
	tokens, err := s.give(ctx, tx, of, nil)
	return of, tokens, err
}

var errTarget = refuse(codeInvalidTarget, "resource is not the one that was asked for")

// proves checks PKCE, S256 (RFC 7636, section 4.6).
func proves(verifier, challenge string) bool {
	if len(verifier) < 43 || len(verifier) > 128 {
		return false
	}
	sum := sha256.Sum256([]byte(verifier))
	return subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(challenge)) == 1
}

// give makes tokens for a grant, which goes on for as long as they let it.
func (s *Service) give(ctx context.Context, tx pgx.Tx, of grant, parent []byte) (Tokens, error) {
	made := Tokens{Access: secret(accessPrefix), Type: "Bearer", Seconds: int64(s.cfg.Access / time.Second), Scope: of.Scopes}
	life := s.cfg.Access
	if of.Refreshes {
		made.Refresh, life = secret(refreshPrefix), s.cfg.Refresh
		if err := s.repository.addToken(ctx, tx, of.ID, "refresh", hash(made.Refresh), parent, s.cfg.Refresh); err != nil {
			return made, err
		}
	}
	if err := s.repository.addToken(ctx, tx, of.ID, "access", hash(made.Access), parent, s.cfg.Access); err != nil {
		return made, err
	}
	return made, s.repository.prolong(ctx, tx, of.ID, life)
}

// grant is what is stored of one, as far as tokens need it.
type grant struct {
	ID           uuid.UUID `db:"grant_id"`
	Account      uuid.UUID `db:"account_id"`
	Organization uuid.UUID `db:"organization_id"`
	Client       string    `db:"client_id"`
	Refreshes    bool      `db:"refreshes"`
	Resource     string    `db:"resource"`
	Scopes       string    `db:"scopes"`
	CodeUsed     bool      `db:"code_used"`
	CodeOver     bool      `db:"code_over"`
	Redirect     string    `db:"redirect_uri"`
	Challenge    string    `db:"challenge"`
}

const grantColumns = `g.grant_id, s.account_id, g.organization_id, g.client_id, g.refreshes, g.resource, g.scopes,
	g.code_used_at IS NOT NULL AS code_used, g.code_expires_at <= now() AS code_over, g.redirect_uri, g.challenge`

// lockGrant holds a grant's session, which is what ends it, and reads it after that:
// of two who use the same thing the second sees what the first did.
func (r *Repository) lockGrant(ctx context.Context, tx pgx.Tx, id uuid.UUID) (grant, error) {
	if _, err := postgres.Value[uuid.UUID](ctx, tx, `
		SELECT session_id FROM uaol_auth.sessions WHERE session_id = $1 FOR UPDATE`, id); err != nil {
		return grant{}, err
	}
	return postgres.One[grant](ctx, tx, `
		SELECT `+grantColumns+` FROM uaol_auth.oauth_grants g JOIN uaol_auth.sessions s ON s.session_id = g.grant_id
		WHERE g.grant_id = $1 AND s.expires_at > now()`, id)
}

func (r *Repository) grantByCode(ctx context.Context, tx pgx.Tx, code []byte) (grant, error) {
	id, err := postgres.Value[uuid.UUID](ctx, tx, `SELECT grant_id FROM uaol_auth.oauth_grants WHERE code_hash = $1`, code)
	if err != nil {
		return grant{}, err
	}
	return r.lockGrant(ctx, tx, id)
}

func (r *Repository) useCode(ctx context.Context, tx pgx.Tx, of grant) error {
	_, err := postgres.Exec(ctx, tx, `UPDATE uaol_auth.oauth_grants SET code_used_at = now() WHERE grant_id = $1`, of.ID)
	return err
}

func (r *Repository) addToken(ctx context.Context, tx pgx.Tx, of uuid.UUID, kind string, hash, parent []byte, life time.Duration) error {
	_, err := postgres.Exec(ctx, tx, `
		INSERT INTO uaol_auth.oauth_tokens (hash, grant_id, kind, parent, expires_at)
		VALUES ($1, $2, $3, $4, now() + $5 * interval '1 second')`, hash, of, kind, parent, int64(life/time.Second))
	return err
}

// prolong lets a grant's session go on for so long from now.
func (r *Repository) prolong(ctx context.Context, tx pgx.Tx, id uuid.UUID, life time.Duration) error {
	_, err := postgres.Exec(ctx, tx, `
		UPDATE uaol_auth.sessions SET expires_at = now() + $2 * interval '1 second', last_used_at = now() WHERE session_id = $1`,
		id, int64(life/time.Second))
	return err
}

// endReused ends a grant of which something was used twice, and says so in the audit
// log: nobody asked for it.
func (r *Repository) endReused(ctx context.Context, tx pgx.Tx, of grant, happened []events.Event) error {
	if _, err := postgres.Exec(ctx, tx, `DELETE FROM uaol_auth.sessions WHERE session_id = $1`, of.ID); err != nil {
		return err
	}
	origin := services.OriginFrom(ctx)
	if _, err := postgres.Exec(ctx, tx, `
		INSERT INTO uaol_auth.audit (act_id, created_at, action, account_id, organization_id, key_id, address, user_agent, request_id, outcome, details)
		VALUES ($1, now(), 'grant.reuse', $2, $3, $4, $5, $6, $7, 'done', jsonb_build_object('grant', $8::text, 'client', $9::text))`,
		newID(), of.Account, of.Organization, uuid.Nil, origin.Address, origin.UserAgent, services.RequestID(ctx), of.ID.String(), of.Client); err != nil {
		return err
	}
	return r.outbox.Append(ctx, tx, happened...)
}
