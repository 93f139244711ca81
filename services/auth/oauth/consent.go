package oauth

import (
	"context"
	"net/url"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/postgres"
	"uaol/services"
)

// person is who has signed in on the page.
type person struct {
	Account uuid.UUID `db:"account_id"`
	Email   string    `db:"email"`
}

// organization is one that a program may be let in for.
type organization struct {
	ID       uuid.UUID        `db:"organization_id"`
	Name     string           `db:"name"`
	Personal bool             `db:"personal"`
	Role     services.OrgRole `db:"role"`
}

// screen is what a browser is shown: either it asks for a sign-in, or for a decision.
type screen struct {
	client        Client
	request       Request
	query         string
	visit         visit
	person        person // zero: nobody has signed in
	organizations []organization
	problem       string // what went wrong just now
}

// view decides what to show for a request.
func (s *Service) view(ctx context.Context, query string, v visit) (screen, error) {
	client, request, err := s.read(ctx, query)
	if err != nil {
		return screen{}, err
	}
	shown := screen{client: client, request: request, query: query, problem: v.Said}
	v.Said = ""
	if v.Session != uuid.Nil {
		shown.person, err = s.repository.person(ctx, v.Session)
		switch {
		case services.Is(err, services.NotFound): // it has ended
			v.Session = uuid.Nil
		case err != nil:
			return screen{}, err
		default:
			if shown.organizations, err = s.repository.organizations(ctx, shown.person.Account); err != nil {
				return screen{}, err
			}
		}
	}
	shown.visit = v
	return shown, nil
}

// signIn begins a session in a browser that was shown the form. It is short, and ends
// with the decision.
func (s *Service) signIn(ctx context.Context, v visit, text, email, password string) (ticket, visit, error) {
	t, err := s.openTicket(v, text)
	if err != nil {
		return t, v, err
	}
	session, err := s.host.SignIn(ctx, email, password, deciding)
	if err == nil {
		v.Session = session
	}
	return t, v, err
}

// codeLife is how long a code may be redeemed.
const codeLife = time.Minute

// maxGrants bounds how much an account may let in: it is listed whole.
const maxGrants = 200

var (
	errTooManyGrants = services.Errorf(services.Conflict, "An account may let in at most %d programs; end some at /auth/grants", maxGrants)
	errNotMember     = services.Errorf(services.Forbidden, "You are not a member of this organisation")
)

// decide ends a visit: with a code for the program if it is let in. It gives where the
// browser goes.
func (s *Service) decide(ctx context.Context, v visit, t ticket, allowed bool, organization uuid.UUID) (to string, err error) {
	client, request, err := s.read(ctx, t.Query)
	if err != nil {
		return "", err
	}
	services.Note(ctx, "client", client.ID)
	issuer := s.Base(ctx)
	if !allowed {
		services.NoteRefusal(ctx, codeAccessDenied)
		return answer(request.Redirect, request.State, issuer, url.Values{"error": {codeAccessDenied}}), s.leave(ctx, v)
	}
	code := secret(codePrefix)
	grant := newGrant{
		id: newID(), session: v.Session, organization: organization, client: client, request: request, code: hash(code), origin: services.OriginFrom(ctx),
	}
	who, err := s.repository.allow(ctx, grant)
	if err != nil {
		return "", err
	}
	services.NoteCaller(ctx, who)
	services.Note(ctx, "grant", grant.id.String())
	services.Note(ctx, "resource", request.Resource)
	return answer(request.Redirect, request.State, issuer, url.Values{"code": {code}}), nil
}

// leave ends the session of a visit.
func (s *Service) leave(ctx context.Context, v visit) error {
	return s.repository.endVisit(ctx, v.Session)
}

func (r *Repository) person(ctx context.Context, session uuid.UUID) (person, error) {
	return postgres.One[person](ctx, r.pool, `
		SELECT a.account_id, a.email FROM uaol_auth.sessions s JOIN uaol_auth.accounts a ON a.account_id = s.account_id
		WHERE s.session_id = $1 AND s.expires_at > now() AND a.kind = 'user'`, session)
}

// organizations are the personal one, then the shared ones.
func (r *Repository) organizations(ctx context.Context, account uuid.UUID) ([]organization, error) {
	return postgres.All[organization](ctx, r.pool, organizationsOf+` ORDER BY o.personal DESC, lower(o.name), o.organization_id LIMIT 200`, account)
}

// organizationsOf are those that account $1 is in, each with its role there.
const organizationsOf = `
	SELECT o.organization_id, o.name, o.personal, coalesce(m.role, 'owner') AS role FROM uaol_auth.organizations o
	LEFT JOIN uaol_auth.members m ON m.organization_id = o.organization_id AND m.account_id = $1
	WHERE o.organization_id IN (
		SELECT a.organization_id FROM uaol_auth.accounts a WHERE a.account_id = $1
		UNION ALL SELECT x.organization_id FROM uaol_auth.members x WHERE x.account_id = $1)`

// newGrant is a grant about to be stored, with its code.
type newGrant struct {
	id, session, organization uuid.UUID
	client                    Client
	request                   Request
	code                      []byte
	origin                    services.Origin
}

// allow stores a grant and ends the session in which it was given, in one transaction:
// of two decisions in one visit the first counts. The grant's own session ends with the
// code unless that is redeemed. The account is locked first, so that no grant is made
// from a session that a new password is just ending.
func (r *Repository) allow(ctx context.Context, in newGrant) (who services.Caller, err error) {
	err = postgres.InTx(ctx, r.pool, func(tx pgx.Tx) error {
		account, err := postgres.Value[uuid.UUID](ctx, tx, `
			SELECT a.account_id FROM uaol_auth.accounts a WHERE a.account_id = (
				SELECT s.account_id FROM uaol_auth.sessions s WHERE s.session_id = $1) AND a.kind = 'user' FOR UPDATE`, in.session)
		if err == nil {
			err = r.takeVisit(ctx, tx, in.session)
		}
		if services.Is(err, services.NotFound) {
			return errTicket
		}
		if err != nil {
			return err
		}
		let, err := postgres.Value[int64](ctx, tx, `
			SELECT count(*) FROM uaol_auth.sessions WHERE account_id = $1 AND method = 'oauth' AND expires_at > now()`, account)
		if err != nil {
			return err
		}
		if let >= maxGrants {
			return errTooManyGrants
		}
		found, err := postgres.One[organization](ctx, tx, organizationsOf+` AND o.organization_id = $2`, account, in.organization)
		if services.Is(err, services.NotFound) {
			return errNotMember
		}
		if err != nil {
			return err
		}
		who = services.Caller{Account: account, Organization: found.ID, Role: services.RoleUser, OrgRole: found.Role, Personal: found.Personal}
		return r.addGrant(ctx, tx, account, in)
	})
	return who, err
}

// takeVisit ends a session that goes on; kind NotFound when it does not.
func (r *Repository) takeVisit(ctx context.Context, tx pgx.Tx, session uuid.UUID) error {
	_, err := postgres.Value[uuid.UUID](ctx, tx, `
		DELETE FROM uaol_auth.sessions WHERE session_id = $1 AND expires_at > now() RETURNING session_id`, session)
	return err
}

func (r *Repository) endVisit(ctx context.Context, session uuid.UUID) error {
	_, err := postgres.Exec(ctx, r.pool, `DELETE FROM uaol_auth.sessions WHERE session_id = $1`, session)
	return err
}

func (r *Repository) addGrant(ctx context.Context, tx pgx.Tx, account uuid.UUID, in newGrant) error {
	if _, err := postgres.Exec(ctx, tx, `
		INSERT INTO uaol_auth.sessions (session_id, account_id, method, address, user_agent, expires_at)
		VALUES ($1, $2, 'oauth', $3, $4, now() + $5 * interval '1 second')`,
		in.id, account, in.origin.Address, in.origin.UserAgent, int64(codeLife/time.Second)); err != nil {
		return err
	}
	if _, err := postgres.Exec(ctx, tx, `
		INSERT INTO uaol_auth.oauth_grants (grant_id, organization_id, client_id, client_name, refreshes, resource, scopes,
			code_hash, code_expires_at, redirect_uri, challenge)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, now() + $9 * interval '1 second', $10, $11)`,
		in.id, in.organization, in.client.ID, in.client.Name, in.client.Refreshes, in.request.Resource, in.request.Scopes,
		in.code, int64(codeLife/time.Second), in.request.Redirect, in.request.Challenge); err != nil {
		return err
	}
	_, err := postgres.Exec(ctx, tx, `UPDATE uaol_auth.oauth_clients SET used_at = now() WHERE client_id = $1`, in.client.ID)
	return err
}
