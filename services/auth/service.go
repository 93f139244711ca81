package auth

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"uaol/providers/events"
	"uaol/providers/postgres"
	"uaol/providers/secrets"
	"uaol/services"
	"uaol/services/auth/oidc"
	"uaol/services/billing"
)

// Service is auth where it runs; it is a Verifier.
type Service struct {
	repository   *Repository
	meter        billing.Meter
	bus          *events.Bus
	signer       signer
	hashing      chan struct{} // bounds the memory that password hashes take
	used         *usage
	registration Registration
	guests       bool
	issuers      *oidc.Issuers // whose access tokens count at protected resources; nil for none
	signups      int           // new accounts and guests in an hour from one address; 0: any number
}

// NewService makes a Service; in development it makes the JWT secret if it is missing.
func NewService(cfg Config, repository *Repository, meter billing.Meter, bus *events.Bus, log *zap.Logger) (*Service, error) {
	if cfg.JWTSecret == "" {
		var err error
		if cfg.JWTSecret, err = secrets.Kept(cfg.DataDir, "jwt"); err != nil {
			return nil, err
		}
		log.Info("JWT_SECRET not set, using the one made in the data directory")
	}
	return &Service{
		repository: repository, meter: meter, bus: bus,
		signer:  newSigner(cfg.JWTSecret, cfg.JWTPrevious, time.Duration(cfg.Lifetime)),
		hashing: make(chan struct{}, 4), used: newUsage(),
		registration: cfg.Registration, guests: cfg.Guests == "on", signups: cfg.Signups,
	}, nil
}

// Accept lets access tokens of other issuers count where they were given for.
func (s *Service) Accept(issuers *oidc.Issuers) { s.issuers = issuers }

// Registered is a new user, with the only copy of its key.
type Registered struct {
	Account Account
	Token   string
	Key     string
	Balance billing.Balance
}

// RegisterRequest is what somebody registers with.
type RegisterRequest struct {
	Email      string
	Password   string
	GuestID    string // the guest that becomes this user; "" for nobody
	Invitation string // the secret of an invitation; "" without one
}

// Register makes a user, out of a guest if one is named.
func (s *Service) Register(ctx context.Context, in RegisterRequest) (Registered, error) {
	email, err := normalEmail(in.Email)
	if err != nil {
		return Registered{}, err
	}
	if err := s.mayRegister(ctx, email, in.Invitation); err != nil {
		return Registered{}, err
	}
	hash, err := s.hash(ctx, "body.password", in.Password)
	if err != nil {
		return Registered{}, err
	}
	key := newKey()
	id := newID()
	session := s.session(ctx, id, "register", nil)
	account, happened, err := s.repository.register(ctx, registration{
		ID: id, Email: email, PasswordHash: hash, GuestID: in.GuestID, Key: key, Invitation: invitationHash(in.Invitation), Session: &session,
	})
	if postgres.Violates(err, "accounts_email") {
		return Registered{}, services.Errorf(services.Invalid, "User with this email already exists")
	}
	if err != nil {
		return Registered{}, err
	}
	s.bus.Publish(happened)
	services.NoteCaller(ctx, account.Caller())
	token, err := s.signer.sign(session.id, account.ID)
	if err != nil {
		return Registered{}, err
	}
	balance, err := s.meter.Balance(ctx, billing.BalanceRequest{Caller: account.Caller()})
	return Registered{Account: account, Token: token, Key: key, Balance: balance}, err
}

// mayRegister judges whether somebody may make an account, and counts it.
func (s *Service) mayRegister(ctx context.Context, email, invitation string) error {
	if s.registration == Closed {
		return services.Errorf(services.Forbidden, "Registration is closed")
	}
	if invitation != "" {
		invited, err := s.repository.invited(ctx, email, invitationHash(invitation))
		if err == nil && !invited {
			err = services.Faults(services.Fault{Path: "body.invitation", Message: "is not valid for this e-mail address, or no longer"})
		}
		if err != nil {
			return err
		}
	} else if s.registration == ByInvitation {
		return services.Errorf(services.Forbidden, "Registration needs an invitation")
	}
	return s.countAccount(ctx)
}

// countAccount counts a new account of the request's address: invited ones too,
// because anybody may make an organisation and invite.
func (s *Service) countAccount(ctx context.Context) error {
	ok, err := s.repository.take(ctx, s.newAccounts(services.OriginFrom(ctx).Address))
	if err == nil && !ok {
		err = errTooManyAccounts
	}
	return err
}

// Login gives a token for an API key, or for an e-mail with its password.
func (s *Service) Login(ctx context.Context, key, email, password string) (string, error) {
	switch {
	case key != "":
		found, err := s.repository.byKey(ctx, keyHash(key), nil)
		if _, err = found.verified(err, nil, "Invalid API key"); err != nil {
			return "", err
		}
		return s.signIn(ctx, found.Account, "key", found.KeyID)
	case email != "":
		account, err := s.byPassword(ctx, email, password)
		if err != nil {
			return "", err
		}
		return s.signIn(ctx, account, "password", nil)
	}
	return "", services.Errorf(services.Unauthenticated, "Email or API key required")
}

// Me is the caller's balance. Who the caller is has just been proved.
func (s *Service) Me(ctx context.Context, caller services.Caller) (billing.Balance, error) {
	return s.meter.Balance(ctx, billing.BalanceRequest{Caller: caller})
}

// Profile is the caller's account with its balance.
func (s *Service) Profile(ctx context.Context, caller services.Caller) (Account, billing.Balance, error) {
	account, err := s.repository.byID(ctx, caller.Account)
	if err != nil {
		return account, billing.Balance{}, err
	}
	balance, err := s.meter.Balance(ctx, billing.BalanceRequest{Caller: caller})
	return account, balance, err
}

var (
	errTaken   = services.Errorf(services.Conflict, "the key belongs to another account")
	errRevoked = services.Errorf(services.Conflict, "the key was revoked; choose another one")
)

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
	for { // another replica may be faster; then there is an account to find
		err := ensureAdmin(ctx, r, email, key)
		if !postgres.Violates(err, "accounts_email") {
			return key, err
		}
	}
}

// ensureAdmin does all of it or nothing: an account that was refused its key
// must not stay behind as an admin without one. Whoever registered the address
// first, and never proved that it is theirs, does not become an admin with it:
// what they could come back with goes.
func ensureAdmin(ctx context.Context, r *Repository, email, key string) error {
	return postgres.InTx(ctx, r.pool, func(tx pgx.Tx) error {
		account, err := r.lockByEmail(ctx, tx, email)
		if services.Is(err, services.NotFound) {
			// The operator vouches for the address: who signs in with it later takes nothing away.
			account, _, err = r.registerIn(ctx, tx, registration{ID: newID(), Email: email, Verified: true, Key: key, Admin: true})
			if postgres.Violates(err, "api_keys_hash") {
				return errTaken
			}
			if err != nil {
				return err
			}
			return r.recordCommand(ctx, tx, "admin.create", account)
		}
		if err != nil {
			return err
		}
		if !account.Admin {
			if account.EmailVerified == nil {
				if _, err := r.reclaim(ctx, tx, account, "operator"); err != nil {
					return err
				}
			}
			if _, err := r.setAdmin(ctx, tx, account, true); err != nil {
				return err
			}
			if err := r.recordCommand(ctx, tx, "admin.create", account); err != nil {
				return err
			}
		}
		return r.ensureKey(ctx, tx, account, key)
	})
}
