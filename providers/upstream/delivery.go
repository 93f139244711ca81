package upstream

import (
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
)

// delivery follows one request on its way out. It errs on the side of "it may
// have arrived": a request counts as written from the moment the transport has
// taken the last byte of its body, unless the transport then reports that
// writing failed. The trace's WroteRequest alone comes too late when a call is
// cut between the kernel's taking the bytes and the hook.
type delivery struct {
	key string // sent as Idempotency-Key when not empty

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

type followedBody struct {
	io.ReadCloser
	d       *delivery
	attempt int64
	left    int64
}

func (b *followedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	if b.left <= 0 || err == io.EOF {
		b.d.update(b.attempt, func() { b.d.taken = true })
	}
	return n, err
}

// courier sends requests and follows those whose context carries a delivery.
// Nothing of the caller's headers gets here: every request is made anew.
type courier struct{ next http.RoundTripper }

func (c courier) RoundTrip(request *http.Request) (*http.Response, error) {
	d, ok := request.Context().Value(deliveryKey{}).(*delivery)
	if !ok {
		return c.next.RoundTrip(request)
	}
	if request.Body == nil {
		d.restart()
		return d.noting(c.next.RoundTrip(request))
	}
	var attempt atomic.Int64
	ctx := httptrace.WithClientTrace(request.Context(), &httptrace.ClientTrace{
		WroteRequest: func(info httptrace.WroteRequestInfo) {
			d.update(attempt.Load(), func() { d.failed = info.Err != nil })
		},
	})
	followed := request.Clone(ctx)
	follow := func(body io.ReadCloser) io.ReadCloser {
		attempt.Store(d.restart())
		return &followedBody{ReadCloser: body, d: d, attempt: attempt.Load(), left: request.ContentLength}
	}
	followed.Body = follow(request.Body)
	if again := request.GetBody; again != nil {
		followed.GetBody = func() (io.ReadCloser, error) {
			body, err := again()
			if err != nil {
				return nil, err
			}
			return follow(body), nil
		}
	}
	if d.key != "" {
		// In lower case on purpose: net/http takes a request with the canonical
		// header for one that it may send twice, and not every tool heeds the key.
		followed.Header["idempotency-key"] = []string{d.key}
	}
	return d.noting(c.next.RoundTrip(followed))
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
