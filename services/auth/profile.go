package auth

import (
	"context"
	"strings"
	"unicode"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/events"
	"uaol/providers/postgres"
	"uaol/services"
)

// Profiles is what users do about their own accounts.
type Profiles struct {
	service    *Service
	repository *Repository
	bus        *events.Bus
	post       *Post
}

// NewProfiles makes a Profiles; from then on new users are asked to confirm
// their addresses, if mail is configured.
func NewProfiles(service *Service, repository *Repository, bus *events.Bus, post *Post) *Profiles {
	p := &Profiles{service: service, repository: repository, bus: bus, post: post}
	bus.Subscribe(func(e events.Event) {
		if e.Type == "user.registered" && post.Configured() {
			post.later("confirm address", func(ctx context.Context) error { return p.welcome(ctx, e.Subject) })
		}
	})
	return p
}

// user is the caller's account, if it is a person's.
func (p *Profiles) user(ctx context.Context, caller services.Caller) (Account, error) {
	account, err := p.repository.byID(ctx, caller.Account)
	if services.Is(err, services.NotFound) { // it was deleted a moment ago
		return account, services.Errorf(services.Unauthenticated, "Invalid token")
	}
	if err == nil && account.Kind != User {
		err = services.Errorf(services.Forbidden, "A service account has neither e-mail nor password; the admins of its organisation see to it")
	}
	return account, err
}

// errScopes: whoever can change how one signs in, or reads everything, is not
// held by scopes any more.
var errScopes = services.Errorf(services.Forbidden, "An API key with scopes may not do this; use one without, or sign in")

var errSignInAgain = services.Errorf(services.Forbidden, "Sign in again first: this needs a sign-in of the last 10 minutes, or an API key").WithCode("SIGN_IN_AGAIN")

// prove makes sure that the account's holder asks, and not who found a browser
// signed in: by the password if there is one; else by a sign-in of the last
// minutes, or by an API key without scopes, whose holder could make further
// keys anyway. Wrong passwords count like failed sign-ins. path says where the
// password stood.
func (p *Profiles) prove(ctx context.Context, caller services.Caller, account Account, path, password string) error {
	if caller.Scopes != "" {
		return errScopes
	}
	if account.PasswordHash == nil {
		fresh := caller.Session == uuid.Nil && caller.Key != uuid.Nil
		var err error
		if fresh {
			fresh, err = p.repository.counts(ctx, p.repository.pool, caller)
		} else {
			fresh, err = p.repository.freshSession(ctx, p.repository.pool, caller.Account, caller.Session)
		}
		if err == nil && !fresh {
			err = errSignInAgain
		}
		return err
	}
	if password == "" {
		return services.Faults(services.Fault{Path: path, Message: "is needed for this"})
	}
	tries := signIns(*account.Email, services.OriginFrom(ctx).Address)
	ok, err := p.repository.take(ctx, tries...)
	if err == nil && !ok {
		err = errTooManyTries
	}
	if err != nil {
		return err
	}
	same, err := p.service.matches(ctx, account, password)
	if err != nil {
		return err
	}
	if !same {
		return services.Faults(services.Fault{Path: path, Message: "is wrong"})
	}
	return p.repository.giveBack(ctx, tries...)
}

// ProfileChange is what somebody changes about themselves; nil stays.
type ProfileChange struct {
	Email    *string
	Name     *string // "" for none
	Password string  // the current one; another e-mail needs it
}

// Update changes the caller's profile. pending says that the new e-mail address
// has to be confirmed first.
func (p *Profiles) Update(ctx context.Context, caller services.Caller, in ProfileChange) (pending bool, err error) {
	if _, err := p.user(ctx, caller); err != nil {
		return false, err
	}
	if in.Name != nil && strings.ContainsFunc(strings.TrimSpace(*in.Name), unicode.IsControl) {
		return false, services.Faults(services.Fault{Path: "body.name", Message: "must be one line"})
	}
	if in.Email != nil {
		if pending, err = p.ChangeEmail(ctx, caller, *in.Email, in.Password); err != nil {
			return false, err
		}
	}
	if in.Name != nil {
		err = p.repository.rename(ctx, caller.Account, strings.TrimSpace(*in.Name))
	}
	return pending, err
}

// SetPassword changes the caller's password, or sets the first one. All other
// sign-ins end, and so do links to reset it; API keys stay.
func (p *Profiles) SetPassword(ctx context.Context, caller services.Caller, current, password string) error {
	account, err := p.user(ctx, caller)
	if err != nil {
		return err
	}
	if err := p.prove(ctx, caller, account, "body.currentPassword", current); err != nil {
		return err
	}
	hash, err := p.service.hash(ctx, "body.newPassword", password)
	if err != nil {
		return err
	}
	if err := p.repository.setPassword(ctx, account, hash, caller.Session); err != nil {
		return err
	}
	p.bus.Publish(accessChanged(account.ID, account.Organization))
	if p.post.Configured() {
		_ = p.post.send("password notice", p.post.passwordNotice(*account.Email)) // it has changed all the same
	}
	return nil
}

func (r *Repository) rename(ctx context.Context, account uuid.UUID, name string) error {
	_, err := postgres.Exec(ctx, r.pool, `
		UPDATE uaol_auth.accounts SET name = nullif($2, ''), updated_at = now() WHERE account_id = $1 AND kind = 'user'`, account, name)
	return err
}

// freshSession reports whether a sign-in was made in the last minutes.
func (r *Repository) freshSession(ctx context.Context, q postgres.Querier, account, session uuid.UUID) (bool, error) {
	return postgres.Value[bool](ctx, q, `
		SELECT EXISTS (SELECT 1 FROM uaol_auth.sessions
			WHERE session_id = $1 AND account_id = $2 AND created_at > now() - interval '10 minutes')`, session, account)
}

// setPassword replaces the password that was proved; kind Conflict when another
// request has replaced it since.
func (r *Repository) setPassword(ctx context.Context, account Account, hash *string, except uuid.UUID) error {
	return postgres.InTx(ctx, r.pool, func(tx pgx.Tx) error {
		n, err := postgres.Exec(ctx, tx, `
			UPDATE uaol_auth.accounts SET password_hash = $2, updated_at = now()
			WHERE account_id = $1 AND password_hash IS NOT DISTINCT FROM $3`, account.ID, hash, account.PasswordHash)
		if err == nil && n == 0 {
			err = services.Errorf(services.Conflict, "The password was changed at the same time")
		}
		if err != nil {
			return err
		}
		return r.passwordChanged(ctx, tx, account.ID, except)
	})
}

// passwordChanged ends what an old password, or a link to replace it, could
// have opened.
func (r *Repository) passwordChanged(ctx context.Context, tx pgx.Tx, account, except uuid.UUID) error {
	if _, err := postgres.Exec(ctx, tx, `DELETE FROM uaol_auth.links WHERE account_id = $1 AND purpose = 'reset'`, account); err != nil {
		return err
	}
	return r.endSessions(ctx, tx, account, except)
}
