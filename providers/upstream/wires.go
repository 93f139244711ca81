package upstream

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"
	"golang.org/x/net/http/httpguts"
)

// wires sends short requests over plain HTTP/1.1 and reads their answers in the
// goroutine that asks. net/http's transport hands both to two goroutines of the
// connection's own: the hand-overs are half of what a hop costs. What wires does
// not send, TLS, long bodies and all that is no call, goes to next.
type wires struct {
	next *http.Transport

	mu     sync.Mutex
	idle   map[place][]*wire // the latest last
	closed bool
}

// place is where a connection leads, and for which tool: what one tool's server
// does to its connections harms no other tool at the same address.
type place struct {
	address string
	tool    uuid.UUID
}

// longestWireBody is how long a request's body may be, in bytes: well below what
// a socket takes at once, so that a server which answers before it has read all
// is heard.
const longestWireBody = 32 << 10

func newWires(next *http.Transport) *wires {
	return &wires{next: next, idle: map[place][]*wire{}}
}

// RoundTrip implements http.RoundTripper for requests whose delivery is
// followed. Requests are never repeated.
func (l *wires) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Scheme != "http" || request.ContentLength <= 0 || request.ContentLength > longestWireBody {
		return l.next.RoundTrip(request)
	}
	ctx := request.Context()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	at := place{address: net.JoinHostPort(request.URL.Hostname(), portOf(request))}
	if body, ok := request.Body.(*followedBody); ok {
		at.tool = body.request.tool
	}
	connection, err := l.open(ctx, at)
	if err != nil {
		return nil, err
	}
	connection.unhook = context.AfterFunc(ctx, connection.cut)
	response, err := connection.exchange(request)
	if err != nil {
		connection.discard()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, err
	}
	return response, nil
}

// understood tells an answer that is no HTTP from one that was cut.
func (c *wire) understood(err error) error {
	if err == nil || c.bounded.ended {
		return err
	}
	return garbage("it is not HTTP").Because(err)
}

// open gives a connection that is idle and still stands, or a new one.
func (l *wires) open(ctx context.Context, at place) (*wire, error) {
	for {
		known := l.take(at)
		if known == nil {
			break
		}
		if known.expiry.Stop() && known.stands() {
			return known, nil
		}
		known.close()
	}
	conn, err := l.next.DialContext(ctx, "tcp", at.address)
	if err != nil {
		return nil, err
	}
	made := &wire{wires: l, place: at, conn: conn}
	made.reader = bufio.NewReader(&made.bounded)
	made.bounded.conn = conn
	made.raw = rawOf(conn)
	return made, nil
}

func (l *wires) take(at place) *wire {
	l.mu.Lock()
	defer l.mu.Unlock()
	idle := l.idle[at]
	if len(idle) == 0 {
		return nil
	}
	last := idle[len(idle)-1]
	idle[len(idle)-1] = nil
	l.idle[at] = idle[:len(idle)-1]
	return last
}

// keep makes a connection idle.
func (l *wires) keep(c *wire) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.idle[c.place]) >= l.next.MaxIdleConnsPerHost {
		_ = c.conn.Close()
		return
	}
	l.idle[c.place] = append(l.idle[c.place], c)
	if c.expiry == nil {
		c.expiry = time.AfterFunc(l.next.IdleConnTimeout, c.expire)
	} else {
		c.expiry.Reset(l.next.IdleConnTimeout)
	}
}

// close closes the idle connections, and from now on each when it is idle.
func (l *wires) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for _, idle := range l.idle {
		for _, c := range idle {
			if c.expiry.Stop() {
				_ = c.conn.Close()
			}
		}
	}
	clear(l.idle)
}

// wire is one connection, with at most one request under way.
type wire struct {
	wires   *wires
	place   place
	conn    net.Conn
	raw     syscall.RawConn // nil where one can't look whether the connection stands
	bounded boundedReader
	reader  *bufio.Reader
	out     []byte      // the request under way
	unhook  func() bool // from the context of the request under way
	expiry  *time.Timer
}

// expire closes a connection that nobody has used for long.
func (c *wire) expire() {
	l := c.wires
	l.mu.Lock()
	if i := slices.Index(l.idle[c.place], c); i >= 0 {
		l.idle[c.place] = slices.Delete(l.idle[c.place], i, i+1)
	}
	l.mu.Unlock()
	c.close()
}

// close ends a connection that is not idle. A place without any is forgotten:
// tools come and go.
func (c *wire) close() {
	_ = c.conn.Close()
	l := c.wires
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.idle[c.place]) == 0 {
		delete(l.idle, c.place)
	}
}

// cut ends what the connection does at once.
func (c *wire) cut() { _ = c.conn.SetDeadline(time.Unix(1, 0)) }

func (c *wire) discard() {
	c.unhook()
	c.close()
}

func (c *wire) exchange(request *http.Request) (*http.Response, error) {
	if err := c.send(request); err != nil {
		return nil, err
	}
	c.bounded.left = c.wires.next.MaxResponseHeaderBytes
	response, err := http.ReadResponse(c.reader, request)
	for err == nil && response.StatusCode < 200 && response.StatusCode != http.StatusSwitchingProtocols {
		response, err = http.ReadResponse(c.reader, request)
	}
	if err != nil {
		return nil, c.understood(err)
	}
	c.bounded.left = math.MaxInt64
	reusable := !response.Close && response.StatusCode != http.StatusSwitchingProtocols
	if response.Body == http.NoBody {
		c.finish(reusable)
		return response, nil
	}
	response.Body = &wireBody{ReadCloser: response.Body, wire: c, reusable: reusable, ctx: request.Context()}
	return response, nil
}

// send writes a request at once. Its body's last byte is taken before anything
// leaves, so a failure is told after it.
func (c *wire) send(request *http.Request) error {
	var err error
	if c.out, err = appendRequest(c.out[:0], request); err != nil {
		return err
	}
	_, err = c.conn.Write(c.out)
	if trace := httptrace.ContextClientTrace(request.Context()); err != nil && trace != nil && trace.WroteRequest != nil {
		trace.WroteRequest(httptrace.WroteRequestInfo{Err: err})
	}
	return err
}

// appendRequest writes a request with a body of known length.
func appendRequest(b []byte, request *http.Request) ([]byte, error) {
	b = append(append(append(b, request.Method...), ' '), request.URL.RequestURI()...)
	b = append(append(b, " HTTP/1.1\r\nHost: "...), request.Host...)
	b = append(b, "\r\nUser-Agent: Go-http-client/1.1\r\nContent-Length: "...)
	b = strconv.AppendInt(b, request.ContentLength, 10)
	b = append(b, '\r', '\n')
	for name, values := range request.Header {
		for _, value := range values {
			if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
				return b, fmt.Errorf("the header %q can't be sent", name)
			}
			b = append(append(append(append(b, name...), ": "...), value...), '\r', '\n')
		}
	}
	b = append(b, '\r', '\n')
	at := len(b)
	b = slices.Grow(b, int(request.ContentLength))[:at+int(request.ContentLength)]
	_, err := io.ReadFull(request.Body, b[at:])
	return b, err
}

// finish ends a request whose answer has been read.
func (c *wire) finish(reusable bool) {
	if c.unhook() && reusable && c.raw != nil && c.reader.Buffered() == 0 {
		c.wires.keep(c)
		return
	}
	c.close()
}

// wireBody is the body of an answer.
type wireBody struct {
	io.ReadCloser
	wire     *wire
	reusable bool
	ctx      context.Context
	done     bool
}

func (b *wireBody) Read(p []byte) (int, error) {
	if b.done {
		return 0, io.EOF
	}
	n, err := b.ReadCloser.Read(p)
	switch {
	case errors.Is(err, io.EOF):
		b.done = true
		b.wire.finish(b.reusable)
	case err != nil && b.ctx.Err() != nil:
		err = context.Cause(b.ctx)
	case err != nil:
		err = b.wire.understood(err)
	}
	return n, err
}

// Close leaves unread what has not come: waiting for it may take for ever.
func (b *wireBody) Close() error {
	if !b.done {
		b.done = true
		b.wire.discard()
	}
	return nil
}

// boundedReader bounds an answer's headers.
type boundedReader struct {
	conn io.Reader
	left int64

	ended bool // nothing more comes
}

var errLongHeaders = errors.New("the answer's headers are too long")

func (r *boundedReader) Read(p []byte) (int, error) {
	if r.left <= 0 {
		return 0, errLongHeaders
	}
	n, err := r.conn.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	r.ended = r.ended || err != nil
	return n, err
}
