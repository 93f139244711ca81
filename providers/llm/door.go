package llm

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"uaol/providers/egress"
)

// Door is the way to an address that speaks OpenAI's protocol, for what is no chat:
// vectors, speech, transcripts. It is safe for concurrent use.
type Door struct {
	door    door
	timeout time.Duration
	pause   func(ctx context.Context, d time.Duration) error
}

// NewDoor makes a Door. A call may take as long as timeout, with all attempts.
func NewDoor(at Endpoint, policy *egress.Policy, timeout time.Duration) (*Door, error) {
	door, err := open(at, policy)
	return &Door{door: door, timeout: timeout, pause: pause}, err
}

// Close lets go of idle connections.
func (d *Door) Close() { d.door.http.CloseIdleConnections() }

// Call is one request.
type Call struct {
	Access
	Path   string // below the address, such as "embeddings"
	Type   string // of what is sent
	Body   func() (io.Reader, error)
	Length int64  // of the body, in bytes; 0 when it is not known before
	Fix    string // what helps when the key is refused; "" names POST /api-keys

	KeyHeader string // that has the key; "" for a bearer's
}

// Do calls and hands over the answer, whose body is bounded; its statuses are those of
// success. Whatever may pass is tried again, also an answer that ends too early, so take
// may be called more than once. Kinds as for Client.Complete; take's own errors of a kind
// come back with it, those of Body as they are.
func (d *Door) Do(ctx context.Context, call Call, take func(*http.Response) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, d.timeout, errTooLong)
	defer cancel()
	return insist(ctx, d.pause, func() *failure {
		w := newWire(d.door, Request{Access: call.Access}, 0)
		w.fix = call.Fix
		if err := d.once(ctx, w, call, take); err != nil {
			return w.judge(ctx, err)
		}
		return nil
	})
}

// JSON is Do for an answer that is JSON, and is read into the value.
func (d *Door) JSON(ctx context.Context, call Call, into any) error {
	return d.Do(ctx, call, func(response *http.Response) error {
		raw, err := io.ReadAll(response.Body)
		if err != nil {
			return err
		}
		if len(raw) == 0 {
			return errNoAnswer
		}
		// Some say what went wrong under a status that says that nothing did.
		w := newWire(d.door, Request{Access: call.Access}, 0)
		w.fix = call.Fix
		if said := w.spoken(raw); said != nil {
			return said
		}
		return json.Unmarshal(raw, into)
	})
}

func (d *Door) once(ctx context.Context, w *wire, call Call, take func(*http.Response) error) error {
	body, err := call.Body()
	if err != nil {
		return handed{err}
	}
	watched := &watched{Reader: body}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimRight(d.door.URL, "/")+"/"+call.Path, watched)
	if err != nil {
		return handed{err}
	}
	if request.ContentLength = call.Length; call.Length == 0 {
		request.ContentLength = -1
	}
	request.Header.Set("Content-Type", call.Type)
	switch {
	case call.Key == "":
	case call.KeyHeader != "":
		request.Header.Set(call.KeyHeader, string(call.Key))
	default:
		request.Header.Set("Authorization", "Bearer "+string(call.Key))
	}
	w.sent = true
	response, err := d.door.http.Do(request)
	switch {
	case err != nil && watched.err.Load() != nil:
		return handed{*watched.err.Load()}
	case err != nil:
		return err
	}
	defer response.Body.Close()
	if response.StatusCode < 200 || response.StatusCode >= 300 {
		body, _ := io.ReadAll(io.LimitReader(response.Body, maxFault))
		return w.refused(response.StatusCode, response.Header, body)
	}
	w.begun = true
	response.Body = &capped{response.Body, maxWire, nil}
	return take(response)
}

// watched remembers why a body could not be read; it is read by another goroutine.
type watched struct {
	io.Reader
	err atomic.Pointer[error]
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		w.err.Store(&err)
	}
	return n, err
}
