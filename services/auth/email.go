package auth

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/events"
	"uaol/providers/postgres"
	"uaol/services"
)

// ChangeEmail gives the caller's account another address. With mail it is
// pending until somebody opens the link that goes there: then the account is
// the first to know that the address is theirs, and whether the address has an
// account already stays between us and its owner. Without mail it changes at
// once and is not verified.
func (p *Profiles) ChangeEmail(ctx context.Context, caller services.Caller, email, password string) (pending bool, err error) {
	email, err = normalEmail(email)
	if err != nil {
		return false, err
	}
	account, err := p.user(ctx, caller)
	if err != nil || email == *account.Email {
		return false, err
	}
	if !p.post.Configured() && account.PasswordHash == nil && caller.Scopes == "" {
		return false, services.Faults(services.Fault{Path: "body.password", Message: "is needed for this; set one first"})
	}
	if err := p.prove(ctx, caller, account, "body.password", password); err != nil {
		return false, err
	}
	if !p.post.Configured() {
		return false, p.takeEmail(ctx, account, email)
	}
	return true, p.askToConfirm(ctx, account, changeEmail, email)
}

// askToConfirm sends a link, and for a new address a word to the old one.
func (p *Profiles) askToConfirm(ctx context.Context, account Account, what purpose, email string) error {
	ok, err := p.repository.take(ctx, letters(email, services.OriginFrom(ctx).Address)...)
	if err == nil && !ok {
		err = errTooManyLetters
	}
	if err != nil {
		return err
	}
	secret := newSecret()
	if err := p.repository.addLink(ctx, account.ID, what, email, secret); err != nil {
		return err
	}
	if what == verifyEmail {
		return p.post.send("confirm address", p.post.verifyLetter(email, secret))
	}
	if err := p.post.send("change notice", p.post.changeNotice(*account.Email)); err != nil {
		return err
	}
	return p.post.send("confirm new address", p.post.changeLetter(email, secret))
}

// welcome asks a new user to confirm the address, unless it is proved already.
func (p *Profiles) welcome(ctx context.Context, subject string) error {
	id, err := uuid.Parse(subject)
	if err != nil {
		return err
	}
	account, err := p.repository.byID(ctx, id)
	if err != nil || account.Kind != User || account.EmailVerified != nil {
		return err
	}
	secret := newSecret()
	if err := p.repository.addLink(ctx, account.ID, verifyEmail, *account.Email, secret); err != nil {
		return err
	}
	return p.post.mailer.Send(ctx, p.post.verifyLetter(*account.Email, secret))
}

// VerifyEmail sends the link again that proves the caller's address; needed is
// false when it was proved already.
func (p *Profiles) VerifyEmail(ctx context.Context, caller services.Caller) (needed bool, err error) {
	if !p.post.Configured() {
		return false, errNoMail
	}
	account, err := p.user(ctx, caller)
	if err != nil || account.EmailVerified != nil {
		return false, err
	}
	return true, p.askToConfirm(ctx, account, verifyEmail, *account.Email)
}

// ConfirmEmail uses a link: the address it came to is the account's, and proved.
func (p *Profiles) ConfirmEmail(ctx context.Context, secret string) error {
	var used link
	err := postgres.InTx(ctx, p.repository.pool, func(tx pgx.Tx) (err error) {
		if used, err = p.repository.useLink(ctx, tx, secret, verifyEmail, changeEmail); err != nil {
			return err
		}
		if used.Purpose == changeEmail {
			return p.repository.setEmail(ctx, tx, used.Account, used.Address, true)
		}
		return p.repository.verified(ctx, tx, used)
	})
	if err = taken(err); err != nil {
		return err
	}
	services.NoteCaller(ctx, used.Caller())
	p.bus.Publish(accessChanged(used.ID, used.Organization))
	return nil
}

// takeEmail changes an address at once.
func (p *Profiles) takeEmail(ctx context.Context, account Account, email string) error {
	err := postgres.InTx(ctx, p.repository.pool, func(tx pgx.Tx) error {
		return p.repository.setEmail(ctx, tx, account, email, false)
	})
	if err = taken(err); err == nil {
		p.bus.Publish(accessChanged(account.ID, account.Organization))
	}
	return err
}

// taken is the contract's answer when an address belongs to another account.
func taken(err error) error {
	if postgres.Violates(err, "accounts_email") {
		return services.Errorf(services.Invalid, "User with this email already exists")
	}
	return err
}

// setEmail gives an account another address, if it still has the one that it
// had; kind Conflict when not. Links that went to the old address die: who has
// that mailbox now may be somebody else.
func (r *Repository) setEmail(ctx context.Context, tx pgx.Tx, account Account, email string, verified bool) error {
	n, err := postgres.Exec(ctx, tx, `
		UPDATE uaol_auth.accounts SET email = $3, email_verified_at = CASE WHEN $4 THEN now() END, updated_at = now()
		WHERE account_id = $1 AND email = $2`, account.ID, *account.Email, email, verified)
	if err == nil && n == 0 {
		err = services.Errorf(services.Conflict, "The e-mail address was changed at the same time")
	}
	if err != nil {
		return err
	}
	if _, err := postgres.Exec(ctx, tx, `
		UPDATE uaol_auth.organizations SET name = $3 WHERE organization_id = $1 AND name = $2`, account.Organization, *account.Email, email); err != nil {
		return err
	}
	if _, err := postgres.Exec(ctx, tx, `DELETE FROM uaol_auth.links WHERE account_id = $1`, account.ID); err != nil {
		return err
	}
	return r.outbox.Append(ctx, tx,
		events.New("user.email_changed", account.ID.String(), account.Organization, map[string]any{"verified": verified}),
		accessChanged(account.ID, account.Organization))
}

// verified notes that a link's address is the account's; errLink when the
// account has another one by now.
func (r *Repository) verified(ctx context.Context, tx pgx.Tx, used link) error {
	n, err := postgres.Exec(ctx, tx, `
		UPDATE uaol_auth.accounts SET email_verified_at = coalesce(email_verified_at, now()), updated_at = now()
		WHERE account_id = $1 AND email = $2`, used.ID, used.Address)
	if err == nil && n == 0 {
		err = errLink
	}
	if err != nil {
		return err
	}
	return r.outbox.Append(ctx, tx, events.New("user.email_verified", used.ID.String(), used.Organization, nil))
}
