package upstream

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"
)

// sessionKey says which calls share a session.
type sessionKey struct {
	tool     uuid.UUID
	url      string
	protocol string
	identity string // whose credentials it carries
	allow    string // the exceptions under which it was opened
	process  string // what runs, for stdio
	can      Capabilities
	who      string // whose session alone it is; "" for everybody's
}

// server is the key without who may be asked what.
func (k sessionKey) server() sessionKey {
	k.can, k.who = "", ""
	return k
}

// session is an open MCP session that takes any number of requests at once.
type session interface {
	// request sends one request and answers its result. A goneError means that
	// the server did not act on it and that another session may be tried.
	request(ctx context.Context, r *request, d *delivery) (reply, error)
	// offered is what the server says of itself.
	offered() Offered
	close()
}

// slot holds a session from the moment somebody wants it until it is closed.
type slot struct {
	key   sessionKey
	ready chan struct{} // closed once session or err is set
	session
	err error

	users   int // the rest is guarded by the pool
	dropped bool
	idle    *time.Timer
}

// pool keeps one session per key, opened once however many ask for it at the
// same time, and by nobody's context but its own.
type pool struct {
	open func(sessionKey, Target) (session, error)
	idle time.Duration

	mu     sync.Mutex
	slots  map[sessionKey]*slot
	closed bool
	work   sync.WaitGroup // openings and closings
}

func newPool(idle time.Duration, open func(sessionKey, Target) (session, error)) *pool {
	return &pool{open: open, idle: idle, slots: map[sessionKey]*slot{}}
}

// acquire gives the key's session; a target is what it is opened for.
func (p *pool) acquire(ctx context.Context, key sessionKey, target Target) (*slot, error) {
	s := p.join(key, target)
	if s == nil {
		return nil, errClosing
	}
	select {
	case <-s.ready:
		if s.err != nil {
			p.release(s)
			return nil, s.err
		}
		return s, nil
	case <-ctx.Done():
		p.release(s)
		return nil, context.Cause(ctx)
	}
}

func (p *pool) join(key sessionKey, target Target) *slot {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	s := p.slots[key]
	if s == nil {
		s = &slot{key: key, ready: make(chan struct{})}
		p.slots[key] = s
		p.work.Go(func() { p.fill(s, target) })
	}
	s.users++
	if s.idle != nil {
		s.idle.Stop()
	}
	return s
}

func (p *pool) fill(s *slot, target Target) {
	opened, err := p.open(s.key, target)
	p.mu.Lock()
	defer p.mu.Unlock()
	s.session, s.err = opened, err
	if err != nil {
		p.forget(s)
	}
	close(s.ready)
	p.rest(s)
}

func (p *pool) release(s *slot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.users--
	p.rest(s)
}

// drop keeps further calls away from a session; it is closed when the last of
// those that still use it is through.
func (p *pool) drop(s *slot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forget(s)
	s.dropped = true
}

func (p *pool) forget(s *slot) {
	if p.slots[s.key] == s {
		delete(p.slots, s.key)
	}
}

// rest is called with the lock held whenever a slot may have become unused.
func (p *pool) rest(s *slot) {
	switch {
	case s.users > 0 || s.session == nil:
	case s.dropped:
		p.end(s)
	case p.closed:
	case s.idle == nil:
		s.idle = time.AfterFunc(p.idle, func() { p.expire(s) })
	default:
		s.idle.Reset(p.idle)
	}
}

func (p *pool) expire(s *slot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.users == 0 && !s.dropped && !p.closed {
		p.forget(s)
		s.dropped = true
		p.end(s)
	}
}

func (p *pool) end(s *slot) { p.work.Go(s.close) }

// close ends every session; no call may be under way any more.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	open := p.slots
	p.slots = nil
	p.mu.Unlock()
	for _, s := range open {
		<-s.ready
		p.mu.Lock()
		if s.idle != nil {
			s.idle.Stop()
		}
		if s.session != nil {
			p.end(s)
		}
		p.mu.Unlock()
	}
	p.work.Wait()
}
