package proxy

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"uaol/services"
	"uaol/services/billing"
)

// Cashier is the Till. On a call's path stands one durable hold; the call's
// record and what it costs follow in the background, in this order, so that
// nothing is paid that is not recorded:
//
//	Open: hold ── the call ── Close ──▶ record ──▶ settle
//
// A priced call that failed is recorded, then released, before Close returns.
// Whatever a dying process leaves undone the Sweeper finds by the hold. Records
// of calls that cost nothing may be lost with the process, 100 ms of them at most.
type Cashier struct {
	meter    billing.Meter
	insert   func(ctx context.Context, calls []Call) error
	log      *zap.Logger
	lifetime time.Duration

	queue  chan entry
	due    chan []Call   // recorded, to be settled
	hurry  chan struct{} // somebody waits for what is queued
	ctx    context.Context
	cancel context.CancelFunc
	loops  sync.WaitGroup

	mu      sync.Mutex
	pending int           // not yet recorded and settled
	idle    chan struct{} // closed while nothing is pending
}

// entry is a call on its way to its record.
type entry struct {
	call    Call
	settle  bool
	written chan struct{} // closed once it is recorded; nil if nobody waits
}

const (
	holdFor     = 15 * time.Minute       // until an unended call counts as abandoned; a tool may take 10 minutes
	gatherFor   = 100 * time.Millisecond // records wait for each other
	gatherMost  = 500
	queued      = 10_000 // calls whose records wait; then callers wait too
	settleAt    = 2      // requests at once
	settleMost  = 100    // in one, and so for how long holds wait for their account
	releaseIn   = 10 * time.Second
	stopIn      = 5 * time.Second
	recordFirst = 2 * time.Second // a release waits for its call's record for so long
	pauseMost   = time.Second     // between attempts
)

// NewTill makes a Cashier.
func NewTill(cfg Config, meter billing.Meter, repository *Repository, log *zap.Logger) *Cashier {
	c := &Cashier{
		meter: meter, insert: repository.insert, log: log, lifetime: time.Duration(cfg.HoldSeconds) * time.Second,
		queue: make(chan entry, queued), due: make(chan []Call, queued/gatherMost), hurry: make(chan struct{}, 1), idle: make(chan struct{}),
	}
	if c.lifetime == 0 {
		c.lifetime = holdFor
	}
	close(c.idle)
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// Start begins the work in the background.
func (c *Cashier) Start() {
	c.loops.Go(c.write)
	for range settleAt {
		c.loops.Go(c.settle)
	}
}

// Stop records and settles what is queued, within its share of the time to stop:
// billing may be going down at the same moment. What it does not get to is lost
// if it cost nothing, and left to the Sweeper otherwise.
func (c *Cashier) Stop(ctx context.Context) error {
	share, cancel := context.WithTimeout(ctx, stopIn)
	defer cancel()
	if err := c.Flush(share); err != nil {
		c.mu.Lock()
		c.log.Warn("some calls are not recorded or settled yet; the sweeper will settle them", zap.Int("calls", c.pending))
		c.mu.Unlock()
	}
	c.cancel()
	c.loops.Wait()
	return ctx.Err()
}

// Flush waits until all that was closed is recorded and settled.
func (c *Cashier) Flush(ctx context.Context) error {
	select {
	case c.hurry <- struct{}{}:
	default:
	}
	c.mu.Lock()
	idle := c.idle
	c.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Open implements Till.
func (c *Cashier) Open(ctx context.Context, call *Call, price int64) error {
	if call.ID == uuid.Nil {
		call.ID = uuid.Must(uuid.NewV7())
	}
	if call.At.IsZero() {
		call.At = time.Now()
	}
	if call.Credits = 0; price == 0 {
		return nil
	}
	memo, err := memoOf(*call)
	if err != nil {
		return err
	}
	if _, err := c.meter.Hold(ctx, billing.HoldRequest{
		ID: call.ID, Caller: call.Caller, Owner: billing.OwnerCall, Amount: price, Lifetime: c.lifetime, Memo: memo,
	}); err != nil {
		c.undo(ctx, call.ID, err)
		return err
	}
	call.Credits = price
	return nil
}

// undo releases a hold that may have been made although the answer says
// otherwise. It may even be made later: the call's record, as refused, then keeps
// the Sweeper from taking it for one that was made.
func (c *Cashier) undo(ctx context.Context, id uuid.UUID, reason error) {
	switch services.KindOf(reason) {
	case services.Insufficient, services.Conflict, services.Invalid:
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordFirst)
	defer cancel()
	if _, err := c.meter.Release(ctx, billing.ReleaseRequest{HoldID: id}); err != nil {
		c.log.Warn("a hold that may have been made could not be released; the sweeper will see to it", zap.Stringer("hold", id), zap.Error(err))
	}
}

// Close implements Till.
func (c *Cashier) Close(ctx context.Context, call *Call) {
	held := call.Credits > 0
	charged := held && (call.Outcome == Succeeded || call.Outcome == Unknown)
	if !charged {
		call.Credits = 0
	}
	e := entry{call: storable(*call), settle: charged}
	if e.call.At.IsZero() {
		e.call.At = time.Now().Add(-call.Latency)
	}
	if !held || charged {
		c.enqueue(e)
		return
	}
	e.written = make(chan struct{})
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseIn)
	defer cancel()
	c.enqueue(e)
	select {
	case c.hurry <- struct{}{}:
	default:
	}
	select {
	case <-e.written:
	case <-time.After(recordFirst): // it will be; the credits are not kept back for that
	case <-c.ctx.Done():
	}
	c.release(ctx, call.ID)
}

// enqueue waits while the queue is full: calls are not made faster than they can
// be recorded.
func (c *Cashier) enqueue(e entry) {
	c.begin()
	select {
	case c.queue <- e:
	case <-c.ctx.Done():
		c.log.Error("a call ended after the end of its records", zap.Stringer("call", e.call.ID))
		c.end()
	}
}

func (c *Cashier) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pending == 0 {
		c.idle = make(chan struct{})
	}
	c.pending++
}

func (c *Cashier) end() { c.ended(1) }

func (c *Cashier) ended(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pending -= n; c.pending == 0 {
		close(c.idle)
	}
}

// release gives a hold's credits back, trying for as long as its context lasts.
func (c *Cashier) release(ctx context.Context, id uuid.UUID) {
	err := insist(ctx, func() error {
		_, err := c.meter.Release(ctx, billing.ReleaseRequest{HoldID: id})
		return err
	})
	if err != nil {
		c.log.Error("a failed call's hold could not be released; the sweeper will", zap.Stringer("hold", id), zap.Error(err))
	}
}

// insist repeats f until it succeeds, is refused for good or its context ends.
func insist(ctx context.Context, f func() error) error {
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, pauseMost) {
		err := f()
		switch services.KindOf(err) {
		case "", services.NotFound, services.Conflict, services.Invalid:
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// memo is what a hold says of its call.
type memo struct {
	Call
	At time.Time `json:"at"`
}

// memoOf writes a call down. Of one that is too long to be kept it leaves out
// what the arguments looked like.
func memoOf(call Call) (string, error) {
	text, err := json.Marshal(memo{Call: storable(call), At: call.At})
	if err == nil && len(text) > billing.MaxMemo {
		call.Shape = ""
		text, err = json.Marshal(memo{Call: storable(call), At: call.At})
	}
	return string(text), err
}

// storable is a call in a form that a database takes: others chose these texts.
func storable(call Call) Call {
	for _, text := range []*string{&call.Method, &call.Digest, &call.Shape, &call.Code, &call.Step, &call.TraceID} {
		*text = strings.ReplaceAll(strings.ToValidUTF8(*text, "\ufffd"), "\x00", "\ufffd")
	}
	return call
}
