package events

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"uaol/providers/postgres"
	"uaol/providers/workers"
)

// Relay publishes a service's outbox. One process of a deployment does, by a lease;
// one that is stopped in its tracks and wakes up may publish a batch again, which
// consumers know by the events' ids.
//
// An event is marked after the broker has got it, so that none is skipped and a
// crash in between publishes a batch again. Events of a key are published in the
// order of their times, which is the order in which changes of the same thing took
// effect.
type Relay struct {
	outbox Outbox
	q      postgres.Querier
	outlet Outlet
	log    *zap.Logger
	counts *Counts
	wake   chan struct{}

	failing bool // it was said
	counted time.Time
}

const (
	relayLease  = 15 * time.Second
	relayBatch  = 500
	relayWithin = 20 * time.Second // for a batch
	relayMark   = 5 * time.Second  // for marking what was published, when the process stops too
	relayBusy   = 20 * time.Millisecond
	relayIdle   = 200 * time.Millisecond // between looks for what other processes wrote
	relayMost   = 15 * time.Second       // between tries while the broker is away
	countEvery  = 15 * time.Second
	countMost   = 100_000
)

// NewRelay makes a Relay; an event on the bus makes it look at once.
func NewRelay(outbox Outbox, q postgres.Querier, outlet Outlet, bus *Bus, counts *Counts, log *zap.Logger) *Relay {
	r := &Relay{outbox: outbox, q: q, outlet: outlet, counts: counts, wake: make(chan struct{}, 1),
		log: log.Named("events").With(zap.String("service", string(outbox.service)), zap.String("broker", outlet.Kind))}
	mine := map[string]bool{}
	for _, t := range Types() {
		if t.Service == outbox.service {
			word, _, _ := strings.Cut(t.Name, ".")
			mine[word] = true
		}
	}
	bus.Subscribe(func(e Event) {
		if word, _, _ := strings.Cut(e.Type, "."); !mine[word] {
			return
		}
		select {
		case r.wake <- struct{}{}:
		default:
		}
	})
	return r
}

// Worker is the relay's loop.
func (r *Relay) Worker() workers.Worker {
	name := string(r.outbox.service) + "-relay"
	return workers.Worker{Name: name, Run: workers.Alone(leases{r.outbox.relays, r.q}, "relay", relayLease, r.run)}
}

// run publishes until its context ends. What fails is tried again, the broker less
// and less often; so is what the database fails at, by whoever runs the loop.
func (r *Relay) run(ctx context.Context, _ int64) error {
	defer r.counts.unpublished.DeleteLabelValues(string(r.outbox.service))
	timer := time.NewTimer(0)
	defer timer.Stop()
	pause, failures := relayIdle, 0
	wake := r.wake
	var last time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-wake:
			if rest := relayBusy - time.Since(last); rest > 0 { // what comes meanwhile makes the batch larger
				timer.Reset(rest)
				wake = nil
				continue
			}
		case <-timer.C:
		}
		last = time.Now()
		n, err := r.Round(ctx)
		var away *awayError
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &away):
			pause, wake = min(relayIdle<<min(failures, 10), relayMost), nil
			failures++
		case err != nil:
			return err
		case n == relayBatch:
			pause, failures, wake = 0, 0, r.wake
		case n > 0:
			pause, failures, wake = relayBusy, 0, r.wake
		default:
			pause, failures, wake = min(max(2*pause, relayBusy), relayIdle), 0, r.wake
		}
		timer.Reset(pause)
	}
}

// awayError is a broker that can't be reached, or takes nothing just now.
type awayError struct{ cause error }

func (a *awayError) Error() string { return a.cause.Error() }

// Round publishes what is oldest of what waits, and counts that.
func (r *Relay) Round(ctx context.Context) (found int, err error) {
	waiting, err := r.outbox.Pending(ctx, r.q, relayBatch)
	if err != nil {
		return 0, err
	}
	var away error
	if len(waiting) > 0 {
		if away, err = r.publish(ctx, waiting); err != nil {
			return 0, err
		}
	}
	if err := r.count(ctx, away != nil); err != nil {
		return 0, err
	}
	r.say(ctx, away)
	if away != nil {
		return 0, &awayError{away}
	}
	return len(waiting), nil
}

// publish hands a batch over and marks what came of it; away says why some of it is
// to be tried again.
func (r *Relay) publish(ctx context.Context, batch []Event) (away, err error) {
	messages := make([]Message, len(batch))
	for i, e := range batch {
		if messages[i], err = NewMessage(r.outbox.service, e); err != nil {
			return nil, fmt.Errorf("the event %s: %w", e.ID, err)
		}
	}
	within, cancel := context.WithTimeout(ctx, relayWithin)
	outcomes := r.outlet.Broker.Publish(within, messages)
	cancel()
	marking, cancel := context.WithTimeout(context.WithoutCancel(ctx), relayMark)
	defer cancel()
	ids := make([]uuid.UUID, 0, len(batch))
	for i, outcome := range outcomes {
		var refused *Refused
		switch {
		case outcome == nil:
			ids = append(ids, batch[i].ID)
		case errors.As(outcome, &refused):
			if err := r.outbox.Dead(marking, r.q, batch[i].ID, refused.Reason); err != nil {
				return nil, err
			}
			r.counts.dead.WithLabelValues(string(r.outbox.service)).Inc()
			r.log.Warn("an event was refused for good; see `uaol events dead`", zap.Stringer("event", batch[i].ID), zap.String("type", batch[i].Type), zap.String("reason", refused.Reason))
		case away == nil:
			away = outcome
		}
	}
	if err := r.outbox.Published(marking, r.q, ids); err != nil {
		return nil, err
	}
	r.counts.published.WithLabelValues(string(r.outbox.service)).Add(float64(len(ids)))
	return away, nil
}

// say warns once when the broker is lost, and tells when it is back.
func (r *Relay) say(ctx context.Context, away error) {
	switch {
	case ctx.Err() != nil:
	case away != nil && !r.failing:
		r.failing = true
		r.log.Warn("events can't be published and wait in the database", zap.Error(away))
	case away == nil && r.failing:
		r.failing = false
		r.log.Info("events are published again")
	}
}

// count looks now and then how much waits.
func (r *Relay) count(ctx context.Context, now bool) error {
	if time.Since(r.counted) < countEvery && (!now || r.failing) {
		return nil
	}
	n, err := r.outbox.Waiting(ctx, r.q, countMost)
	if err != nil {
		return err
	}
	r.counted = time.Now()
	r.counts.unpublished.WithLabelValues(string(r.outbox.service)).Set(float64(n))
	return nil
}
