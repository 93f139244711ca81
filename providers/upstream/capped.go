package upstream

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"sync/atomic"

	"uaol/services"
)

// capped bounds the bodies that the SDK reads, each to limit bytes, and what
// it sends to the session's life: else it spends seconds on telling a mute
// server that it no longer waits.
type capped struct {
	next  http.RoundTripper
	limit int64
	life  context.Context // the session's, which outlives any request's
}

func (c capped) RoundTrip(request *http.Request) (*http.Response, error) {
	if c.life.Err() != nil {
		return nil, context.Cause(c.life)
	}
	response, err := c.next.RoundTrip(request)
	if err == nil {
		response.Body = cappedBody{response.Body, newAllowance(c.limit)}
	}
	return response, err
}

// allowance is how many bytes may still come, and whether more did.
type allowance struct {
	left atomic.Int64
	over atomic.Bool
}

func newAllowance(bytes int64) *allowance {
	a := &allowance{}
	a.left.Store(bytes)
	return a
}

type cappedBody struct {
	io.ReadCloser
	allowed *allowance
}

func (b cappedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.allowed.left.Add(-int64(n)) < 0 {
		b.allowed.over.Store(true)
		return 0, errTooLarge
	}
	return n, err
}

// pinned keeps an SSE session with the host it was opened with, since the
// server names the address of its messages itself, and bounds what the stream
// may bring by what the calls under way may take.
type pinned struct {
	next   http.RoundTripper
	home   *url.URL
	stream *allowance
	limit  int64           // bytes of any other answer
	life   context.Context // the session's, as for capped
}

func (p pinned) RoundTrip(request *http.Request) (*http.Response, error) {
	if p.life.Err() != nil {
		return nil, context.Cause(p.life)
	}
	if request.URL.Scheme != p.home.Scheme || request.URL.Host != p.home.Host {
		return nil, services.Errorf(services.Upstream, "The tool wants its messages sent to another host, which is not done")
	}
	response, err := p.next.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	allowed := p.stream
	if request.Method != http.MethodGet {
		allowed = newAllowance(p.limit)
	}
	response.Body = cappedBody{response.Body, allowed}
	return response, nil
}
