package credentials

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"uaol/providers/keyring"
)

// Scope says whose a secret is.
type Scope string

// The scopes, the nearest to a call first.
const (
	ofUser         Scope = "user"
	ofOrganization Scope = "organization"
	ofTool         Scope = "tool"
)

// place is where a secret belongs. A value counts in its own place only.
type place struct {
	Tool   uuid.UUID `db:"tool_id"`
	Scope  Scope     `db:"scope"`
	Holder uuid.UUID `db:"holder_id"`
	Name   string    `db:"name"`
	Origin string    `db:"origin"` // that it was given for
}

// bond ties what is sealed to its row.
func (p place) bond() string {
	return "tool secret:" + p.Tool.String() + ":" + string(p.Scope) + ":" + p.Holder.String() + ":" + p.Name + ":" + p.Origin
}

// errNoValue says that a backend does not have what the index says it has.
var errNoValue = errors.New("the secret's value is not where it was put")

// backend keeps values. The index of what there is stays in the database.
type backend interface {
	// put keeps a value, in place of an earlier one, and gives what the index
	// shall hold of it.
	put(ctx context.Context, at place, value string) (sealed []byte, err error)
	// get gives a value back; errNoValue when there is none.
	get(ctx context.Context, at place, sealed []byte) (string, error)
	// remove forgets a value; it may be repeated.
	remove(ctx context.Context, at place) error
}

// inIndex keeps values, sealed, in the index itself.
type inIndex struct{ ring *keyring.Ring }

func (b inIndex) put(_ context.Context, at place, value string) ([]byte, error) {
	return b.ring.Seal([]byte(value), at.bond()), nil
}

func (b inIndex) get(_ context.Context, at place, sealed []byte) (string, error) {
	if len(sealed) == 0 { // another backend has it, which is not connected
		return "", errNoValue
	}
	value, err := b.ring.Open(sealed, at.bond())
	return string(value), err
}

func (inIndex) remove(context.Context, place) error { return nil }

// Store is the backend that the settings name. Which one really is used is
// known once the process has started.
type Store struct {
	cfg    Config
	log    *zap.Logger
	index  inIndex
	vault  *vault // nil when it is not set up
	beyond atomic.Bool
}

// NewStore makes a Store; it reaches out only when started.
func NewStore(cfg Config, ring *keyring.Ring, log *zap.Logger) (*Store, error) {
	s := &Store{cfg: cfg, log: log, index: inIndex{ring}}
	if cfg.Manager != inVault {
		return s, nil
	}
	var err error
	s.vault, err = newVault(cfg)
	return s, err
}

// startTimeout bounds how long a start waits for a Vault.
const startTimeout = 5 * time.Second

// Start looks whether the backend is there. In development one that is not
// costs a warning, and the database is used; in production it ends the start.
func (s *Store) Start(ctx context.Context) error {
	switch s.cfg.Manager {
	case inAWS:
		s.log.Warn("SECRETS_MANAGER_TYPE is aws, which this version does not use", zap.String("instead", "tools' secrets are kept in the database"))
	case inVault:
		ctx, cancel := context.WithTimeout(ctx, startTimeout)
		defer cancel()
		err := s.vault.check(ctx)
		switch {
		case err == nil:
			s.beyond.Store(true)
		case s.cfg.Production():
			return err
		default:
			s.log.Warn("Vault can't be used", zap.String("instead", "tools' secrets are kept in the database"), zap.Error(err))
		}
	}
	return nil
}

// Run keeps Vault's token alive; it is a worker's loop.
func (s *Store) Run(ctx context.Context) error {
	if !s.beyond.Load() {
		<-ctx.Done()
		return nil
	}
	return s.vault.keepToken(ctx, s.log)
}

func (s *Store) put(ctx context.Context, at place, value string) ([]byte, error) {
	if s.beyond.Load() {
		return s.vault.put(ctx, at, value)
	}
	return s.index.put(ctx, at, value)
}

// get reads a value from where it was put, also when that was another backend
// than today's.
func (s *Store) get(ctx context.Context, at place, sealed []byte) (string, error) {
	if len(sealed) == 0 && s.beyond.Load() {
		return s.vault.get(ctx, at, sealed)
	}
	return s.index.get(ctx, at, sealed)
}

func (s *Store) remove(ctx context.Context, at place) error {
	if s.beyond.Load() {
		return s.vault.remove(ctx, at)
	}
	return s.index.remove(ctx, at)
}
