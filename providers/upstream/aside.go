package upstream

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"
)

// aside is the stream of a session on which a server says what it does not say in the
// answer to a call: some ask their questions there. It is opened when somebody calls who
// can be asked, and lasts as long as the session.
type aside struct {
	once  sync.Once
	begun chan struct{} // closed when there is the stream, or no use in waiting for it
	begin func()        // closes that
	ctx   context.Context
	stop  context.CancelFunc
	work  sync.WaitGroup

	mu    sync.Mutex
	calls map[int64]underWay
}

// underWay is a call that may be asked something.
type underWay struct {
	ctx context.Context
	r   *request
}

func newAside(session context.Context) *aside {
	ctx, stop := context.WithCancel(session)
	begun := make(chan struct{})
	return &aside{begun: begun, begin: sync.OnceFunc(func() { close(begun) }), ctx: ctx, stop: stop, calls: map[int64]underWay{}}
}

func (a *aside) close() {
	a.stop()
	a.work.Wait()
}

// begins notes a call until its end.
func (a *aside) begins(ctx context.Context, id int64, r *request) (ends func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls[id] = underWay{ctx, r}
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.calls, id)
	}
}

// asked is the call that a question is of, where that is beyond doubt: nothing says so
// here, and of two people who call at the same time neither may be asked in the other's
// place. Of one person's calls the oldest is as good as any.
func (a *aside) asked(method string) (oldest underWay, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	first := int64(0)
	for id, call := range a.calls {
		talk := call.r.talk
		if talk == nil || talk.Answer == nil || !talk.Can.Allow(method) {
			continue
		}
		if ok && talk.Who != oldest.r.talk.Who {
			return underWay{}, false
		}
		if !ok || id < first {
			oldest, first, ok = call, id, true
		}
	}
	return oldest, ok
}

// told passes a notification on to the calls that it is about.
func (a *aside) told(said rpcMessage) {
	a.mu.Lock()
	var about []*request
	for id, call := range a.calls {
		switch said.Method {
		case listChanged:
			about = append(about, call.r)
		case notifyProgress:
			if progressToken(said.Params) == id {
				about = append(about, call.r)
			}
		case notifyMessage:
			if len(a.calls) == 1 { // it does not say whose it is
				about = append(about, call.r)
			}
		}
	}
	a.mu.Unlock()
	for _, r := range about {
		r.told(said.Method, said.Params)
	}
}

const (
	asideWithin = time.Second // that a server may take to begin the stream, before a call goes without
	asideLasted = 10 * time.Second
)

// hear opens the stream, unless it is open, and waits until the server has begun it: what
// it says before nobody hears.
func (s *streamable) hear(ctx context.Context) {
	s.aside.once.Do(func() { s.aside.work.Go(s.listen) })
	late := time.NewTimer(asideWithin)
	defer late.Stop()
	select {
	case <-s.aside.begun:
	case <-late.C:
		s.aside.begin() // some begin with the first event
	case <-ctx.Done():
	}
}

// listen reads the stream until the session ends, or the server does not go on with it.
// Most servers have none.
func (s *streamable) listen() {
	defer s.aside.begin()
	last, delay, fruitless := "", resumeDelay, 0
	for fruitless <= maxResumes {
		response, err := s.stream(s.aside.ctx, last, *s.headers.Load())
		s.aside.begin()
		if err != nil && fruitless == 0 && last == "" {
			return
		}
		since, heard := time.Now(), false
		if err == nil {
			last, delay, heard = s.read(response, last, delay)
		}
		if fruitless++; heard || time.Since(since) > asideLasted {
			fruitless = 0
		}
		pause := time.NewTimer(delay)
		select {
		case <-pause.C:
		case <-s.aside.ctx.Done():
			pause.Stop()
			return
		}
	}
}

// read takes what comes on the stream. It gives where to go on, after which pause, and
// whether anything came.
func (s *streamable) read(response *http.Response, last string, delay time.Duration) (_ string, _ time.Duration, heard bool) {
	defer response.Body.Close()
	events := newEventReader(response.Body, s.limit)
	for {
		e, err := events.next()
		if err != nil {
			return last, delay, heard
		}
		events.left, heard = s.limit, true // it has no end that all of it could be measured by
		if e.id != "" {
			last = e.id
		}
		if e.retry > 0 {
			delay = e.retry
		}
		if len(e.data) == 0 || e.name != "" && e.name != "message" {
			continue
		}
		message, err := parseMessage(e.data)
		switch {
		case err != nil || message.Method == "":
		case isNull(message.ID):
			s.aside.told(message)
		default:
			s.askedAside(question{message.ID, message.Method, message.Params})
		}
	}
}

func (s *streamable) askedAside(q question) {
	call, ok := s.aside.asked(q.Method)
	if !ok {
		call = underWay{s.aside.ctx, &request{}} // which refuses all but a ping
	}
	if err := s.asked(call.ctx, q, call.r); err != nil && !errors.Is(err, context.Canceled) {
		s.aside.stop() // it asks too much
	}
}
