// Package upstream calls the tools that people register. It speaks MCP over
// streamable HTTP, over SSE and with processes over stdio, bare JSON-RPC, and
// plain REST, keeps MCP sessions, and says of every failure whether the tool may
// have been reached.
package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/maypok86/otter/v2"
	"go.uber.org/zap"

	"uaol/providers/egress"
	"uaol/services"
)

// The protocols a tool may speak.
const (
	ProtocolMCP     = "mcp"      // MCP over streamable HTTP; also what "" stands for
	ProtocolSSE     = "sse"      // MCP over HTTP with SSE, 2024-11-05
	ProtocolJSONRPC = "json-rpc" // tools/call posted without a session
	ProtocolREST    = "rest"     // POST {url}/{method} with the arguments as body, or an OpenAPI document's operations
	ProtocolStdio   = "stdio"    // MCP with a process of ours
)

// Limits bound what a tool may take of us. A zero field stands for its default.
type Limits struct {
	CallTimeout    time.Duration // of a call with all it needs; 60 s
	ConnectTimeout time.Duration // of one dial and of one TLS handshake; 10 s
	SessionTimeout time.Duration // to open an MCP session; 30 s
	IdleTimeout    time.Duration // after which an unused session is closed; 5 min
	MaxAnswer      int64         // bytes of one call's answer with all its events; 10 MB
	Failures       int64         // one after the other, after which a tool is left alone; 5
	Rest           time.Duration // for which it is; 10 s
	Concurrency    int64         // calls of one tool under way; 64
	QueueTimeout   time.Duration // for which a call waits for others to end; 2 s
	Processes      int64         // of stdio tools; 32
}

func (l Limits) orDefaults() Limits {
	l.CallTimeout = positive(l.CallTimeout, 60*time.Second)
	l.ConnectTimeout = positive(l.ConnectTimeout, 10*time.Second)
	l.SessionTimeout = positive(l.SessionTimeout, 30*time.Second)
	l.IdleTimeout = positive(l.IdleTimeout, 5*time.Minute)
	l.MaxAnswer = positive(l.MaxAnswer, 10_000_000)
	l.Failures = positive(l.Failures, 5)
	l.Rest = positive(l.Rest, 10*time.Second)
	l.Concurrency = positive(l.Concurrency, 64)
	l.QueueTimeout = positive(l.QueueTimeout, 2*time.Second)
	l.Processes = positive(l.Processes, 32)
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
	ways      *ways
	sessions  *pool
	gates     *otter.Cache[gateKey, *gate]
	eras      *otter.Cache[sessionKey, struct{}] // of servers that are older than stateless
	processes *processes
	meter     *meter // nil where nobody counts

	ctx  context.Context // ends with Close
	stop context.CancelFunc

	mu     sync.Mutex
	closed bool
	lives  map[*life]struct{}
	calls  sync.WaitGroup
}

// How many tools are remembered, and for how long that a server is old.
const (
	remembered  = 10_000
	rememberFor = time.Hour
)

// New makes a client all of whose connections the policy decides about.
func New(policy *egress.Policy, log *zap.Logger, limits Limits) *Client {
	limits = limits.orDefaults()
	ctx, stop := context.WithCancel(context.Background())
	c := &Client{
		log:    log,
		limits: limits,
		ways:   newWays(policy, limits),
		gates:  otter.Must(&otter.Options[gateKey, *gate]{MaximumSize: remembered}),
		eras: otter.Must(&otter.Options[sessionKey, struct{}]{
			MaximumSize: remembered, ExpiryCalculator: otter.ExpiryWriting[sessionKey, struct{}](rememberFor),
		}),
		processes: newProcesses(log, limits),
		ctx:       ctx,
		stop:      stop,
		lives:     map[*life]struct{}{},
	}
	c.sessions = newPool(limits.IdleTimeout, c.openSession)
	return c
}

// Close cuts the calls in flight, ends every session and waits for both.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	for l := range c.lives {
		l.cancel()
	}
	c.mu.Unlock()
	c.stop()
	c.calls.Wait()
	c.sessions.close()
	c.ways.close()
	c.gates.StopAllGoroutines()
	c.eras.StopAllGoroutines()
	return nil
}

// Ask is one call of a tool's method, or another request of MCP.
type Ask struct {
	Method     string
	Arguments  json.RawMessage // a JSON object; nil stands for {}
	Request    string          // resources/read, prompts/get and the like instead of a call; "" for a call
	Params     json.RawMessage // of that, a JSON object without _meta
	Subject    string          // what that is about: a resource's address, a prompt's name
	Input      json.RawMessage // answers to what the tool asked in an earlier round
	State      json.RawMessage // what the tool wants back with them, a JSON text
	Talk       *Talk           // whoever can be told and asked something while the call goes on
	Key        string          // tells the tool which calls are the same one; also the header Idempotency-Key
	Meta       map[string]any  // further members of the request's _meta
	Repeatable bool            // the tool says that repeating the call does no harm
	Timeout    time.Duration   // 0 stands for Limits.CallTimeout; at most 10 minutes
	Mirrors    []Mirror        // arguments that go into headers too
	Changed    func()          // is told that the tool's list of methods has changed
}

func (a *Ask) check() error {
	if a.Request != "" {
		if !isNull(a.Params) && (!isObject(a.Params) || !json.Valid(a.Params)) {
			return services.Errorf(services.Invalid, "params must be a JSON object")
		}
		return checkKey(a.Key)
	}
	if a.Method == "" {
		return services.Errorf(services.Invalid, "Method is required")
	}
	if len(a.Method) > longestMethod || strings.ContainsFunc(a.Method, unicode.IsControl) || !utf8.ValidString(a.Method) {
		return services.Errorf(services.Invalid, "method must be a tool's name of at most %d characters", longestMethod)
	}
	if isNull(a.Arguments) {
		a.Arguments = json.RawMessage("{}")
	}
	if !isObject(a.Arguments) || !json.Valid(a.Arguments) {
		return services.Errorf(services.Invalid, "params must be a JSON object")
	}
	return checkKey(a.Key)
}

// checkKey judges an idempotency key; "" is none.
func checkKey(key string) error {
	if len(key) > 255 {
		return services.Errorf(services.Invalid, "the idempotency key must have 1 to 255 characters")
	}
	for i := range len(key) {
		if key[i] < 0x20 || key[i] > 0x7e {
			return services.Errorf(services.Invalid, "the idempotency key must be printable ASCII")
		}
	}
	return nil
}

// Call calls a method of a tool with the arguments params, a JSON object, and
// answers MCP's result object {"content":[…],"isError":…} as the tool wrote it.
// A result with isError is not an error. meta goes into the request's _meta;
// its "idempotencyKey" is sent as the header Idempotency-Key as well.
func (c *Client) Call(ctx context.Context, target Target, method string, params json.RawMessage, meta map[string]any) (json.RawMessage, error) {
	ask := Ask{Method: method, Arguments: params, Meta: meta}
	if value, ok := meta["idempotencyKey"]; ok {
		if ask.Key = fmt.Sprint(value); ask.Key == "" {
			return nil, services.Errorf(services.Invalid, "the idempotency key must have 1 to 255 characters")
		}
	}
	if _, err := encode(meta); err != nil {
		return nil, err
	}
	pass, err := c.Admit(ctx, target, 0)
	if err != nil {
		return nil, err
	}
	defer pass.Done()
	answer, err := pass.Call(ctx, ask)
	if err != nil {
		return nil, err
	}
	defer answer.Close()
	return append(json.RawMessage(nil), answer.Result...), nil
}

// call makes one attempt.
func (c *Client) call(ctx context.Context, l *life, target Target, ask *Ask) (*Answer, error) {
	r := request{
		method: callRequest, tool: ask.Method, subject: ask.Method, arguments: ask.Arguments, key: ask.Key, meta: ask.Meta,
		input: ask.Input, state: ask.State, talk: ask.Talk,
		headers: target.Headers, mirrors: ask.Mirrors, changed: ask.Changed, life: l,
	}
	if ask.Request != "" {
		r.method, r.subject, r.params, r.mirrors = ask.Request, ask.Subject, ask.Params, nil
		if !target.speaksMCP() {
			return nil, notMCP(target)
		}
	}
	switch target.Protocol {
	case ProtocolMCP, "", ProtocolSSE, ProtocolStdio:
		return c.callSession(ctx, target, &r)
	case ProtocolJSONRPC:
		return c.callBare(ctx, target, &r)
	case ProtocolREST:
		return c.callREST(ctx, target, &r)
	default:
		return nil, unknownProtocol(target.Protocol)
	}
}

// List gives all methods of a tool. A REST tool has no way to name its methods
// and gives those of its OpenAPI document, if it has one.
func (c *Client) List(ctx context.Context, target Target) ([]Method, error) {
	ctx, l, err := c.begin(ctx, 0, false)
	if err != nil {
		return nil, err
	}
	defer l.end()
	switch target.Protocol {
	case ProtocolMCP, "", ProtocolSSE, ProtocolStdio:
		return c.listSession(ctx, target)
	case ProtocolJSONRPC:
		return c.listBare(ctx, target)
	case ProtocolREST:
		methods := make([]Method, 0, len(target.Operations))
		for _, o := range target.Operations {
			methods = append(methods, o.Method)
		}
		return methods, nil
	default:
		return nil, unknownProtocol(target.Protocol)
	}
}

func unknownProtocol(protocol string) error {
	return services.Errorf(services.Invalid, "the protocol %.40q is unknown, use mcp, sse, stdio, json-rpc or rest", protocol)
}

var (
	errTooSlow = errors.New("the time for the call is up")
	errClosing = errors.New("the client is closed")
)

// life is how long a call lasts: until its time is up, its caller leaves or the
// client closes. Unlike the caller's own context it can go on for a moment after
// the call has returned, to read a stream to its end.
type life struct {
	client   *Client
	cancel   context.CancelFunc
	unhook   func() bool
	outlives bool
	clock    *clock // of a call in which somebody may be asked
}

// begin counts a call for Close and bounds it. The time in which its caller is asked
// something does not count, but for the longest that any call may take.
func (c *Client) begin(caller context.Context, timeout time.Duration, asking bool) (context.Context, *life, error) {
	if timeout <= 0 {
		timeout = c.limits.CallTimeout
	}
	timeout = min(timeout, longestCall)
	end := time.Now().Add(timeout)
	if asking {
		end = time.Now().Add(longestCall)
	}
	if sooner, ok := caller.Deadline(); ok && sooner.Before(end) {
		end = sooner
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, nil, services.Errorf(services.Unavailable, "the service is stopping, try again")
	}
	ctx, cancel := context.WithDeadlineCause(context.WithoutCancel(caller), end, errTooSlow)
	l := &life{client: c, cancel: cancel, unhook: context.AfterFunc(caller, cancel)}
	if asking {
		var late context.CancelCauseFunc
		ctx, late = context.WithCancelCause(ctx)
		l.clock = &clock{end: time.Now().Add(timeout), timer: time.AfterFunc(timeout, func() { late(errTooSlow) })}
	}
	c.calls.Add(1)
	c.lives[l] = struct{}{}
	return ctx, l, nil
}

// end is when the call returns.
func (l *life) end() {
	l.unhook()
	if l.clock != nil {
		l.clock.timer.Stop()
	}
	if !l.outlives {
		l.cancel()
	}
	l.client.mu.Lock()
	delete(l.client.lives, l)
	l.client.mu.Unlock()
	l.client.calls.Done()
}

// outlive keeps the call's context alive until the function it gives is called;
// false if the caller has left already.
func (l *life) outlive() (end context.CancelFunc, ok bool) {
	if l == nil || !l.unhook() {
		return nil, false
	}
	l.outlives = true
	return l.cancel, true
}

// longestCall is the most time that a tool may ask for one call.
const longestCall = 10 * time.Minute

// longestMethod is twice what MCP allows the name of a tool, in bytes.
const longestMethod = 256
