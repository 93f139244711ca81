package httpserver

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"uaol/providers/api"
	"uaol/services"
)

// patience is how long clients are waited for. A deadline for whole requests would
// cut large uploads and streams, so each read and each write has one of its own.
type patience struct {
	header time.Duration // for a header, and for TLS's handshake
	idle   time.Duration // between two requests of a connection
	body   time.Duration // for the next progress bytes of a body
	answer time.Duration // until the next piece of an answer is taken
	rest   time.Duration // for what no handler reads of a body
}

var usual = patience{header: 10 * time.Second, idle: 2 * time.Minute, body: 30 * time.Second, answer: 30 * time.Second, rest: 5 * time.Second}

const (
	progress = 1 << 10  // bytes: a body that comes slower than these in patience.body stands still
	piece    = 64 << 10 // bytes of an answer that are written under one deadline
	buffered = 2 << 10  // bytes that net/http keeps before it writes anything
)

// limit is the handler with patience. Deadlines end with what they are for: one
// left behind would end HTTP/2's stream, or HTTP/1's watch for clients that leave.
func (p patience) limit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		body := &slowBody{body: r.Body, control: control, patience: p.body, rest: p.rest, left: p.body}
		if r.Body != nil && r.Body != http.NoBody {
			r.Body = body
			body.unread.Store(r.ProtoMajor == 1)
		}
		out := &slowWriter{ResponseWriter: w, control: control, patience: p.answer, body: body}
		next.ServeHTTP(out, r)
		body.over()
		// For what is still buffered, and for what nobody has read; the server itself takes
		// both away.
		_ = control.SetWriteDeadline(time.Now().Add(p.answer))
		if body.unread.Load() { // else the server watches already whether the client leaves
			_ = control.SetReadDeadline(time.Now().Add(p.rest))
		}
	})
}

// slowBody is a request's body that has to come.
type slowBody struct {
	body     io.ReadCloser
	control  *http.ResponseController
	patience time.Duration
	rest     time.Duration

	left    time.Duration // until progress bytes have to be there
	got     int           // of them
	stalled atomic.Bool
	unread  atomic.Bool // HTTP/1's server reads what is left of it

	mu    sync.Mutex
	ended bool // the handler has returned; the connection's deadlines are the server's again
}

func (b *slowBody) Read(p []byte) (int, error) {
	begun := time.Now()
	b.deadline(begun.Add(b.left))
	n, err := b.body.Read(p)
	b.deadline(time.Time{})
	if b.got += n; b.got >= progress {
		b.left, b.got = b.patience, 0
	} else {
		b.left -= time.Since(begun) // what a handler does between two reads is not the client's fault
	}
	switch {
	case errors.Is(err, io.EOF):
		b.unread.Store(false)
	case errors.Is(err, os.ErrDeadlineExceeded):
		b.stalled.Store(true)
	}
	return n, err
}

func (b *slowBody) Close() error { return b.body.Close() }

func (b *slowBody) deadline(at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.ended { // the gateway's reader may outlive its handler
		_ = b.control.SetReadDeadline(at)
	}
}

func (b *slowBody) over() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = true
}

// slowWriter writes an answer that has to be taken. A failure that comes of a body
// that stood still is told as that, whatever the handler made of it.
type slowWriter struct {
	http.ResponseWriter
	control  *http.ResponseController
	patience time.Duration
	body     *slowBody

	begun  bool
	told   bool // a 408, in place of the handler's answer
	sent   bool // the answer's header
	duplex bool // the handler reads the body while it writes
	since  int  // bytes since the last flush
}

// Unwrap is for http.ResponseController.
func (w *slowWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// slow reports whether a 408 was told in place of the handler's answer.
func slow(w http.ResponseWriter) bool {
	for {
		switch own := w.(type) {
		case *slowWriter:
			return own.told
		case interface{ Unwrap() http.ResponseWriter }:
			w = own.Unwrap()
		default:
			return false
		}
	}
}

func (w *slowWriter) WriteHeader(status int) {
	if w.begun {
		return
	}
	if status >= http.StatusOK {
		w.begun = true
	}
	if status >= http.StatusBadRequest && w.body.stalled.Load() {
		w.told = true
		header := w.Header()
		for _, name := range []string{"Content-Length", "Content-Encoding", "Retry-After"} {
			header.Del(name)
		}
		header.Set("Connection", "close")
		api.WriteError(w.ResponseWriter, services.Errorf(services.Slow, "The body did not come in time; send it again"))
		return
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *slowWriter) Write(p []byte) (n int, err error) {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	if w.told {
		return len(p), nil
	}
	if w.since += len(p); w.since <= buffered {
		return w.ResponseWriter.Write(p)
	}
	defer w.send()()
	defer func() { _ = w.control.SetWriteDeadline(time.Time{}) }()
	for {
		_ = w.control.SetWriteDeadline(time.Now().Add(w.patience))
		wrote, err := w.ResponseWriter.Write(p[n:min(n+piece, len(p))])
		if n += wrote; err != nil || n == len(p) {
			return n, err
		}
	}
}

// EnableFullDuplex is asked for by handlers by an http.ResponseController.
func (w *slowWriter) EnableFullDuplex() error {
	w.duplex = true
	return w.control.EnableFullDuplex()
}

// send goes before the answer's header, and sent after it: HTTP/1's server first reads
// what the handler has left of the body, past all that bounds that.
func (w *slowWriter) send() (sent func()) {
	first := !w.sent
	w.sent = true
	if !first || w.duplex || !w.body.unread.Load() {
		return func() {}
	}
	_ = w.control.SetReadDeadline(time.Now().Add(w.body.rest))
	return func() { _ = w.control.SetReadDeadline(time.Time{}) }
}

// Flush implements http.Flusher.
func (w *slowWriter) Flush() {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	w.since = 0
	defer w.send()()
	_ = w.control.SetWriteDeadline(time.Now().Add(w.patience))
	_ = w.control.Flush()
	_ = w.control.SetWriteDeadline(time.Time{})
}
