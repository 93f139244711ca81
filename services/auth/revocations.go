package auth

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"uaol/providers/events"
	"uaol/providers/limits"
)

// Revocations tell all processes through Redis that answers about somebody count no
// more. What gets lost costs what it costs without Redis: an answer lives for
// remember.
type Revocations struct {
	client  redis.UniversalClient // nil without one
	waiting chan string
	log     *zap.Logger
}

const (
	revocations = "uaol:revocations" // the channel: an account and an organisation, of which either may be zero
	revokeIn    = 2 * time.Second    // to tell one; later it tells nothing new
	revokeAgain = 500 * time.Millisecond
)

// NewRevocations makes a Revocations.
func NewRevocations(cfg limits.Config, log *zap.Logger) (*Revocations, error) {
	r := &Revocations{waiting: make(chan string, 4096), log: log.Named("revocations")}
	if cfg.RedisURL == "" {
		return r, nil
	}
	var err error
	r.client, err = cfg.Client()
	return r, err
}

// Follow publishes what this process's bus tells.
func (r *Revocations) Follow(bus *events.Bus) {
	if r.client == nil {
		return
	}
	bus.Subscribe(func(e events.Event) {
		account, err := uuid.Parse(e.Subject)
		if e.Type != accessChangedType || err != nil {
			return
		}
		select {
		case r.waiting <- account.String() + " " + e.Organization.String():
		default: // so many at once wait for remember
		}
	})
}

// Publish tells the others what waits, until ctx ends.
func (r *Revocations) Publish(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case text := <-r.waiting:
			r.tell(ctx, text)
		}
	}
}

func (r *Revocations) tell(ctx context.Context, text string) {
	ctx, cancel := context.WithTimeout(ctx, revokeIn)
	defer cancel()
	for {
		err := r.client.Publish(ctx, revocations, text).Err()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			r.log.Warn("the Redis of REDIS_URL does not answer; other processes notice what was revoked within 3 s", zap.Error(err))
			return
		case <-time.After(revokeAgain):
		}
	}
}

// Listen hears what the others tell, until ctx ends.
func (r *Revocations) Listen(ctx context.Context, forget func(account, organization uuid.UUID)) error {
	channel := r.client.Subscribe(ctx, revocations)
	defer func() { _ = channel.Close() }()
	messages := channel.Channel() // it connects again by itself, also when Redis falls silent
	for {
		select {
		case <-ctx.Done():
			return nil
		case message, open := <-messages:
			if !open {
				return errors.New("the channel of revocations was closed")
			}
			if account, organization, ok := readRevocation(message.Payload); ok {
				forget(account, organization)
			}
		}
	}
}

func readRevocation(text string) (account, organization uuid.UUID, ok bool) {
	first, second, _ := strings.Cut(text, " ")
	account, err := uuid.Parse(first)
	if err != nil {
		return uuid.Nil, uuid.Nil, false
	}
	organization, err = uuid.Parse(second)
	return account, organization, err == nil
}

// Close lets go of the connections.
func (r *Revocations) Close() error {
	if r.client == nil {
		return nil
	}
	return r.client.Close()
}
