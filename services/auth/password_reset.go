package auth

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/events"
	"uaol/providers/postgres"
	"uaol/services"
)

// ForgotPassword sends a link to choose a new password to the address, if an
// account has it. All of it happens later and beside the request: neither the
// answer nor its time tells who has an account.
func (p *Profiles) ForgotPassword(ctx context.Context, email string) error {
	if !p.post.Configured() {
		return errNoMail
	}
	address := services.OriginFrom(ctx).Address
	p.post.later("reset password", func(ctx context.Context) error {
		email, err := normalEmail(email)
		if err != nil {
			return nil //nolint:nilerr // then nobody has it
		}
		ok, err := p.repository.take(ctx, letters(email, address)...)
		if err != nil || !ok {
			return err
		}
		account, err := p.repository.byEmail(ctx, p.repository.pool, email)
		if services.Is(err, services.NotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		secret := newSecret()
		if err := p.repository.addLink(ctx, account.ID, resetPassword, email, secret); err != nil {
			return err
		}
		return p.post.mailer.Send(ctx, p.post.resetLetter(email, secret))
	})
	return nil
}

// ResetPassword sets a password by a link, which proves the address too. All
// sign-ins and all other such links end. API keys stay, unless the address was
// not proved before: then whoever registered it first loses them.
func (p *Profiles) ResetPassword(ctx context.Context, secret, password string) error {
	good, err := p.repository.linkGood(ctx, secret, resetPassword)
	if err == nil && !good { // guesses must not cost a password's hash
		err = errLink
	}
	if err != nil {
		return err
	}
	hash, err := p.service.hash(ctx, "body.password", password)
	if err != nil {
		return err
	}
	var used link
	var happened []events.Event
	if err := postgres.InTx(ctx, p.repository.pool, func(tx pgx.Tx) (err error) {
		happened = nil
		if used, err = p.repository.useLink(ctx, tx, secret, resetPassword); err != nil {
			return err
		}
		if used.EmailVerified == nil {
			if happened, err = p.repository.reclaim(ctx, tx, used.Account, "link"); err != nil {
				return err
			}
		}
		if err := p.repository.resetPassword(ctx, tx, used, hash); err != nil {
			return err
		}
		return p.repository.passwordChanged(ctx, tx, used.ID, uuid.Nil)
	}); err != nil {
		return err
	}
	services.NoteCaller(ctx, used.Caller())
	p.bus.Publish(append(happened, accessChanged(used.ID, used.Organization))...)
	_ = p.post.send("password notice", p.post.passwordNotice(used.Address)) // it has changed all the same
	// Who forgot a password has most likely tried too often.
	return p.repository.forgive(ctx, signIns(used.Address, services.OriginFrom(ctx).Address)...)
}

func (r *Repository) resetPassword(ctx context.Context, tx pgx.Tx, used link, hash *string) error {
	n, err := postgres.Exec(ctx, tx, `
		UPDATE uaol_auth.accounts SET password_hash = $3, email_verified_at = coalesce(email_verified_at, now()), updated_at = now()
		WHERE account_id = $1 AND email = $2`, used.ID, used.Address, hash)
	if err == nil && n == 0 { // the account has another address by now
		err = errLink
	}
	return err
}

// forgive empties the quotas of somebody who turned out to be who they said;
// but not the last one, which counts a whole network's tries at everybody.
func (r *Repository) forgive(ctx context.Context, quotas ...quota) error {
	for _, q := range quotas[:len(quotas)-1] {
		if _, err := postgres.Exec(ctx, r.pool, `DELETE FROM uaol_auth.attempts WHERE bucket = $1`, q.bucket); err != nil {
			return err
		}
	}
	return nil
}
