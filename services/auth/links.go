package auth

import (
	"context"
	"crypto/rand"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/postgres"
	"uaol/services"
)

// purpose is what a link is good for. All but signInLink are sent by e-mail.
type purpose string

const (
	verifyEmail   purpose = "verify" // proves the account's address
	changeEmail   purpose = "email"  // makes the address that it came to the account's
	resetPassword purpose = "reset"
	signInLink    purpose = "sign-in" // see SignInLink
)

// lives are how long links count.
var lives = map[purpose]time.Duration{verifyEmail: 24 * time.Hour, changeEmail: 24 * time.Hour, resetPassword: time.Hour, signInLink: 10 * time.Minute}

// errLink is the same for links that never were, were used or are too old.
var errLink = services.Faults(services.Fault{Path: "body.token", Message: "is not valid, or no longer"})

// newSecret makes a link's secret: 170 random bits.
func newSecret() string { return "lnk_" + rand.Text() + strings.ToLower(rand.Text()[:8]) }

// letters are the quotas of mail that one asks for: nobody's mailbox is to be
// filled by us. They count whether or not anything is sent.
func letters(to, address string) []quota {
	return []quota{
		newQuota("letter", to, 5, time.Hour),
		newQuota("letters", network(address), 30, time.Hour),
	}
}

var errTooManyLetters = services.Errorf(services.Limited, "Too much mail was asked for; try again in an hour")

// addLink stores a link's hash. A new address that is to be confirmed takes the
// place of one that was asked for before.
func (r *Repository) addLink(ctx context.Context, account uuid.UUID, what purpose, email, secret string) error {
	return postgres.InTx(ctx, r.pool, func(tx pgx.Tx) error {
		if what == changeEmail {
			if _, err := postgres.Exec(ctx, tx, `DELETE FROM uaol_auth.links WHERE account_id = $1 AND purpose = 'email'`, account); err != nil {
				return err
			}
		}
		_, err := postgres.Exec(ctx, tx, `
			INSERT INTO uaol_auth.links (hash, account_id, purpose, email, expires_at)
			VALUES ($1, $2, $3, $4, now() + $5 * interval '1 second')`, keyHash(secret), account, string(what), email, int64(lives[what]/time.Second))
		return err
	})
}

// link is a link that was used, with its account as it was before.
type link struct {
	Account
	sent
}

type sent struct {
	Purpose purpose    `db:"purpose"`
	Address string     `db:"email"`      // that it was sent to; "" for none
	Key     *uuid.UUID `db:"key_id"`     // that it was made with
	Session *uuid.UUID `db:"session_id"` // that it was made in
}

const linkCounts = `l.hash = $1 AND l.purpose = ANY ($2::text[]) AND l.expires_at > now()
	AND (l.key_id IS NULL OR EXISTS (SELECT 1 FROM uaol_auth.api_keys k WHERE k.key_id = l.key_id AND ` + keyCounts + `))
	AND (l.session_id IS NULL OR EXISTS (SELECT 1 FROM uaol_auth.sessions s WHERE s.session_id = l.session_id AND s.expires_at > now()))`

// linkGood reports whether a link may still be used for one of the purposes.
func (r *Repository) linkGood(ctx context.Context, secret string, purposes ...purpose) (bool, error) {
	return postgres.Value[bool](ctx, r.pool, `SELECT EXISTS (SELECT 1 FROM uaol_auth.links l WHERE `+linkCounts+`)`, keyHash(secret), texts(purposes))
}

// useLink uses a link up; errLink when it does not count. Everybody who changes
// an account and its links locks the account first.
func (r *Repository) useLink(ctx context.Context, tx pgx.Tx, secret string, purposes ...purpose) (used link, err error) {
	used.Account, err = postgres.One[Account](ctx, tx, `
		SELECT `+accountColumns+` FROM uaol_auth.accounts a
		WHERE a.account_id = (SELECT l.account_id FROM uaol_auth.links l WHERE `+linkCounts+`) FOR UPDATE`, keyHash(secret), texts(purposes))
	if err == nil {
		used.sent, err = postgres.One[sent](ctx, tx, `
			DELETE FROM uaol_auth.links l WHERE `+linkCounts+` RETURNING l.purpose, l.email, l.key_id, l.session_id`, keyHash(secret), texts(purposes))
	}
	if services.Is(err, services.NotFound) { // none, or another request was faster
		err = errLink
	}
	return used, err
}

func texts(purposes []purpose) []string {
	all := make([]string, len(purposes))
	for i, p := range purposes {
		all[i] = string(p)
	}
	return all
}
