package events

import (
	"context"
	"errors"
)

// Broker carries events out of the deployment, and between its processes. Bodies are
// in packages below this one.
type Broker interface {
	// Check reports whether the broker can be used, in words for an operator, and
	// makes there what is missing.
	Check(ctx context.Context) error
	// Publish hands messages over, and gives the outcome of each in its place: nil
	// once the broker keeps it, *Refused when it never will, another error when that
	// is not known or is to be tried again. Of messages with the same key none is
	// handed over after one that is to be tried again.
	Publish(ctx context.Context, messages []Message) []error
	// Close ends all connections.
	Close()
}

// Listener is a Broker that also tells every process what comes in. A queue whose
// messages have one reader each is none.
type Listener interface {
	// Listen calls f with each event of the types that is published from now on,
	// until the context ends or the broker is lost.
	Listen(ctx context.Context, types []string, f func(Event)) error
}

// Refused is a broker's last word on an event.
type Refused struct{ Reason string }

func (r *Refused) Error() string { return "refused for good: " + r.Reason }

// Refuse makes a *Refused.
func Refuse(reason string) error { return &Refused{Reason: reason} }

// errBehind is the outcome of what was held back, since something of the same key
// before it has to be published again.
var errBehind = errors.New("an earlier event of the same key is to be published first")

// Outlet is where this deployment's events go out: nowhere without a Broker
// (MQ_TYPE=none).
type Outlet struct {
	Kind   string
	Broker Broker
}

// Open reports whether there is a broker, and so anybody to tell more than what
// this deployment's own processes need.
func (o Outlet) Open() bool { return o.Broker != nil }

// InRounds publishes messages so that of each key there is one under way at most:
// for brokers that may lose one and keep the next. send gives the outcomes of
// messages with different keys.
func InRounds(messages []Message, send func(round []Message) []error) []error {
	outcomes := make([]error, len(messages))
	failed := map[string]bool{}
	left := make([]int, len(messages))
	for i := range left {
		left[i] = i
	}
	for len(left) > 0 {
		var places, later []int
		taken := map[string]bool{}
		for _, i := range left {
			switch key := messages[i].Key; {
			case failed[key]:
				outcomes[i] = errBehind
			case taken[key]:
				later = append(later, i)
			default:
				taken[key] = true
				places = append(places, i)
			}
		}
		round := make([]Message, len(places))
		for at, i := range places {
			round[at] = messages[i]
		}
		if len(round) > 0 {
			for at, err := range send(round) {
				outcomes[places[at]] = err
				if err != nil && !IsRefused(err) {
					failed[round[at].Key] = true
				}
			}
		}
		left = later
	}
	return outcomes
}

// IsRefused reports whether an outcome is a *Refused.
func IsRefused(err error) bool {
	var refused *Refused
	return errors.As(err, &refused)
}
