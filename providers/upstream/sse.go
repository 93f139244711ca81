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
	sdk          *mcp.ClientSession
	offers       Offered
	introduction string // members of _meta, in the stateless protocol
	tap          *tap
	headers      atomic.Pointer[http.Header] // of the latest call
	tokens       atomic.Int64                // that tell requests in notifications of how far they are
	gone         func() error                // why there is nobody left to ask; nil while there is
	stop         func()
}

func (c *Client) openSSE(ctx context.Context, way *way, key sessionKey, target Target, options *mcp.ClientSessionOptions, stop context.CancelFunc) (session, error) {
	home, err := url.Parse(target.URL)
	if err != nil {
		return nil, err
	}
	s := &tapped{tap: newTap(c.limits.MaxAnswer, ctx), stop: stop}
	s.headers.Store(&target.Headers)
	s.tap.through = &mcp.SSEClientTransport{
		Endpoint: target.URL,
		HTTPClient: &http.Client{
			Transport:     pinned{carrying{way.http.Transport, &s.headers}, home, s.tap.stream, c.limits.MaxAnswer, ctx},
			CheckRedirect: way.http.CheckRedirect,
		},
		MaxEventSize: -1, // pinned bounds the stream, and remembers that it did
	}
	return s, s.connect(ctx, key.can, options)
}

func (s *tapped) connect(ctx context.Context, can Capabilities, options *mcp.ClientSessionOptions) (err error) {
	if s.sdk, err = newSDKClient(can).Connect(ctx, s.tap, options); err != nil {
		return err
	}
	if s.offers = offeredBy(s.sdk); s.offers.Version >= stateless {
		s.introduction, err = introductionOf(s.offers.Version)
	}
	return err
}

func (s *tapped) offered() Offered { return s.offers }

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
	x := &exchange{d: d, r: r, ctx: ctx, token: s.tokens.Add(1)}
	var err error
	if x.params, err = r.appendParams(nil, x.token, s.introduction); err != nil {
		return reply{}, err
	}
	s.loosen(ctx, r)
	s.tap.expect(1)
	defer s.tap.expect(-1)
	defer func() { s.tap.take(x.id) }()
	// The SDK carries any request as a call of a method; the tap writes what it really is.
	_, err = s.sdk.CallTool(context.WithValue(ctx, exchangeKey{}, x), &mcp.CallToolParams{Name: "uaol"})
	switch status := d.answered(); {
	case err == nil:
		return reply{raw: x.result, received: int64(len(x.result))}, x.err
	case d.written() && s.tap.stream.over.Load():
		return reply{}, errTooLarge
	case status == http.StatusNotFound, status == http.StatusBadRequest:
		return reply{}, goneError{statusFault(status, nil)}
	case status != 0 && (status < 200 || status > 299):
		return reply{}, statusFault(status, nil)
	case !d.written() && ctx.Err() == nil && errors.Is(err, mcp.ErrConnectionClosed):
		return reply{}, goneError{err}
	case s.gone != nil && s.gone() != nil:
		return reply{}, brokenError{err}
	}
	return reply{}, err
}

// loosen lets the server send the log messages that are wanted.
func (s *tapped) loosen(ctx context.Context, r *request) {
	if r.talk == nil || s.introduction != "" || !s.offers.Logging {
		return
	}
	s.tap.level.loosen(ctx, s.sdk, r.talk.Level)
}

// exchange is a request of ours and, once the SDK has handed it back, its answer.
type exchange struct {
	id     jsonrpc.ID
	d      *delivery
	r      *request
	ctx    context.Context // the request's
	token  int64
	params json.RawMessage
	result json.RawMessage
	err    error
}

type exchangeKey struct{}

// tap is a transport that wraps the SDK's and knows which answers are ours.
type tap struct {
	through mcp.Transport
	mcp.Connection
	limit  int64 // bytes of one answer
	stream *allowance
	piped  bool // what Write has taken has left: there is no request to follow
	level  level
	ctx    context.Context // the session's

	mu      sync.Mutex
	waiting int64
	pending map[jsonrpc.ID]*exchange
}

func newTap(limit int64, ctx context.Context) *tap {
	return &tap{limit: limit, ctx: ctx, stream: newAllowance(limit), pending: map[jsonrpc.ID]*exchange{}}
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
	real := *sent
	real.Method, real.Params = x.r.method, x.params
	t.mu.Lock()
	x.id = sent.ID
	t.pending[sent.ID] = x
	t.mu.Unlock()
	if t.piped {
		attempt := x.d.restart()
		x.d.take(attempt) // part of a line may be enough for a process that reads greedily
		return t.Connection.Write(ctx, &real)
	}
	return t.Connection.Write(withDelivery(ctx, x.d), &real)
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
	for err == nil && t.heed(message) {
		message, err = t.Connection.Read(ctx)
	}
	if err != nil {
		return t.broken(ctx, err)
	}
	answer, ok := message.(*jsonrpc.Response)
	if !ok {
		return message, nil
	}
	x := t.take(answer.ID)
	if x == nil {
		return message, nil
	}
	var e *jsonrpc.Error
	switch {
	case errors.As(answer.Error, &e):
		x.err = RPCError{e.Code, e.Message, e.Data}
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
	return &jsonrpc.Response{ID: id, Result: json.RawMessage(`{"content":[]}`)}
}

// heed deals with what a server says and asks in between; true where the SDK need not
// see it.
func (t *tap) heed(message jsonrpc.Message) bool {
	told, ok := message.(*jsonrpc.Request)
	if !ok {
		return false
	}
	if !told.IsCall() {
		t.told(told)
		return false
	}
	if told.Method != Elicit && told.Method != Sample && told.Method != ListRoots {
		return false
	}
	x := t.askedOf()
	if x == nil {
		return false // the SDK refuses it
	}
	go func() {
		answer := &jsonrpc.Response{ID: told.ID}
		result, fault := x.r.answer(x.ctx, question{Method: told.Method, Params: told.Params})
		if answer.Result = result; fault != nil {
			answer.Error = &jsonrpc.Error{Code: fault.Code, Message: fault.Message, Data: fault.Data}
		}
		ctx, cancel := context.WithTimeout(t.ctx, sayTimeout)
		defer cancel()
		_ = t.Connection.Write(ctx, answer) // whoever can't be told notices by itself
	}()
	return true
}

// askedOf is the call that a question is of: nothing says so here, but the session is
// one client's alone, and the oldest of its calls that can be asked is as good as any.
func (t *tap) askedOf() (oldest *exchange) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, x := range t.pending {
		if x.r.talk != nil && x.r.talk.Answer != nil && x.r.questions.Load() < mostQuestions && (oldest == nil || x.token < oldest.token) {
			oldest = x
		}
	}
	if oldest != nil {
		oldest.r.questions.Add(1)
	}
	return oldest
}

// told passes a notification on to the call that it is about. Log messages do not say
// so: they are told where only one call is under way.
func (t *tap) told(said *jsonrpc.Request) {
	t.mu.Lock()
	about := make([]*exchange, 0, 1)
	for _, x := range t.pending {
		switch said.Method {
		case listChanged:
			about = append(about, x)
		case notifyProgress:
			if progressToken(said.Params) == x.token {
				about = append(about, x)
			}
		case notifyMessage:
			if len(t.pending) == 1 {
				about = append(about, x)
			}
		}
	}
	t.mu.Unlock()
	for _, x := range about {
		x.r.told(said.Method, said.Params)
	}
}

func progressToken(params json.RawMessage) int64 {
	var said struct {
		Token int64 `json:"progressToken"`
	}
	if json.Unmarshal(params, &said) != nil {
		return -1
	}
	return said.Token
}
