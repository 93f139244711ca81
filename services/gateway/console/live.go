package console

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"runtime"
	"sync"
	"time"

	"uaol/providers/api"
	"uaol/services"
)

const (
	// lively is how often a part of a page is rendered again at most.
	lively = 100 * time.Millisecond
	// restful is for how much longer than a part took nothing happens after it: the more
	// pages are live, the longer they wait for their turns, and the less often each comes.
	restful = 20
	// liveFor is how long one stream goes on; the browser then begins another, which may
	// be at another replica.
	liveFor = 30 * time.Minute
	// mostLive bounds how many pages one visitor keeps live in this process.
	mostLive = 30
)

// errNotTheirs is for streams of pages that were made for somebody else, or for another
// organisation: the browser has gone there in another tab, and what the page says and does
// would change under its reader's hands.
var errNotTheirs = services.Errorf(services.Conflict, "You are somebody else, or in another organisation, in this browser now; open this page again")

// live sends a page's block "live" as a server-sent event now and whenever it has changed.
func (v *visit) live(pageOf func(*visit) (view, error)) {
	if whose := v.asked(whoseParameter); whose != "" && whose != v.who.mark(v.session) {
		v.liveFailed(errNotTheirs)
		return
	}
	leave, err := v.console.streams.enter(v.session.token + v.session.guest)
	if err != nil {
		v.liveFailed(err)
		return
	}
	defer leave()
	ctx, cancel := context.WithTimeout(v.r.Context(), liveFor)
	defer cancel()
	stream := api.NewStream(v.w, v.r)
	defer stream.Close()
	go stream.Beat(ctx)
	v.heard = &heard{}
	var (
		none   [sha256.Size]byte
		told   [sha256.Size]byte
		events <-chan struct{}
	)
	for {
		var shown view
		var text []byte
		began, before := time.Now(), v.heard.end()
		err := v.console.streams.inTurn(ctx, func() (err error) {
			if shown, err = pageOf(v); err != nil || shown.Follows && told != none && v.heard.same(before) {
				return err
			}
			text, err = v.livePart(shown)
			return err
		})
		took := time.Since(began)
		if ctx.Err() != nil { // the visitor has left, or is to begin another
			return
		}
		if err != nil {
			v.noteFailure(err)
			_ = stream.Write(failedEvent(err))
			return
		}
		if sum := sha256.Sum256(text); text != nil && sum != told {
			told = sum
			if stream.Write(event(text)) != nil {
				return
			}
		}
		if shown.Over {
			_ = stream.Write([]byte("event: over\ndata:\n\n"))
			return
		}
		if events == nil && shown.Follow != "" {
			events = v.follow(ctx, shown.Follow)
		}
		if !wait(ctx, api.Stopping(v.r.Context()), max(lively, restful/4*took), max(shown.Every, restful*took), events) {
			return
		}
	}
}

// liveFailed answers a page that wants to be kept up to date with why it can't be: browsers
// tell scripts nothing of an answer that is no stream.
func (v *visit) liveFailed(err error) {
	v.noteFailure(err)
	stream := api.NewStream(v.w, v.r)
	defer stream.Close()
	_ = stream.Write(failedEvent(err)) // whoever left does not mind
}

// failedEvent says why a page is kept up to date no longer. It may be again after a while,
// but not for somebody else.
func failedEvent(err error) []byte {
	kind, said := "failed", messageOf(err)
	switch {
	case errors.Is(err, errNotTheirs):
		kind = "over"
	case isKind(err, services.Unauthenticated):
		kind, said = "over", "Your sign-in has ended; open this page again to sign in"
	}
	return append([]byte("event: "+kind+"\n"), event([]byte(said))...)
}

// wait returns after a while or upon an event, though not too soon; false when the
// stream is to end.
func wait(ctx, stopping context.Context, soon, late time.Duration, events <-chan struct{}) bool {
	soonest := time.NewTimer(soon)
	defer soonest.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-stopping.Done():
		return false
	case <-soonest.C:
	}
	latest := time.NewTimer(max(late, soon) - soon)
	defer latest.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-stopping.Done():
		return false
	case <-latest.C:
		return true
	case <-events:
		return true
	}
}

func (v *visit) livePart(shown view) ([]byte, error) { return v.block("live", shown) }

// block renders one part of a page.
func (v *visit) block(name string, shown view) ([]byte, error) {
	var out bytes.Buffer
	one, known := templates()[shown.Template]
	if !known {
		return nil, services.Errorf(services.Internal, "There is no template %s", shown.Template)
	}
	if err := one.ExecuteTemplate(&out, name, v.page(shown)); err != nil {
		return nil, services.Errorf(services.Internal, "This page can't be shown").Because(err)
	}
	return out.Bytes(), nil
}

// event writes a text out as the data of one event.
func event(text []byte) []byte {
	var out bytes.Buffer
	for line := range bytes.Lines(text) {
		out.WriteString("data: ")
		out.Write(bytes.TrimRight(line, "\r\n"))
		out.WriteByte('\n')
	}
	out.WriteByte('\n')
	return out.Bytes()
}

// follow tells of each event of a stream of the API, or of several at once, until that ends.
func (v *visit) follow(ctx context.Context, stream string) <-chan struct{} {
	events := make(chan struct{}, 1)
	go func() {
		answer, err := v.request(api.Within(ctx), http.MethodGet, stream, nil, http.Header{"Accept": {"text/event-stream"}})
		if err != nil {
			return // the page goes on by its clock
		}
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return
		}
		buffer := make([]byte, 4<<10)
		for {
			if _, err := answer.Body.Read(buffer); err != nil {
				return
			}
			select {
			case events <- struct{}{}:
			default: // one is waiting to be seen
			}
		}
	}()
	return events
}

// streams counts the pages that are live, by their visitors, and lets them be rendered a
// few at a time: each asks the API several things at once, which takes memory.
type streams struct {
	turns chan struct{}
	mu    sync.Mutex
	open  map[string]int
}

func newStreams() *streams {
	return &streams{turns: make(chan struct{}, 2*runtime.GOMAXPROCS(0)), open: map[string]int{}}
}

// inTurn does a thing apart as soon as few others are being done.
func (s *streams) inTurn(ctx context.Context, thing func() error) error {
	select {
	case s.turns <- struct{}{}:
		defer func() { <-s.turns }()
		return apart(thing)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *streams) enter(visitor string) (leave func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[visitor] >= mostLive {
		return nil, services.Errorf(services.Limited, "Too many pages are open at once; close some of them")
	}
	s.open[visitor]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.open[visitor]--; s.open[visitor] == 0 {
			delete(s.open, visitor)
		}
	}, nil
}
