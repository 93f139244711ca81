package peers

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// RoundTrip passes a whole request on to the service, its body streamed; of its URL
// only what follows the host counts. What was not sent goes to the next address. What
// may have arrived is sent again only if it reads (GET and HEAD), or if it has a
// GetBody, by which its maker says that it may be repeated.
func (p *Peer) RoundTrip(request *http.Request) (*http.Response, error) {
	var response *http.Response
	body, err := hold(request)
	if err != nil {
		return nil, err
	}
	reads := (request.Method == http.MethodGet || request.Method == http.MethodHead) && request.Body == nil
	repeatable := func() bool { return reads || request.GetBody != nil }
	sent, err := p.try(request.Context(), repeatable, func(a *address) error {
		attempt, err := at(a, request)
		if err != nil {
			return err
		}
		if request.GetBody == nil && body != nil {
			attempt.Body = body
		}
		response, err = a.send(attempt) //nolint:bodyclose // whoever asked closes it
		if err != nil && body != nil && body.failed {
			return fmt.Errorf("%w: %w", errKeep, err)
		}
		return err
	})
	if err != nil && body != nil {
		_ = request.Body.Close()
	}
	if err != nil && sent && !reads {
		err = fmt.Errorf("%w: %w", ErrSent, err)
	}
	return response, err
}

// ErrSent is in RoundTrip's errors when what was asked may have been done.
var ErrSent = errors.New("it was sent and not answered")

// at is the request for one address.
func at(a *address, request *http.Request) (attempt *http.Request, err error) {
	attempt = request.WithContext(request.Context())
	to := *request.URL
	to.Scheme, to.Host = a.url.Scheme, a.url.Host
	if a.url.Path != "" {
		to.Path, to.RawPath = a.url.Path+to.Path, a.url.EscapedPath()+request.URL.EscapedPath()
	}
	attempt.URL, attempt.Host = &to, ""
	if request.GetBody != nil {
		attempt.Body, err = request.GetBody()
	}
	return attempt, err
}

// held is a body that an attempt which could not be sent leaves as it is.
type held struct {
	begun  *bufio.Reader
	failed bool // reading it did, and no address is to blame
}

// sentAtOnce is how much of a body is there before a connection is chosen. The
// transport sends that with the header at once; less could lie in its buffer while the
// other end thinks that the connection is idle, and closes it.
const sentAtOnce = 4 << 10

func hold(request *http.Request) (*held, error) {
	if request.Body == nil {
		return nil, nil
	}
	h := &held{begun: bufio.NewReaderSize(request.Body, sentAtOnce)}
	if _, err := h.begun.Peek(sentAtOnce); err != nil && !errors.Is(err, io.EOF) {
		_ = request.Body.Close()
		return nil, err
	}
	return h, nil
}

func (h *held) Read(p []byte) (int, error) {
	n, err := h.begun.Read(p)
	h.failed = h.failed || err != nil && !errors.Is(err, io.EOF)
	return n, err
}

// Close leaves it to whoever made the request.
func (h *held) Close() error { return nil }
