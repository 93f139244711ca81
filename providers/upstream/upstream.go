// Package upstream calls the tools that people register. It speaks MCP over
// streamable HTTP and over SSE, bare JSON-RPC, and plain REST, keeps MCP
// sessions, and says of every failure whether the tool may have been reached.
package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"go.uber.org/zap"

	"uaol/providers/egress"
	"uaol/services"
)

// The protocols a tool may speak.
const (
	ProtocolMCP     = "mcp"      // MCP over streamable HTTP; also what "" stands for
	ProtocolSSE     = "sse"      // MCP over HTTP with SSE, 2024-11-05
	ProtocolJSONRPC = "json-rpc" // tools/call posted without a session
	ProtocolREST    = "rest"     // POST {url}/{method} with the arguments as body
	ProtocolStdio   = "stdio"    // known, but refused: it needs a process of its own
)

// Limits bound what a tool may take of us. A zero field stands for its default.
type Limits struct {
	CallTimeout    time.Duration // of a call with all it needs; 60 s
	ConnectTimeout time.Duration // of one dial and of one TLS handshake; 10 s
	SessionTimeout time.Duration // to open an MCP session; 30 s
	IdleTimeout    time.Duration // after which an unused session is closed; 5 min
	MaxAnswer      int64         // bytes of one call's answer with all its events; 10 MB
}

func (l Limits) orDefaults() Limits {
	l.CallTimeout = positive(l.CallTimeout, 60*time.Second)
	l.ConnectTimeout = positive(l.ConnectTimeout, 10*time.Second)
	l.SessionTimeout = positive(l.SessionTimeout, 30*time.Second)
	l.IdleTimeout = positive(l.IdleTimeout, 5*time.Minute)
	l.MaxAnswer = positive(l.MaxAnswer, 10_000_000)
	return l
}

func positive[N int64 | time.Duration](value, otherwise N) N {
	if value > 0 {
		return value
	}
	return otherwise
}

// Client calls tools. It is safe for concurrent use and must be closed.
type Client struct {
	log       *zap.Logger
	limits    Limits
	transport *http.Transport
	http      *http.Client
	sessions  *pool

	ctx  context.Context // ends with Close
	stop context.CancelFunc

	mu     sync.Mutex
	closed bool
	calls  sync.WaitGroup
}

// New makes a client all of whose connections the policy decides about.
func New(policy *egress.Policy, log *zap.Logger, limits Limits) *Client {
	limits = limits.orDefaults()
	transport := policy.Transport()
	transport.TLSHandshakeTimeout = limits.ConnectTimeout
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, limits.ConnectTimeout)
		defer cancel()
		return dial(ctx, network, address)
	}
	ctx, stop := context.WithCancel(context.Background())
	c := &Client{
		log:       log,
		limits:    limits,
		transport: transport,
		http:      &http.Client{Transport: courier{transport}, CheckRedirect: egress.CheckRedirect},
		ctx:       ctx,
		stop:      stop,
	}
	c.sessions = newPool(limits.IdleTimeout, c.openSession)
	return c
}

// Close cuts the calls in flight, ends every session and waits for both.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.stop()
	c.calls.Wait()
	c.sessions.close()
	c.transport.CloseIdleConnections()
	return nil
}

// Call calls a method of a tool with the arguments params, a JSON object, and
// answers MCP's result object {"content":[…],"isError":…} as the tool wrote it.
// A result with isError is not an error. meta goes into the request's _meta;
// its "idempotencyKey" is sent as the header Idempotency-Key as well.
func (c *Client) Call(ctx context.Context, target Target, method string, params json.RawMessage, meta map[string]any) (json.RawMessage, error) {
	if method == "" {
		return nil, services.Errorf(services.Invalid, "Method is required")
	}
	if len(method) > longestMethod || strings.ContainsFunc(method, unicode.IsControl) || !utf8.ValidString(method) {
		return nil, services.Errorf(services.Invalid, "method must be a tool's name of at most %d characters", longestMethod)
	}
	arguments, err := asArguments(params)
	if err != nil {
		return nil, err
	}
	key, err := idempotencyKey(meta)
	if err != nil {
		return nil, err
	}
	if _, err := encode(meta); err != nil {
		return nil, err
	}
	ctx, done, err := c.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	call := callParams{Meta: meta, Name: method, Arguments: arguments}
	switch target.Protocol {
	case ProtocolMCP, "", ProtocolSSE:
		return c.callSession(ctx, target, call, key)
	case ProtocolJSONRPC:
		return c.callBare(ctx, target, call, key)
	case ProtocolREST:
		return c.callREST(ctx, target, call, key)
	default:
		return nil, unknownProtocol(target.Protocol)
	}
}

// List gives all methods of a tool. A REST tool has no way to name its methods
// and gives none.
func (c *Client) List(ctx context.Context, target Target) ([]Method, error) {
	ctx, done, err := c.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	switch target.Protocol {
	case ProtocolMCP, "", ProtocolSSE:
		return c.listSession(ctx, target)
	case ProtocolJSONRPC:
		return c.listBare(ctx, target)
	case ProtocolREST:
		return []Method{}, nil
	default:
		return nil, unknownProtocol(target.Protocol)
	}
}

func unknownProtocol(protocol string) error {
	if protocol == ProtocolStdio {
		return services.Errorf(services.Invalid, "a stdio tool can't be called here yet, serve it over HTTP and register it as mcp")
	}
	return services.Errorf(services.Invalid, "the protocol %.40q is unknown, use mcp, sse, json-rpc or rest", protocol)
}

var (
	errTooSlow = errors.New("the time for the call is up")
	errClosing = errors.New("the client is closed")
)

// begin counts a call for Close and bounds it.
func (c *Client) begin(ctx context.Context) (context.Context, func(), error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, nil, services.Errorf(services.Unavailable, "the service is stopping, try again")
	}
	c.calls.Add(1)
	ctx, cut := context.WithCancelCause(ctx)
	ctx, cancel := context.WithTimeoutCause(ctx, c.limits.CallTimeout, errTooSlow)
	unhook := context.AfterFunc(c.ctx, func() { cut(errClosing) })
	return ctx, func() {
		unhook()
		cancel()
		cut(nil)
		c.calls.Done()
	}, nil
}

// longestMethod is twice what MCP allows the name of a tool, in bytes.
const longestMethod = 256

// callParams are the params of tools/call.
type callParams struct {
	Meta      map[string]any  `json:"_meta,omitempty"`
	Name      string          `json:"name"`
	Arguments json.RawMessage `json:"arguments"`
}

func asArguments(params json.RawMessage) (json.RawMessage, error) {
	if isNull(params) {
		return json.RawMessage("{}"), nil
	}
	if !json.Valid(params) || !isObject(params) {
		return nil, services.Errorf(services.Invalid, "params must be a JSON object")
	}
	return params, nil
}

func idempotencyKey(meta map[string]any) (string, error) {
	value, ok := meta["idempotencyKey"]
	if !ok {
		return "", nil
	}
	key := fmt.Sprint(value)
	if key == "" || len(key) > 255 {
		return "", services.Errorf(services.Invalid, "the idempotency key must have 1 to 255 characters")
	}
	for i := range len(key) {
		if key[i] < 0x20 || key[i] > 0x7e {
			return "", services.Errorf(services.Invalid, "the idempotency key must be printable ASCII")
		}
	}
	return key, nil
}
