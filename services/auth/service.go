package auth

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/alexedwards/argon2id"
	"go.uber.org/zap"

	"uaol/providers/events"
	"uaol/providers/postgres"
	"uaol/providers/secrets"
	"uaol/services"
	"uaol/services/billing"
)

// guestLifetime is how long a guest's session lasts.
const guestLifetime = 24 * time.Hour

// Service is auth where it runs; it is a Verifier.
type Service struct {
	repository *Repository
	meter      billing.Meter
	bus        *events.Bus
	signer     signer
	hashing    chan struct{} // bounds the memory that password hashes take
}

// NewService makes a Service; in development it makes the secrets that are missing.
func NewService(cfg Config, repository *Repository, meter billing.Meter, bus *events.Bus, log *zap.Logger) (*Service, error) {
	if cfg.JWTSecret == "" {
		var err error
		if cfg.JWTSecret, err = secrets.Kept(cfg.DataDir, "jwt"); err != nil {
			return nil, err
		}
		log.Info("JWT_SECRET not set, using the one made in the data directory")
	}
	if cfg.EncryptionSecret == "" {
		if _, err := secrets.Kept(cfg.DataDir, "encryption"); err != nil {
			return nil, err
		}
	}
	return &Service{
		repository: repository, meter: meter, bus: bus,
		signer:  signer{key: []byte(cfg.JWTSecret), lifetime: time.Duration(cfg.Lifetime)},
		hashing: make(chan struct{}, 4),
	}, nil
}

// Verify implements Verifier.
func (s *Service) Verify(ctx context.Context, in VerifyRequest) (Verified, error) {
	switch {
	case in.Bearer != "":
		return s.verifyBearer(ctx, in.Bearer)
	case in.APIKey != "":
		return s.verifyKey(ctx, in.APIKey, "Invalid API key")
	case in.Guest:
		return s.welcome(ctx, in.GuestID)
	}
	return Verified{}, nil
}

func (s *Service) verifyBearer(ctx context.Context, text string) (Verified, error) {
	if !looksLikeJWT(text) {
		return s.verifyKey(ctx, text, "Invalid token")
	}
	t, err := s.signer.read(text)
	if err != nil {
		return Verified{}, services.Errorf(services.Unauthenticated, "Invalid token").Because(err)
	}
	return verified(s.repository.byToken(ctx, t.Account, t.ID))("Invalid token")
}

func (s *Service) verifyKey(ctx context.Context, key, refusal string) (Verified, error) {
	return verified(s.repository.byKey(ctx, keyHash(key)))(refusal)
}

// verified turns a look-up into an answer: not found is a refusal, any other
// error stays what it is (a database that is down is not a bad token).
func verified(account Account, err error) func(refusal string) (Verified, error) {
	return func(refusal string) (Verified, error) {
		if services.Is(err, services.NotFound) {
			return Verified{}, services.Errorf(services.Unauthenticated, "%s", refusal)
		}
		if err != nil {
			return Verified{}, err
		}
		return Verified{Caller: account.Caller()}, nil
	}
}

// welcome finds or makes a guest. A session that is over begins anew under
// another name, which the client is told.
func (s *Service) welcome(ctx context.Context, guestID string) (Verified, error) {
	if len(guestID) > 128 {
		return Verified{}, services.Faults(services.Fault{Path: "header.X-Guest-Id", Message: "must have at most 128 characters"})
	}
	if guestID != "" {
		account, over, err := s.repository.guest(ctx, guestID)
		if err == nil && !over {
			return Verified{Caller: account.Caller(), GuestID: guestID}, nil
		}
		if err != nil && !services.Is(err, services.NotFound) {
			return Verified{}, err
		}
		if over {
			guestID = ""
		}
	}
	if guestID == "" {
		guestID = "guest_" + rand.Text()
	}
	account, err := s.repository.addGuest(ctx, guestID, guestLifetime)
	if services.Is(err, services.Conflict) { // another request of the same guest was faster
		account, _, err = s.repository.guest(ctx, guestID)
	}
	if err != nil {
		return Verified{}, err
	}
	return Verified{Caller: account.Caller(), GuestID: guestID}, nil
}

// Registered is a new user, with the only copy of its key.
type Registered struct {
	Account Account
	Token   string
	Key     string
	Balance billing.Balance
}

// Register makes a user, out of a guest if one is named.
func (s *Service) Register(ctx context.Context, email, password, guestID string) (Registered, error) {
	email, err := normalEmail(email)
	if err != nil {
		return Registered{}, err
	}
	hash, err := s.hash(ctx, password)
	if err != nil {
		return Registered{}, err
	}
	key := newKey()
	account, happened, err := s.repository.register(ctx, registration{
		Email: email, PasswordHash: hash, GuestID: guestID, KeyHash: keyHash(key), KeyPrefix: keyPrefix(key),
	})
	if postgres.Violates(err, "accounts_email") {
		return Registered{}, services.Errorf(services.Invalid, "User with this email already exists")
	}
	if err != nil {
		return Registered{}, err
	}
	s.bus.Publish(happened)
	token, err := s.signer.sign(account.ID)
	if err != nil {
		return Registered{}, err
	}
	balance, err := s.meter.Balance(ctx, billing.BalanceRequest{Caller: account.Caller()})
	return Registered{Account: account, Token: token, Key: key, Balance: balance}, err
}

func (s *Service) hash(ctx context.Context, password string) (*string, error) {
	if password == "" {
		return nil, nil
	}
	if len(password) < 8 || len(password) > 1024 {
		return nil, services.Faults(services.Fault{Path: "body.password", Message: "must have 8 to 1024 characters"})
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

// Login gives a token for an API key, or for an e-mail with its password.
func (s *Service) Login(ctx context.Context, key, email, password string) (string, error) {
	var account Account
	var err error
	switch {
	case key != "":
		if account, err = s.repository.byKey(ctx, keyHash(key)); services.Is(err, services.NotFound) {
			return "", services.Errorf(services.Unauthenticated, "Invalid API key")
		}
	case email != "":
		account, err = s.byPassword(ctx, email, password)
	default:
		return "", services.Errorf(services.Unauthenticated, "Email or API key required")
	}
	if err != nil {
		return "", err
	}
	return s.signer.sign(account.ID)
}

func (s *Service) byPassword(ctx context.Context, email, password string) (Account, error) {
	refused := services.Errorf(services.Unauthenticated, "Invalid email or password")
	email, err := normalEmail(email)
	if err != nil {
		return Account{}, refused
	}
	account, err := s.repository.byEmail(ctx, email)
	if err != nil && !services.Is(err, services.NotFound) {
		return Account{}, err
	}
	hash := noPassword
	if err == nil && account.PasswordHash != nil {
		hash = *account.PasswordHash
	}
	var same bool
	if err := s.hashed(ctx, func() (err error) { same, err = argon2id.ComparePasswordAndHash(password, hash); return err }); err != nil {
		return Account{}, err
	}
	if !same || hash == noPassword {
		return Account{}, refused
	}
	return account, nil
}

// Logout makes a token useless; for an API key there is nothing to do.
func (s *Service) Logout(ctx context.Context, bearer string) error {
	t, err := s.signer.read(bearer)
	if err != nil {
		return nil //nolint:nilerr // the caller was known by an API key
	}
	return s.repository.revoke(ctx, t)
}

// Me is the caller's account with its balance.
func (s *Service) Me(ctx context.Context, caller services.Caller) (Account, billing.Balance, error) {
	account, err := s.repository.byID(ctx, caller.Account)
	if err != nil {
		return account, billing.Balance{}, err
	}
	balance, err := s.meter.Balance(ctx, billing.BalanceRequest{Caller: caller})
	return account, balance, err
}

var errTaken = errors.New("the key belongs to another account")

// EnsureAdmin makes sure that an admin with this e-mail and this key exists;
// without a key a new one is made. It may be repeated.
func (s *Service) EnsureAdmin(ctx context.Context, email, key string) (newKeyText string, err error) {
	return EnsureAdmin(ctx, s.repository, email, key)
}

// EnsureAdmin is the Service's, for commands that run without one.
func EnsureAdmin(ctx context.Context, r *Repository, email, key string) (string, error) {
	email, err := normalEmail(email)
	if err != nil {
		return "", errors.New("that is not an e-mail address")
	}
	if key == "" {
		key = newKey()
	}
	account, err := r.byEmail(ctx, email)
	if services.Is(err, services.NotFound) {
		account, _, err = r.register(ctx, registration{Email: email, KeyHash: keyHash(key), KeyPrefix: keyPrefix(key), Admin: true})
		if services.Is(err, services.Conflict) { // another replica was faster
			account, err = r.byEmail(ctx, email)
		}
	}
	if err != nil {
		return "", err
	}
	if !account.Admin {
		if err := r.makeAdmin(ctx, account.ID); err != nil {
			return "", err
		}
	}
	if err := r.addKey(ctx, r.pool, account, keyHash(key), keyPrefix(key)); err != nil {
		return "", err
	}
	owner, err := r.byKey(ctx, keyHash(key))
	if err == nil && owner.ID != account.ID {
		err = errTaken
	}
	return key, err
}
