package mcpserver

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/maypok86/otter/v2"

	"uaol/providers/keyring"
	"uaol/providers/upstream"
	"uaol/services"
)

// session is what a client of the older protocols said when it began: all of it is in
// the session's id, sealed, so that no process has to remember it.
type session struct {
	ID      uuid.UUID             `json:"i"`
	Version string                `json:"v"`
	Can     upstream.Capabilities `json:"c,omitempty"`
	At      int64                 `json:"t"` // Unix seconds
}

// noSession is the id of none.
var noSession uuid.UUID

const (
	sessionsLast = 30 * 24 * time.Hour
	stateFor     = 3 * time.Second // that another process may not have heard of a change
)

// sessions reads and writes sessions' ids, and what little changes of a session.
type sessions struct {
	ring       *keyring.Ring
	repository *Repository
	states     *otter.Cache[uuid.UUID, sessionState]

	subscriptions *otter.Cache[uuid.UUID, []string]
}

// until is when the session ends by itself.
func (s session) until() time.Time { return time.Unix(s.At, 0).Add(sessionsLast) }

func newSessions(ring *keyring.Ring, repository *Repository) *sessions {
	return &sessions{
		ring: ring, repository: repository,
		states: otter.Must(&otter.Options[uuid.UUID, sessionState]{
			MaximumSize: 20_000, ExpiryCalculator: otter.ExpiryWriting[uuid.UUID, sessionState](stateFor),
		}),
		subscriptions: otter.Must(&otter.Options[uuid.UUID, []string]{
			MaximumSize: 20_000, ExpiryCalculator: otter.ExpiryWriting[uuid.UUID, []string](subscriptionsFor),
		}),
	}
}

func (s *sessions) close() {
	s.states.StopAllGoroutines()
	s.subscriptions.StopAllGoroutines()
}

func sessionBond(caller services.Caller) string { return "mcp session/" + caller.Account.String() }

// begin makes a session's id.
func (s *sessions) begin(caller services.Caller, version string, can upstream.Capabilities) string {
	return s.ring.SealText(session{uuid.New(), version, can, time.Now().Unix()}, sessionBond(caller))
}

var errNoSession = services.Errorf(services.NotFound, "There is no such session; initialize a new one")

// of reads a session's id, which must be the caller's. Kind NotFound for one that is
// not, or has ended.
func (s *sessions) of(ctx context.Context, caller services.Caller, id string) (session, sessionState, error) {
	var is session
	if !s.ring.OpenText(id, sessionBond(caller), &is) || time.Now().After(is.until()) {
		return is, sessionState{}, errNoSession
	}
	state, ok := s.states.GetIfPresent(is.ID)
	if !ok {
		var err error
		if state, err = s.repository.session(ctx, is.ID); err != nil {
			return is, state, err
		}
		s.states.Set(is.ID, state)
	}
	if state.Ended {
		return is, state, errNoSession
	}
	return is, state, nil
}

// change writes down what a client changes of its session.
func (s *sessions) change(ctx context.Context, is session, state sessionState) error {
	if err := s.repository.change(ctx, is.ID, state, is.until()); err != nil {
		return err
	}
	s.states.Set(is.ID, state)
	return nil
}
