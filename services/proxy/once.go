package proxy

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"uaol/providers/upstream"
	"uaol/services"
)

// Once makes calls that their callers may ask for again: with one key the same call
// is made and charged once, and every repetition is answered as the first one was.
// What failed without having been made frees its key.
type Once struct {
	service    *Service
	repository *Repository
	log        *zap.Logger
	lease      time.Duration
}

// NewOnce makes a Once.
func NewOnce(service *Service, repository *Repository, log *zap.Logger) *Once {
	return &Once{service: service, repository: repository, log: log, lease: keyLease}
}

const (
	keyLease   = 30 * time.Second // a call counts as under way for so long after its process said so
	keyWait    = time.Minute      // a repetition waits for the first one for so long
	keyPause   = 200 * time.Millisecond
	keyEnd     = 5 * time.Second // to write down how a call ended
	keptFor    = 24 * time.Hour
	mostKept   = 1 << 20 // bytes of a result
	longestKey = 255
)

// CodeUnderWay tells of a call whose first request has not been answered yet.
const CodeUnderWay = "CALL_UNDER_WAY"

// CodeNotKept tells of a call that was made, and whose result was too large to be kept
// for its repetitions.
const CodeNotKept = "RESULT_NOT_KEPT"

// keyState is how far a call with a key is.
type keyState string

const (
	underWay    keyState = "underway"
	answered    keyState = "answered"
	outcomeLost keyState = "unknown"
)

// keyed is a call under its key.
type keyed struct {
	Organization uuid.UUID `db:"organization_id"`
	Account      uuid.UUID `db:"account_id"`
	Key          string    `db:"key"`
	Digest       string    `db:"digest"`
	CallID       uuid.UUID `db:"call_id"`
	State        keyState  `db:"state"`
	Result       *string   `db:"result"`
	Failed       bool      `db:"failed"`
	Lapsed       bool      `db:"lapsed"` // nobody says any more that it goes on
}

// Exchange makes the call, or gives the answer of the first one; repeated says which.
// What a tool asks is no answer yet: it frees the key for the next round. The record of a
// repeated call is the first one's, as far as it is still known. Kinds beside Invoker's:
// Conflict for a key that stands for another call, for one whose call is still under way
// (CALL_UNDER_WAY) and for one whose result was not kept.
func (o *Once) Exchange(ctx context.Context, key string, in Exchange) (answer *upstream.Answer, record *Call, repeated bool, err error) {
	if err := checkKey(key); err != nil {
		return nil, nil, false, err
	}
	given, err := readArguments(in.Params)
	if err != nil {
		return nil, nil, false, err
	}
	in.ID = uuid.Must(uuid.NewV7())
	call := keyed{
		Organization: in.Caller.Organization, Account: in.Caller.Account, Key: key, CallID: in.ID, State: underWay,
		Digest: o.service.digests.of(given) + " " + in.ToolID.String() + " " + shortened(in.Method),
	}
	for end := time.Now().Add(keyWait); ; {
		ours, err := o.repository.claim(ctx, call, o.lease)
		if err != nil {
			o.end(ctx, call, errNothingSent) // it may have been written all the same
			return nil, nil, false, err
		}
		if ours {
			answer, record, err = o.make(ctx, call, in)
			return answer, record, false, err
		}
		first, err := o.repository.keyed(ctx, call)
		switch {
		case services.Is(err, services.NotFound): // it has failed since: the key is free
			continue
		case err != nil:
			return nil, nil, false, err
		case first.Digest != call.Digest:
			return nil, nil, false, services.Errorf(services.Conflict, "This Idempotency-Key was used for another request")
		case first.State != underWay || first.Lapsed:
			answer, err = first.again()
			return answer, &Call{ID: first.CallID}, true, err
		case time.Now().After(end):
			return nil, nil, false, services.Errorf(services.Conflict, "The call with this Idempotency-Key is still under way; ask again later").WithCode(CodeUnderWay)
		}
		if err := pauseFor(ctx, keyPause); err != nil {
			return nil, nil, false, err
		}
	}
}

// again is what the repetition of an ended call is answered.
func (k keyed) again() (*upstream.Answer, error) {
	switch {
	case k.State != answered:
		return nil, services.Errorf(services.Timeout, "Nobody knows whether the tool has acted: the answer to the first request with this Idempotency-Key is lost. Look before you send it again with another key").WithCode(services.CodeOutcomeUnknown)
	case k.Result == nil:
		return nil, services.Errorf(services.Conflict, "The call was made, as %s, and its result was too large to be kept; to have it again, call with another key", k.CallID).WithCode(CodeNotKept)
	}
	return &upstream.Answer{Result: json.RawMessage(*k.Result), Failed: k.Failed}, nil
}

// make makes a claimed call, and says meanwhile that it goes on.
func (o *Once) make(ctx context.Context, call keyed, in Exchange) (*upstream.Answer, *Call, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	going, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		o.renew(context.WithoutCancel(ctx), call, going)
	}()
	answer, record, err := o.service.Exchange(ctx, in)
	close(going)
	<-ended
	outcome := err
	switch {
	case err == nil && answer.Asks:
		outcome = errAsked
	case err == nil:
		call.State, call.Failed = answered, answer.Failed
		if len(answer.Result) <= mostKept {
			result := string(answer.Result)
			call.Result = &result
		}
	case upstream.Delivered(err):
		call.State = outcomeLost
	}
	o.end(ctx, call, outcome)
	return answer, record, err
}

func (o *Once) renew(ctx context.Context, call keyed, going <-chan struct{}) {
	ticker := time.NewTicker(o.lease / 3)
	defer ticker.Stop()
	for {
		select {
		case <-going:
			return
		case <-ticker.C:
		}
		within, cancel := context.WithTimeout(ctx, o.lease/3)
		if err := o.repository.renew(within, call, o.lease); err != nil {
			o.log.Warn("it could not be said that a call goes on", zap.Stringer("call", call.CallID), zap.Error(err))
		}
		cancel()
	}
}

var errAsked = services.Errorf(services.Unavailable, "the tool has asked something")

var errNothingSent = services.Errorf(services.Unavailable, "nothing was sent")

// end writes down how a call ended before its caller hears of it, or frees its key.
// What can't be written is unknown to those who ask again, and is not made again.
func (o *Once) end(ctx context.Context, call keyed, outcome error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keyEnd)
	defer cancel()
	err := insist(ctx, func() error {
		if outcome != nil && call.State == underWay {
			return o.repository.free(ctx, call)
		}
		return o.repository.finish(ctx, call)
	})
	if err != nil {
		o.log.Warn("what became of a call could not be written under its key", zap.Stringer("call", call.CallID), zap.Error(err))
	}
}

// checkKey judges a caller's key.
func checkKey(key string) error {
	fault := func(message string) error {
		return services.Faults(services.Fault{Path: "header.Idempotency-Key", Message: message})
	}
	if key == "" || len(key) > longestKey {
		return fault("must have 1 to 255 characters")
	}
	for i := range len(key) {
		if key[i] < 0x20 || key[i] > 0x7e {
			return fault("must be printable ASCII")
		}
	}
	return nil
}

func pauseFor(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
