package auth

import (
	"context"

	"github.com/alexedwards/argon2id"
	"github.com/google/uuid"

	"uaol/services"
)

// passwordCost follows OWASP's password storage cheat sheet for argon2id:
// 19 MiB, two passes, one lane.
var passwordCost = &argon2id.Params{Memory: 19 * 1024, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}

// noPassword is compared with when an account does not exist, so that the
// answer takes as long.
const noPassword = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

// hash gives nil for no password; path says where the password stood.
func (s *Service) hash(ctx context.Context, path, password string) (*string, error) {
	if password == "" {
		return nil, nil //nolint:nilnil // an account may have none
	}
	if len(password) < 8 || len(password) > 1024 {
		return nil, services.Faults(services.Fault{Path: path, Message: "must have 8 to 1024 characters"})
	}
	var hash string
	err := s.hashed(ctx, func() (err error) { hash, err = argon2id.CreateHash(password, passwordCost); return err })
	return &hash, err
}

// hashed runs f when there is memory for one more password hash.
func (s *Service) hashed(ctx context.Context, f func() error) error {
	select {
	case s.hashing <- struct{}{}:
		defer func() { <-s.hashing }()
		return f()
	case <-ctx.Done():
		return ctx.Err()
	}
}

var (
	errPassword     = services.Errorf(services.Unauthenticated, "Invalid email or password")
	errTooManyTries = services.Errorf(services.Limited, "Too many failed sign-ins; try again in %d minutes", int(signInTime.Minutes()))
)

// byPassword finds the account that an e-mail and a password open. Whether there
// is one shows neither in the answer nor in its time.
func (s *Service) byPassword(ctx context.Context, email, password string) (Account, error) {
	email, err := normalEmail(email)
	if err != nil {
		return Account{}, errPassword
	}
	tries := signIns(email, services.OriginFrom(ctx).Address)
	ok, err := s.repository.take(ctx, tries...)
	if err != nil {
		return Account{}, err
	}
	if !ok {
		return Account{}, errTooManyTries
	}
	account, err := s.repository.byEmail(ctx, s.repository.pool, email)
	if err != nil && !services.Is(err, services.NotFound) {
		return Account{}, err
	}
	same, err := s.matches(ctx, account, password)
	if err != nil {
		return Account{}, err
	}
	if !same {
		if account.ID != uuid.Nil {
			services.Note(ctx, "target", account.ID.String()) // whose it would have been
		}
		return Account{}, errPassword
	}
	return account, s.repository.giveBack(ctx, tries...)
}

// matches compares a password with an account's, which may have none.
func (s *Service) matches(ctx context.Context, account Account, password string) (same bool, err error) {
	hash := noPassword
	if account.PasswordHash != nil {
		hash = *account.PasswordHash
	}
	err = s.hashed(ctx, func() (err error) { same, err = argon2id.ComparePasswordAndHash(password, hash); return err })
	return same && account.PasswordHash != nil, err
}
