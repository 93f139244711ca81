package auth

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/postgres"
	"uaol/services"
)

// SignInLink is a link by which whoever has its secret signs in, once.
type SignInLink struct {
	Secret    string
	ExpiresAt services.Time
}

// URL is the page of the console that uses a link up; base is the address that its
// reader knows us by.
func (l SignInLink) URL(base string) string { return base + "/console/enter?link=" + l.Secret }

// Link makes a link that signs in as the caller. What it opens is no more than what it was
// made with: the link and its sign-in have the scopes of the caller's key and end with it,
// and a sign-in by a link that was made in another one ends no later than that. An account
// without a password is safe from whoever finds a browser signed in because an old sign-in
// can't change it (see prove): it makes no link either, which would be a new one. Kinds:
// Unauthenticated for a caller whose key or sign-in has ended, Forbidden for one who has to
// sign in again.
func (s *Service) Link(ctx context.Context, caller services.Caller) (link SignInLink, err error) {
	err = postgres.InTx(ctx, s.repository.pool, func(tx pgx.Tx) error {
		account, err := s.repository.stillCounts(ctx, tx, caller)
		if err != nil {
			return err
		}
		if account.Kind != User {
			return services.Errorf(services.Forbidden, "Links are for people; programs have keys")
		}
		if caller.Session != uuid.Nil && account.PasswordHash == nil {
			fresh, err := s.repository.freshSession(ctx, tx, account.ID, caller.Session)
			if err == nil && !fresh {
				err = errSignInAgain
			}
			if err != nil {
				return err
			}
		}
		link, err = s.repository.addSignInLink(ctx, tx, account, caller)
		return err
	})
	return link, err
}

// LinkFor makes a link that signs in as the account with an e-mail address, for commands
// of the operator's; kind NotFound when there is none.
func LinkFor(ctx context.Context, r *Repository, email string) (link SignInLink, err error) {
	if email, err = normalEmail(email); err != nil {
		return link, errors.New("that is not an e-mail address")
	}
	err = postgres.InTx(ctx, r.pool, func(tx pgx.Tx) error {
		account, err := r.lockByEmail(ctx, tx, email)
		if services.Is(err, services.NotFound) {
			return services.Errorf(services.NotFound, "there is no account with the e-mail address %s", email)
		}
		if err != nil {
			return err
		}
		if link, err = r.addSignInLink(ctx, tx, account, services.Caller{}); err != nil {
			return err
		}
		return r.recordCommand(ctx, tx, "link.create", account)
	})
	return link, err
}

// errSignInLink is the same for links that never were, were used or are too old, and for
// those whose key or sign-in has ended.
var errSignInLink = services.Errorf(services.Unauthenticated, "Invalid link, or no longer valid")

// LoginByLink uses a link up and gives a token. Wrong ones count as their address's other
// failed sign-ins do; kind Limited when there were too many.
func (s *Service) LoginByLink(ctx context.Context, secret string) (token string, err error) {
	origin := services.OriginFrom(ctx)
	tries := signInsFrom(origin.Address)
	ok, err := s.repository.take(ctx, tries)
	if err != nil {
		return "", err
	}
	if !ok {
		return "", errTooManyTries
	}
	in := s.session(ctx, uuid.Nil, "link", nil)
	var used link
	err = postgres.InTx(ctx, s.repository.pool, func(tx pgx.Tx) (err error) {
		if used, err = s.repository.useLink(ctx, tx, secret, signInLink); err != nil {
			return err
		}
		in.account, in.key, in.within = used.ID, used.Key, used.Session
		return s.repository.addSession(ctx, tx, in)
	})
	if errors.Is(err, errLink) {
		return "", errSignInLink
	}
	if err != nil {
		return "", err
	}
	_ = s.repository.giveBack(ctx, tries) // the link is used: one try counted too many goes by itself
	services.NoteCaller(ctx, used.Caller())
	return s.signer.sign(in.id, used.ID)
}

// addSignInLink stores a link of a locked account.
func (r *Repository) addSignInLink(ctx context.Context, tx pgx.Tx, account Account, made services.Caller) (SignInLink, error) {
	link := SignInLink{Secret: newSecret()}
	var err error
	link.ExpiresAt, err = postgres.Value[services.Time](ctx, tx, `
		INSERT INTO uaol_auth.links (hash, account_id, purpose, email, key_id, session_id, expires_at)
		VALUES ($1, $2, $3, '', nullif($4::uuid, $6::uuid), nullif($5::uuid, $6::uuid), now() + $7 * interval '1 second')
		RETURNING expires_at`,
		keyHash(link.Secret), account.ID, string(signInLink), made.Key, made.Session, uuid.Nil, int64(lives[signInLink]/time.Second))
	return link, err
}
