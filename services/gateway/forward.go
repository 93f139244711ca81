package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"
	"go.uber.org/zap"

	"uaol/providers/api"
	"uaol/providers/peers"
	"uaol/providers/telemetry"
	"uaol/services"
)

// forwarder passes whole requests on to one service, bodies streamed.
type forwarder struct {
	peer  *peers.Peer
	quiet time.Duration // for which nothing may move in either direction
	proxy *httputil.ReverseProxy
}

const (
	// quietFor is longer than an answer may take to begin, and much longer than
	// streams of events are ever silent.
	quietFor = 3 * time.Minute
	// flushAfter is how long a piece of an answer of known length may wait for more. Each
	// is a write of its own to the client, and most answers are done by then.
	flushAfter = 100 * time.Millisecond
	// smallBody is what is kept of a request, in bytes, to be able to send it again.
	smallBody = 64 << 10
)

func newForwarder(peer *peers.Peer, log *zap.Logger) *forwarder {
	f := &forwarder{peer: peer, quiet: quietFor}
	f.proxy = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetXForwarded()
			// Our own server says 100 once the body is read; the service's 100 would make the
			// proxy forget the headers that are set by then.
			r.Out.Header.Del("Expect")
		},
		Transport:      peer,
		FlushInterval:  flushAfter, // at once where nobody knows how much will come, as of streams
		BufferPool:     buffers{},
		ModifyResponse: f.answered,
		ErrorHandler:   f.failed,
		ErrorLog:       zap.NewStdLog(log),
	}
	return f
}

// by is the operation as an api.Raw handler. The guest that was made for this request
// is named to the service, so that it does not make another.
func (f *forwarder) by(op api.Operation) api.Operation {
	return op.By(func(c *gin.Context, _ services.Caller) {
		header := c.Request.Header
		// The proxy drops what is named there: a client's word that could take ours along,
		// or the credential that we have counted it by.
		header.Del("Connection")
		if !op.Keyed { // net/http sends again what has a key, of whatever method
			header.Del(api.KeyHeader)
		}
		header.Del("X-Idempotency-Key") // likewise
		if guest := c.Writer.Header().Get(api.GuestHeader); guest != "" {
			header.Set(api.GuestHeader, guest)
		}
		header.Del(api.OriginHeader) // a client's own word
		if origin, err := f.peer.SignOrigin(services.OriginFrom(c.Request.Context())); err == nil {
			header.Set(api.OriginHeader, origin)
		}
		f.pass(c, op.Keyed)
	})
}

func (f *forwarder) pass(c *gin.Context, keyed bool) {
	e := &exchange{gin: c, idle: f.quiet}
	ctx, span := c.Request.Context(), telemetry.Span{}
	if telemetry.On(ctx) {
		ctx, span = telemetry.Call(ctx, "forward to "+string(f.peer.Service()))
	}
	defer func() { span.End(nil) }()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	e.timer = time.AfterFunc(f.quiet, func() { cancel(errQuiet) })
	defer e.timer.Stop()
	request := c.Request.WithContext(context.WithValue(ctx, exchangeKey{}, e))
	if request.Body != nil && request.ContentLength != 0 { // of none, there is nothing that the proxy reads
		e.sending.Store(true)
		request.Body = sending{moving{request.Body, e}}
	}
	if keyed && request.Header.Get(api.KeyHeader) != "" && request.ContentLength >= 0 && request.ContentLength <= smallBody {
		if err := keep(request); err != nil {
			f.failed(nil, request, err)
			return
		}
	}
	// An answer may begin before the body has been sent (a refusal, say): HTTP/1's server
	// would close the body then, and sending it would fail and take the answer along.
	// Such an answer is the connection's last: see hangUp.
	_ = http.NewResponseController(c.Writer).EnableFullDuplex()
	f.proxy.ServeHTTP(c.Writer, request)
}

// keep reads a small body, so that the request can be sent again.
func keep(request *http.Request) error {
	text, err := io.ReadAll(request.Body)
	if err != nil {
		return err
	}
	request.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil }
	request.Body, err = request.GetBody()
	return err
}

// exchange is a request with its answer.
type exchange struct {
	gin     *gin.Context
	idle    time.Duration
	timer   *time.Timer
	sending atomic.Bool // the end of the request's body has not been read
}

type exchangeKey struct{}

func exchangeOf(r *http.Request) *exchange {
	e, _ := r.Context().Value(exchangeKey{}).(*exchange)
	return e
}

// hangUp ends the client's connection with an answer that begins before the request's
// body has ended. The server would read the rest of that after the answer, and find
// itself reading twice (net/http panics then).
func (e *exchange) hangUp() {
	if e.sending.Load() && e.gin.Request.ProtoMajor == 1 {
		e.gin.Header("Connection", "close")
	}
}

// sending is a request's body on its way.
type sending struct{ moving }

func (s sending) Read(p []byte) (int, error) {
	n, err := s.moving.Read(p)
	if errors.Is(err, io.EOF) {
		s.e.sending.Store(false)
	}
	return n, err
}

var errQuiet = errors.New("nothing moved for too long")

// moving is a body whose progress keeps its exchange going.
type moving struct {
	io.ReadCloser
	e *exchange
}

func (m moving) Read(p []byte) (int, error) {
	n, err := m.ReadCloser.Read(p)
	m.e.timer.Reset(m.e.idle)
	return n, err
}

// answered drops from an answer what this process has already said about the request,
// and ends a stream of events when this process stops: its reader comes back with the
// last id that it has heard.
func (f *forwarder) answered(response *http.Response) error {
	e := exchangeOf(response.Request)
	for name := range response.Header {
		if strings.HasPrefix(name, "Access-Control-") || name == api.RequestHeader || name == api.GuestHeader || name == "Vary" {
			response.Header.Del(name)
		} else if e != nil {
			e.gin.Writer.Header().Del(name) // of what both say, the service's word counts
		}
	}
	if e == nil {
		return nil
	}
	e.hangUp()
	response.Body = moving{response.Body, e}
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if kind == "text/event-stream" && response.Request.Method == http.MethodGet {
		response.Body = newResumable(response.Request.Context(), response.Body)
	}
	return nil
}

// resumable is a stream that ends when this process stops, as if it had come to its end.
type resumable struct {
	io.ReadCloser
	over func() bool // this process ended it
	stop func() bool
}

func newResumable(ctx context.Context, body io.ReadCloser) io.ReadCloser {
	stopping := api.Stopping(ctx)
	stop := context.AfterFunc(stopping, func() { _ = body.Close() }) // which ends what is being read
	return resumable{body, func() bool { return stopping.Err() != nil }, stop}
}

func (r resumable) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if err != nil && r.over() {
		err = io.EOF
	}
	return n, err
}

func (r resumable) Close() error {
	r.stop()
	return r.ReadCloser.Close()
}

func (f *forwarder) failed(_ http.ResponseWriter, r *http.Request, err error) {
	e := exchangeOf(r)
	if e == nil || e.gin.Writer.Written() {
		return
	}
	e.hangUp()
	var tooLarge *http.MaxBytesError
	quiet := errors.Is(context.Cause(r.Context()), errQuiet)
	switch {
	case errors.As(err, &tooLarge):
		err = services.Errorf(services.TooLarge, "The body is larger than %d bytes", tooLarge.Limit-1)
	case errors.Is(err, context.Canceled) && !quiet:
		err = services.Errorf(services.Unavailable, "The request was cancelled").Because(err)
	case errors.Is(err, peers.ErrSent):
		remedy := "look whether it was done before you send it again"
		if r.GetBody != nil {
			remedy = "send it again with the same " + api.KeyHeader
		}
		err = services.Errorf(services.Timeout, "The %s service did not answer; the outcome is unknown: %s", f.peer.Service(), remedy).
			WithCode(services.CodeOutcomeUnknown).Because(err)
	case quiet:
		err = services.Errorf(services.Timeout, "The %s service took too long", f.peer.Service()).Because(errQuiet)
	default:
		err = services.Errorf(services.Unavailable, "The %s service cannot be reached; try again", f.peer.Service()).Because(err)
	}
	api.Fail(e.gin, err)
}

// buffers are what bodies are copied through.
type buffers struct{}

var pool = sync.Pool{New: func() any { return new([32 << 10]byte) }}

func (buffers) Get() []byte { return pool.Get().(*[32 << 10]byte)[:] }

func (buffers) Put(b []byte) { pool.Put((*[32 << 10]byte)(b)) }
