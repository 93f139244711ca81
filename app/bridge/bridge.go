package bridge

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"uaol/providers/upstream"
)

// Way is how the endpoint is reached.
type Way struct {
	URL    string
	Header http.Header // with the caller's key
	HTTP   *http.Client
}

// Bridge is a client's way to the endpoint.
type Bridge struct {
	In  io.Reader
	Out io.Writer

	// Attach finds the endpoint. It is asked again when the endpoint that it gave can't
	// be reached or does not know the key any more. start says that one may be started.
	Attach func(ctx context.Context, start bool) (*Way, error)
	// Say tells people what happens.
	Say func(format string, args ...any)
}

const (
	longestLine = 16 << 20 // bytes; the endpoint takes less, and says so
	lastAnswers = 1500 * time.Millisecond
	lastWords   = time.Second
)

// Patience is how long a request waits for a server, at most; clients wait a minute.
const Patience = 50 * time.Second

// soon is how long a request that no server has got waits before people are told.
const soon = 3 * time.Second

// Run carries messages until the client's side ends or ctx does.
func (b *Bridge) Run(ctx context.Context) error {
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	r := &running{Bridge: b, ctx: own, pending: map[string]*pending{}, mirrors: map[string][]upstream.Mirror{}}
	r.ways.attach, r.ways.ctx = b.Attach, own
	lines, ended := make(chan []byte), make(chan error, 1)
	go func() { ended <- r.lines(own, lines) }()
	for {
		select {
		case line := <-lines:
			r.take(line)
		case err := <-ended:
			r.settle(ctx, lastAnswers)
			r.leave()
			return err
		case <-ctx.Done():
			r.leave()
			return nil
		}
	}
}

// running is a Bridge that runs.
type running struct {
	*Bridge
	ctx     context.Context
	ways    ways
	session session

	out sync.Mutex // a line is written whole

	mu      sync.Mutex
	pending map[string]*pending // requests without an answer, by their ids
	quiet   chan struct{}       // closed when there is none any more; nil where nobody waits for that
	mirrors map[string][]upstream.Mirror
	waiting bool // people have been told so
}

// pending is a request that waits for its answer.
type pending struct {
	*message
	in     *batch
	ctx    context.Context
	cancel context.CancelFunc

	mu        sync.Mutex
	cancelled bool
	delivery  *delivery // of the latest attempt
}

// lines reads the client's lines until there is none.
func (r *running) lines(ctx context.Context, to chan<- []byte) error {
	in := bufio.NewReaderSize(r.In, 64<<10)
	var line []byte
	long := false
	for {
		part, err := in.ReadSlice('\n')
		if long = long || len(line)+len(part) > longestLine; !long {
			line = append(line, part...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if long {
			r.write(failure(nil, upstream.RPCError{Code: jsonrpc.CodeInvalidRequest, Message: fmt.Sprintf("The line is longer than %d bytes", longestLine)}))
			line = nil
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			select {
			case to <- line:
			case <-ctx.Done():
				return nil
			}
		}
		line, long = nil, false
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read standard input: %w", err)
		}
	}
}

// write gives the client a message, on a line of its own.
func (r *running) write(text []byte) {
	if bytes.ContainsAny(text, "\n\r") { // which only pretty JSON has
		var plain bytes.Buffer
		if json.Compact(&plain, text) == nil {
			text = plain.Bytes()
		}
	}
	r.out.Lock()
	defer r.out.Unlock()
	_, _ = r.Out.Write(append(text[:len(text):len(text)], '\n')) // a client that is gone closes the input too
}

// take takes a client's message.
func (r *running) take(line []byte) {
	if r.isBatch(line) {
		r.takeAll(line)
		return
	}
	m, ok := read(line)
	switch {
	case !ok:
		r.write(failure(nil, notJSON))
	case m.isRequest():
		r.begin(m, nil)
	default:
		r.takeOne(m)
	}
}

// takeOne takes what needs no answer.
func (r *running) takeOne(m *message) {
	if m.method == cancelled {
		r.giveUp(m)
		return
	}
	go r.tell(m)
}

// begin carries a request, beside all others; in is the batch that it came in, or nil.
func (r *running) begin(m *message, in *batch) {
	p := &pending{message: m, in: in}
	p.ctx, p.cancel = context.WithCancel(r.ctx)
	r.mu.Lock()
	r.pending[string(m.id)] = p
	r.mu.Unlock()
	go func() {
		defer r.end(p)
		if m.method == listen {
			r.subscribe(p)
			return
		}
		r.ask(p)
	}()
}

func (r *running) end(p *pending) {
	p.cancel()
	if p.in != nil {
		r.done(p.in)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pending[string(p.id)] == p {
		delete(r.pending, string(p.id))
	}
	if r.quiet != nil && !r.waits() {
		close(r.quiet)
		r.quiet = nil
	}
}

// waits reports whether a request waits for an answer; a subscription never gets one.
func (r *running) waits() bool {
	for _, p := range r.pending {
		if p.method != listen {
			return true
		}
	}
	return false
}

// giveUp ends a request that the client does not want any more. In the stateless
// protocol that is the end of its HTTP request; in a session it is a message, which is
// of use once the request has arrived.
func (r *running) giveUp(m *message) {
	r.mu.Lock()
	p := r.pending[string(m.params.requestID)]
	r.mu.Unlock()
	if p == nil {
		return // it is over
	}
	p.mu.Lock()
	p.cancelled = true
	arrived := p.delivery != nil && p.delivery.perhaps()
	p.mu.Unlock()
	if p.params.modern || !arrived {
		p.cancel()
	}
	if !p.params.modern {
		go r.tell(m)
	}
}

// answer gives the client the answer to its request, unless it has given it up.
func (r *running) answer(p *pending, text []byte) {
	p.mu.Lock()
	gone := p.cancelled
	p.mu.Unlock()
	switch {
	case gone || p.ctx.Err() != nil:
	case p.in != nil:
		p.in.add(text)
	default:
		r.write(text)
	}
}

// settle waits for the answers to what was asked before the client's side ended.
func (r *running) settle(ctx context.Context, patience time.Duration) {
	r.mu.Lock()
	quiet := make(chan struct{})
	if !r.waits() {
		close(quiet)
	} else {
		r.quiet = quiet
	}
	r.mu.Unlock()
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-quiet:
	case <-late.C:
	case <-ctx.Done():
	}
}

// leave ends what is under way: nobody waits for it. A session needs no end, since
// nobody keeps anything of it.
func (r *running) leave() {
	r.mu.Lock()
	var left []*pending
	for _, p := range r.pending {
		left = append(left, p)
	}
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(r.ctx, lastWords)
	defer cancel()
	var all sync.WaitGroup
	for _, p := range left {
		p.mu.Lock()
		p.cancelled = true
		p.mu.Unlock()
		if p.params.modern {
			p.cancel()
			continue
		}
		all.Go(func() {
			text := fmt.Sprintf(`{"jsonrpc":"2.0","method":"%s","params":{"requestId":%s,"reason":"the client has left"}}`, cancelled, p.id)
			m := &message{text: []byte(text), method: cancelled}
			if way := r.ways.known(); way != nil {
				_ = r.exchange(ctx, way, m, &delivery{}, r.session.of(m), nil, nil) // the last that can be done
			}
		})
	}
	all.Wait()
}

// late tells people what a request waits for, once until the server has answered.
func (r *running) late(p *pending) {
	p.mu.Lock()
	arrived := p.delivery != nil && p.delivery.perhaps()
	p.mu.Unlock()
	r.mu.Lock()
	told := r.waiting || arrived
	r.waiting = r.waiting || !arrived
	r.mu.Unlock()
	if told {
		return
	}
	r.ways.mu.Lock()
	server := cmp.Or(r.ways.last, "the server")
	r.ways.mu.Unlock()
	r.Say("no answer from %s yet; a request waits for it up to %s", server, Patience)
}

// reached is told that the server has answered.
func (r *running) reached() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting = false
}

// ways keeps the way to the endpoint.
type ways struct {
	ctx    context.Context
	attach func(ctx context.Context, start bool) (*Way, error)
	flight singleflight.Group

	mu   sync.Mutex
	now  *Way
	last string // URL
}

func (w *ways) known() *Way {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// of gives a way to the endpoint, another one than the one that has failed. All who wait
// for it are given the same.
func (w *ways) of(ctx context.Context, failed *Way, start bool) (*Way, error) {
	w.mu.Lock()
	if w.now != nil && w.now == failed {
		w.now = nil
	}
	now := w.now
	w.mu.Unlock()
	if now != nil {
		return now, nil
	}
	found := w.flight.DoChan(fmt.Sprint(start), func() (any, error) {
		if now := w.known(); now != nil {
			return now, nil
		}
		ctx, cancel := context.WithTimeout(w.ctx, Patience)
		defer cancel()
		way, err := w.attach(ctx, start)
		if err == nil {
			w.mu.Lock()
			w.now, w.last = way, way.URL
			w.mu.Unlock()
		}
		return way, err
	})
	select {
	case got := <-found:
		if got.Err != nil {
			return nil, got.Err
		}
		return got.Val.(*Way), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
