package upstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"

	"uaol/providers/telemetry"
)

// delivery follows one request on its way out. It errs on the side of "it may
// have arrived": a request counts as written from the moment the transport has
// taken the last byte of its body, or its headers where it has no body, unless
// the transport then reports that writing failed. The trace's WroteRequest alone
// comes too late when a call is cut between the kernel's taking the bytes and
// the hook.
type delivery struct {
	key  string    // sent as Idempotency-Key when not empty
	tool uuid.UUID // that it goes to

	mu      sync.Mutex
	attempt int64
	taken   bool // the transport has read the whole body
	failed  bool // and could not write it
	status  int  // of the answer; 0 means none
}

type deliveryKey struct{}

func withDelivery(ctx context.Context, d *delivery) context.Context {
	return context.WithValue(ctx, deliveryKey{}, d)
}

// written reports whether the request may have reached the tool.
func (d *delivery) written() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.taken && !d.failed
}

// answered gives the status of the last answer.
func (d *delivery) answered() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.status
}

// restart begins another attempt: a redirect that was answered, or the
// transport's own repetition of what never left. Hooks of earlier attempts
// come to nothing from here on.
func (d *delivery) restart() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.attempt++
	d.taken, d.failed, d.status = false, false, 0
	return d.attempt
}

func (d *delivery) update(attempt int64, change func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if attempt == d.attempt {
		change()
	}
}

// take notes that the transport has all of the request, for good or for ill.
func (d *delivery) take(attempt int64) { d.update(attempt, func() { d.taken = true }) }

// followed is one request's delivery over all attempts of the transport.
type followed struct {
	*delivery
	trace httptrace.ClientTrace
	now   atomic.Int64 // the attempt under way
	first followedBody // most requests need no other
}

type followedBody struct {
	bytes.Reader
	other   io.ReadCloser // instead of the bytes, for what the SDK sends
	request *followed
	attempt int64
	left    int64
}

func (b *followedBody) Read(p []byte) (n int, err error) {
	if b.other != nil {
		n, err = b.other.Read(p)
	} else {
		n, err = b.Reader.Read(p)
	}
	b.left -= int64(n)
	if b.left <= 0 || errors.Is(err, io.EOF) {
		b.request.take(b.attempt)
	}
	return n, err
}

// WriteTo hides the reader's own, which nobody could follow.
func (b *followedBody) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{b})
}

// Close ends what the SDK sends; bytes need no end.
func (b *followedBody) Close() error {
	if b.other != nil {
		return b.other.Close()
	}
	return nil
}

func follow(d *delivery) *followed { return &followed{delivery: d} }

func (f *followed) traced(ctx context.Context, bodyless bool) context.Context {
	f.trace.WroteRequest = f.wrote
	if bodyless {
		f.trace.WroteHeaders = func() { f.take(f.now.Load()) }
	}
	return httptrace.WithClientTrace(ctx, &f.trace)
}

func (f *followed) wrote(info httptrace.WroteRequestInfo) {
	f.update(f.now.Load(), func() { f.failed = info.Err != nil })
}

// begin begins an attempt with a body.
func (f *followed) begin(body *followedBody, length int64) *followedBody {
	f.now.Store(f.restart())
	body.request, body.attempt, body.left = f, f.now.Load(), length
	return body
}

// post makes a request whose delivery is followed from the start.
func post(ctx context.Context, d *delivery, to *url.URL, body []byte, header http.Header) *http.Request {
	f := follow(d)
	fresh := func(b *followedBody) *followedBody {
		b.Reset(body)
		return f.begin(b, int64(len(body)))
	}
	d.mark(header)
	telemetry.Name(ctx, header)
	request := &http.Request{
		Method: http.MethodPost, URL: to, Host: to.Host, Header: header, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		ContentLength: int64(len(body)), Body: fresh(&f.first),
		GetBody: func() (io.ReadCloser, error) { return fresh(&followedBody{}), nil },
	}
	return request.WithContext(f.traced(ctx, false))
}

// mark names the call to the tool. In lower case on purpose: net/http takes a
// request with the canonical header for one that it may send twice, and not
// every tool heeds the key.
func (d *delivery) mark(header http.Header) {
	if d.key != "" {
		header["idempotency-key"] = []string{d.key}
	}
}

// courier sends requests and follows those whose context carries a delivery.
// Nothing of the caller's headers gets here: every request is made anew.
type courier struct {
	next  http.RoundTripper
	calls http.RoundTripper // for what post makes
}

func (c courier) RoundTrip(request *http.Request) (*http.Response, error) {
	if body, ok := request.Body.(*followedBody); ok {
		return body.request.noting(c.calls.RoundTrip(request))
	}
	d, ok := request.Context().Value(deliveryKey{}).(*delivery)
	if !ok {
		return c.next.RoundTrip(request)
	}
	f := follow(d)
	with := request.Clone(f.traced(request.Context(), request.Body == nil))
	d.mark(with.Header)
	telemetry.Name(request.Context(), with.Header)
	if request.Body == nil {
		f.now.Store(d.restart())
		return d.noting(c.next.RoundTrip(with))
	}
	with.Body = f.begin(&followedBody{other: request.Body}, request.ContentLength)
	if again := request.GetBody; again != nil {
		with.GetBody = func() (io.ReadCloser, error) {
			body, err := again()
			if err != nil {
				return nil, err
			}
			return f.begin(&followedBody{other: body}, request.ContentLength), nil
		}
	}
	return d.noting(c.next.RoundTrip(with))
}

func (d *delivery) noting(response *http.Response, err error) (*http.Response, error) {
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.status = response.StatusCode
	return response, nil
}
