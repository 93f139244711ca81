package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// legacy is the protocol version offered over SSE; newer ones do not define
// that transport.
const legacy = "2025-11-25"

// tapped is a session that the SDK runs, over HTTP with SSE or with a process; a
// tap on its connection takes the answers before the SDK decodes and encodes them.
type tapped struct {
	sdk     *mcp.ClientSession
	tap     *tap
	headers atomic.Pointer[http.Header] // of the latest call
	gone    func() error                // why there is nobody left to ask; nil while there is
	stop    func()
}

func (c *Client) openSSE(ctx context.Context, way *way, target Target, options *mcp.ClientSessionOptions, stop context.CancelFunc) (session, error) {
	home, err := url.Parse(target.URL)
	if err != nil {
		return nil, err
	}
	s := &tapped{tap: newTap(c.limits.MaxAnswer), stop: stop}
	s.headers.Store(&target.Headers)
	s.tap.through = &mcp.SSEClientTransport{
		Endpoint: target.URL,
		HTTPClient: &http.Client{
			Transport:     pinned{carrying{way.http.Transport, &s.headers}, home, s.tap.stream, c.limits.MaxAnswer, ctx},
			CheckRedirect: way.http.CheckRedirect,
		},
		MaxEventSize: -1, // pinned bounds the stream, and remembers that it did
	}
	return s, s.connect(ctx, options)
}

func (s *tapped) connect(ctx context.Context, options *mcp.ClientSessionOptions) (err error) {
	client := mcp.NewClient(clientName, &mcp.ClientOptions{Capabilities: &mcp.ClientCapabilities{}})
	s.sdk, err = client.Connect(ctx, s.tap, options)
	return err
}

func (s *tapped) close() {
	late := time.AfterFunc(sayTimeout, s.stop)
	_ = s.sdk.Close() // lets its notices to the server out; what it says changes nothing
	late.Stop()
	s.stop()
}

func (s *tapped) request(ctx context.Context, r *request, d *delivery) (reply, error) {
	if len(r.headers) > 0 {
		s.headers.Store(&r.headers)
	}
	x := &exchange{d: d, changed: r.changed}
	s.tap.expect(1)
	defer s.tap.expect(-1)
	defer func() { s.tap.take(x.id) }()
	err := s.send(context.WithValue(ctx, exchangeKey{}, x), r)
	switch status := d.answered(); {
	case err == nil:
		return reply{raw: x.result, received: int64(len(x.result))}, x.err
	case d.written() && s.tap.stream.over.Load():
		return reply{}, errTooLarge
	case status == http.StatusNotFound, status == http.StatusBadRequest:
		return reply{}, goneError{statusFault(status, nil, "")}
	case status != 0 && (status < 200 || status > 299):
		return reply{}, statusFault(status, nil, "")
	case !d.written() && ctx.Err() == nil && errors.Is(err, mcp.ErrConnectionClosed):
		return reply{}, goneError{err}
	case s.gone != nil && s.gone() != nil:
		return reply{}, brokenError{err}
	}
	return reply{}, err
}

// send lets the SDK send a request; the answer is in the exchange.
func (s *tapped) send(ctx context.Context, r *request) error {
	if r.tool == "" {
		_, err := s.sdk.ListTools(ctx, &mcp.ListToolsParams{Cursor: r.cursor})
		return err
	}
	_, err := s.sdk.CallTool(ctx, &mcp.CallToolParams{Meta: r.allMeta(), Name: r.tool, Arguments: r.arguments})
	return err
}

// exchange is a request of ours and, once the SDK has handed it back, its answer.
type exchange struct {
	id      jsonrpc.ID
	d       *delivery
	changed func()
	result  json.RawMessage
	err     error
}

type exchangeKey struct{}

// tap is a transport that wraps the SDK's and knows which answers are ours.
type tap struct {
	through mcp.Transport
	mcp.Connection
	limit  int64 // bytes of one answer
	stream *allowance
	piped  bool // what Write has taken has left: there is no request to follow

	mu      sync.Mutex
	waiting int64
	pending map[jsonrpc.ID]*exchange
}

func newTap(limit int64) *tap {
	return &tap{limit: limit, stream: newAllowance(limit), pending: map[jsonrpc.ID]*exchange{}}
}

// listChanged tells those whose calls are under way.
func (t *tap) listChanged() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, x := range t.pending {
		if x.changed != nil {
			x.changed()
		}
	}
}

func (t *tap) Connect(ctx context.Context) (mcp.Connection, error) {
	connection, err := t.through.Connect(ctx)
	if err != nil {
		return nil, err
	}
	t.Connection = connection
	return t, nil
}

// expect renews the stream's allowance: one answer for every call under way,
// and one for all that comes unasked.
func (t *tap) expect(calls int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting += calls
	t.stream.left.Store(t.limit * (t.waiting + 1))
}

// Write follows only the request itself: the SDK sends its notice of a
// cancellation in the same context.
func (t *tap) Write(ctx context.Context, message jsonrpc.Message) error {
	sent, ok := message.(*jsonrpc.Request)
	x, ours := ctx.Value(exchangeKey{}).(*exchange)
	if !ok || !ours || !sent.IsCall() {
		return t.Connection.Write(ctx, message)
	}
	t.mu.Lock()
	x.id = sent.ID
	t.pending[sent.ID] = x
	t.mu.Unlock()
	if t.piped {
		attempt := x.d.restart()
		x.d.take(attempt) // part of a line may be enough for a process that reads greedily
		return t.Connection.Write(ctx, message)
	}
	return t.Connection.Write(withDelivery(ctx, x.d), message)
}

func (t *tap) take(id jsonrpc.ID) *exchange {
	t.mu.Lock()
	defer t.mu.Unlock()
	x := t.pending[id]
	delete(t.pending, id)
	return x
}

// Read keeps an answer's bytes and hands the SDK an empty one in its place.
func (t *tap) Read(ctx context.Context) (jsonrpc.Message, error) {
	message, err := t.Connection.Read(ctx)
	if err != nil {
		return t.broken(ctx, err)
	}
	answer, ok := message.(*jsonrpc.Response)
	if !ok {
		if told, ok := message.(*jsonrpc.Request); ok && told.Method == listChanged {
			t.listChanged()
		}
		return message, nil
	}
	x := t.take(answer.ID)
	if x == nil {
		return message, nil
	}
	var e *jsonrpc.Error
	switch {
	case errors.As(answer.Error, &e):
		x.err = rpcError{Code: e.Code, Message: e.Message}
	case answer.Error != nil:
		x.err = garbage("its error is not a JSON-RPC error")
	default:
		x.result = answer.Result
	}
	return emptyAnswer(answer.ID), nil
}

// broken hands an answer that can't be read to the only call it can be for.
// Where several wait, or the stream has ended, the session is over.
func (t *tap) broken(ctx context.Context, err error) (jsonrpc.Message, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if ctx.Err() != nil || errors.Is(err, io.EOF) || len(t.pending) != 1 {
		return nil, err
	}
	for id, x := range t.pending {
		delete(t.pending, id)
		x.err = garbage("it is not a JSON-RPC message")
		return emptyAnswer(id), nil
	}
	return nil, err
}

func emptyAnswer(id jsonrpc.ID) *jsonrpc.Response {
	return &jsonrpc.Response{ID: id, Result: json.RawMessage(`{"content":[],"tools":[]}`)}
}
