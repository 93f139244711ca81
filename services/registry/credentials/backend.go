package credentials

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
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

// path names the place for backends that go by names. What follows an address is
// hashed: it may hold any character, and be long.
func (p place) path() string {
	origin := sha256.Sum256([]byte(p.Origin))
	return p.Tool.String() + "/" + string(p.Scope) + "/" + p.Holder.String() + "/" + p.Name + "/" + hex.EncodeToString(origin[:16])
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

// outside is a backend that is not the database.
type outside interface {
	backend
	// check looks whether it is there and lets this process in. Its error is a
	// line that says what to set.
	check(ctx context.Context) error
	// keep does what it takes to stay let in, until ctx ends.
	keep(ctx context.Context, log *zap.Logger) error
}

// Store is the backend that the settings name. Which one really is used is
// known once the process has started.
type Store struct {
	cfg    Config
	log    *zap.Logger
	index  inIndex
	beyond outside // nil when the settings name none
	used   atomic.Bool
}

// NewStore makes a Store; it reaches out only when started.
func NewStore(cfg Config, ring *keyring.Ring, log *zap.Logger) (s *Store, err error) {
	s = &Store{cfg: cfg, log: log, index: inIndex{ring}}
	switch cfg.Manager {
	case inVault:
		s.beyond, err = newVault(cfg)
	case inAWS:
		s.beyond, err = newAmazon(context.Background(), cfg) // it reads files, and asks nobody
	}
	return s, err
}

// startTimeout bounds how long a start waits for a backend.
const startTimeout = 5 * time.Second

// Start looks whether the backend is there. In development one that is not
// costs a warning, and the database is used; in production it ends the start.
func (s *Store) Start(ctx context.Context) error {
	if s.beyond == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	err := s.beyond.check(ctx)
	switch {
	case err == nil:
		s.used.Store(true)
	case s.cfg.Production():
		return err
	default:
		s.log.Warn("SECRETS_MANAGER_TYPE="+s.cfg.Manager+" can't be used", zap.String("instead", "tools' secrets are kept in the database"), zap.Error(err))
	}
	return nil
}

// Run keeps the backend open; it is a worker's loop.
func (s *Store) Run(ctx context.Context) error {
	if !s.used.Load() {
		<-ctx.Done()
		return nil
	}
	return s.beyond.keep(ctx, s.log)
}

// backend is where values are put.
func (s *Store) backend() backend {
	if s.used.Load() {
		return s.beyond
	}
	return s.index
}

func (s *Store) put(ctx context.Context, at place, value string) ([]byte, error) {
	return s.backend().put(ctx, at, value)
}

// get reads a value from where it was put, also when that was the index and
// another backend is used today.
func (s *Store) get(ctx context.Context, at place, sealed []byte) (string, error) {
	if len(sealed) > 0 {
		return s.index.get(ctx, at, sealed)
	}
	return s.backend().get(ctx, at, sealed)
}

func (s *Store) remove(ctx context.Context, at place) error { return s.backend().remove(ctx, at) }
