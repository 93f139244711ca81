package auth

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/events"
	"uaol/providers/postgres"
	"uaol/services"
)

// Session is one sign-in.
type Session struct {
	ID         uuid.UUID     `json:"id" db:"session_id"`
	Method     string        `json:"method" db:"method" doc:"password, key, link, register, a provider's name, or oauth: a program that was let in, see /auth/grants"`
	Address    string        `json:"address" db:"address"`
	UserAgent  string        `json:"userAgent" db:"user_agent"`
	CreatedAt  services.Time `json:"createdAt" db:"created_at"`
	LastUsedAt services.Time `json:"lastUsedAt" db:"last_used_at" doc:"to the minute"`
	ExpiresAt  services.Time `json:"expiresAt" db:"expires_at"`
	Current    bool          `json:"current" db:"-"`
}

// newSession is a sign-in about to be stored.
type newSession struct {
	id       uuid.UUID
	account  uuid.UUID
	key      *uuid.UUID // it was got with
	password *string    // the hash that a password was compared with; nil for other methods
	within   *uuid.UUID // a session that this one does not outlast
	method   string
	origin   services.Origin
	life     time.Duration
}

// signIn begins a session and gives its token.
func (s *Service) signIn(ctx context.Context, account Account, method string, key *uuid.UUID) (token string, err error) {
	in := s.session(ctx, account.ID, method, key)
	if method == "password" {
		in.password = account.PasswordHash
	}
	if err := s.repository.addSession(ctx, s.repository.pool, in); err != nil {
		return "", err
	}
	services.NoteCaller(ctx, account.Caller())
	return s.signer.sign(in.id, account.ID)
}

func (s *Service) session(ctx context.Context, account uuid.UUID, method string, key *uuid.UUID) newSession {
	return newSession{id: newID(), account: account, key: key, method: method, origin: services.OriginFrom(ctx), life: s.signer.lifetime}
}

// Logout ends the session of the caller's token; a request made with an API key
// has none.
func (s *Service) Logout(ctx context.Context, caller services.Caller) error {
	_, err := s.EndSession(ctx, caller, caller.Session)
	return err
}

// Sessions lists the caller's sign-ins that go on, newest first.
func (s *Service) Sessions(ctx context.Context, caller services.Caller) ([]Session, error) {
	sessions, err := s.repository.sessions(ctx, caller.Account)
	for i := range sessions {
		sessions[i].Current = sessions[i].ID == caller.Session
	}
	return sessions, err
}

// EndSession ends one of the caller's sign-ins; it tells whether it went on.
func (s *Service) EndSession(ctx context.Context, caller services.Caller, id uuid.UUID) (bool, error) {
	ended, err := s.repository.endSession(ctx, caller, id)
	if ended {
		s.bus.Publish(accessChanged(caller.Account, caller.Organization))
	}
	return ended, err
}

// EndOtherSessions ends all the caller's sign-ins but the one that asks.
func (s *Service) EndOtherSessions(ctx context.Context, caller services.Caller) error {
	err := postgres.InTx(ctx, s.repository.pool, func(tx pgx.Tx) error {
		return s.repository.endSessions(ctx, tx, caller.Account, caller.Session)
	})
	if err == nil {
		s.bus.Publish(accessChanged(caller.Account, caller.Organization))
	}
	return err
}

const accessChangedType = "user.access_changed"

// accessChanged tells every process to ask anew who may do what.
func accessChanged(account, organization uuid.UUID) events.Event {
	return events.New(accessChangedType, account.String(), organization, nil)
}

// addSession begins a session. Comparing passwords takes its time: one that was
// changed meanwhile, and its account's sessions ended, opens nothing.
func (r *Repository) addSession(ctx context.Context, q postgres.Querier, in newSession) error {
	n, err := postgres.Exec(ctx, q, `
		INSERT INTO uaol_auth.sessions (session_id, account_id, key_id, method, address, user_agent, expires_at)
		SELECT $1::uuid, a.account_id, $3::uuid, $4, $5, $6,
			least(now() + $7 * interval '1 second', (SELECT w.expires_at FROM uaol_auth.sessions w WHERE w.session_id = $9::uuid))
		FROM uaol_auth.accounts a
		WHERE a.account_id = $2 AND ($8::text IS NULL OR a.password_hash = $8::text) FOR UPDATE`,
		in.id, in.account, in.key, in.method, in.origin.Address, in.origin.UserAgent, int64(in.life/time.Second), in.password, in.within)
	if err == nil && n == 0 {
		err = errPassword
	}
	return err
}

func (r *Repository) sessions(ctx context.Context, account uuid.UUID) ([]Session, error) {
	return postgres.All[Session](ctx, r.pool, `
		SELECT session_id, method, address, user_agent, created_at, last_used_at, expires_at FROM uaol_auth.sessions
		WHERE account_id = $1 AND expires_at > now() ORDER BY created_at DESC, session_id DESC LIMIT 1000`, account)
}

func (r *Repository) endSession(ctx context.Context, caller services.Caller, id uuid.UUID) (ended bool, err error) {
	err = postgres.InTx(ctx, r.pool, func(tx pgx.Tx) error {
		n, err := postgres.Exec(ctx, tx, `DELETE FROM uaol_auth.sessions WHERE session_id = $1 AND account_id = $2`, id, caller.Account)
		if ended = n == 1; err != nil || !ended {
			return err
		}
		return r.outbox.Append(ctx, tx, accessChanged(caller.Account, caller.Organization))
	})
	return ended, err
}

// endSessions ends all of an account's sign-ins but one, in the caller's transaction, and
// before them the links that would begin another: one that is being used now either
// opens nothing, or what it opens is waited for.
func (r *Repository) endSessions(ctx context.Context, tx pgx.Tx, account, except uuid.UUID) error {
	if _, err := postgres.Exec(ctx, tx, `DELETE FROM uaol_auth.links WHERE account_id = $1 AND purpose = 'sign-in'`, account); err != nil {
		return err
	}
	if _, err := postgres.Exec(ctx, tx, `DELETE FROM uaol_auth.sessions WHERE account_id = $1 AND session_id <> $2`, account, except); err != nil {
		return err
	}
	return r.outbox.Append(ctx, tx, accessChanged(account, uuid.Nil))
}

// usage collects which keys and sessions were used, to be noted now and then: a
// request does not wait for that.
type usage struct {
	mu       sync.Mutex
	keys     map[uuid.UUID]bool
	sessions map[uuid.UUID]bool
}

func newUsage() *usage { return &usage{keys: map[uuid.UUID]bool{}, sessions: map[uuid.UUID]bool{}} }

func (u *usage) key(id uuid.UUID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.keys[id] = true
}

func (u *usage) session(id uuid.UUID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.sessions[id] = true
}

// take empties the collection. Ids are sorted: two processes that note the same
// ones must not wait for each other.
func (u *usage) take() (keys, sessions []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for id := range u.keys {
		keys = append(keys, id.String())
	}
	for id := range u.sessions {
		sessions = append(sessions, id.String())
	}
	clear(u.keys)
	clear(u.sessions)
	slices.Sort(keys)
	slices.Sort(sessions)
	return keys, sessions
}

// NoteUsage writes down when keys and sessions were last used.
func (s *Service) NoteUsage(ctx context.Context) error {
	keys, sessions := s.used.take()
	if len(keys) > 0 {
		if _, err := postgres.Exec(ctx, s.repository.pool, `
			UPDATE uaol_auth.api_keys SET last_used_at = now() WHERE key_id = ANY ($1::text[]::uuid[])`, keys); err != nil {
			return err
		}
	}
	if len(sessions) > 0 {
		if _, err := postgres.Exec(ctx, s.repository.pool, `
			UPDATE uaol_auth.sessions SET last_used_at = now() WHERE session_id = ANY ($1::text[]::uuid[])`, sessions); err != nil {
			return err
		}
	}
	return nil
}
