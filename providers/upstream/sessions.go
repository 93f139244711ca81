package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"go.uber.org/zap"

	"uaol/providers/egress"
	"uaol/services"
)

// clientName is how UAOL introduces itself to tools.
var clientName = &mcp.Implementation{Name: "uaol", Version: "1"}

// goneError wraps why the server did not act on a request whose session it
// does not know.
type goneError struct{ error }

func (e goneError) Unwrap() error { return e.error }

func (c *Client) callSession(ctx context.Context, target Target, r *request) (*Answer, error) {
	got, err := c.inSession(ctx, target, r, false)
	if err != nil {
		return nil, err
	}
	return got.answer(true, r.talk != nil)
}

// answer judges a reply; one that is none gives its memory back.
func (r reply) answer(mcp, askable bool) (*Answer, error) {
	a, err := judged(r.raw, mcp, askable)
	if err != nil {
		if r.buffer != nil {
			freeBuffer(r.buffer)
		}
		return nil, err
	}
	a.buffer, a.Received = r.buffer, r.received
	return a, nil
}

// keyOf says which of the pool's sessions a target's calls use.
func keyOf(target Target, talk *Talk) sessionKey {
	key := sessionKey{tool: target.ToolID, url: target.URL, protocol: target.Protocol, identity: target.Identity}
	if key.protocol == "" {
		key.protocol = ProtocolMCP
	}
	if talk != nil && talk.Can != "" {
		key.can = talk.Can
		if key.protocol != ProtocolMCP {
			key.who = talk.Who
		}
	}
	if len(target.Allow) > 0 {
		key.allow = strings.Join(target.Allow, ",")
	}
	if target.Protocol == ProtocolStdio {
		key.url, key.process = "", processOf(target)
	}
	return key
}

// inSession sends a request in the target's session. When the request did not
// get to be worked on, because the session or the connection was gone, it is
// sent once more in a new session.
func (c *Client) inSession(ctx context.Context, target Target, r *request, repeatable bool) (reply, error) {
	at := keyOf(target, r.talk)
	for again := false; ; again = true {
		s, err := c.sessions.acquire(ctx, at, target)
		if err != nil {
			return reply{}, fault(ctx, &delivery{}, err, repeatable)
		}
		d := &delivery{key: r.key, tool: target.ToolID}
		got, err := s.request(ctx, r, d)
		if err == nil {
			c.sessions.release(s)
			return got, nil
		}
		var answer RPCError
		var gone goneError
		if errors.As(err, &answer) {
			c.sessions.release(s)
			return reply{}, rpcFault(answer)
		}
		lost := errors.As(err, &gone) || neverLeft(ctx, d, err)
		if lost {
			c.log.Info("tool session lost", zap.Stringer("tool_id", target.ToolID),
				zap.Int64("version", target.Version), zap.Bool("again", !again), zap.Error(withoutURL(err)))
			c.sessions.drop(s)
		}
		c.sessions.release(s)
		if !lost || again {
			return reply{}, fault(ctx, d, err, repeatable)
		}
	}
}

// neverLeft reports a connection that broke before the request was written,
// for a reason that a new connection may cure.
func neverLeft(ctx context.Context, d *delivery, err error) bool {
	var known *services.Error
	var refused *egress.RefusedError
	return ctx.Err() == nil && !d.written() && d.answered() == 0 && !timedOut(err) &&
		!errors.As(err, &known) && !errors.As(err, &refused)
}

func checkAddress(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || (u.Scheme != "http" && u.Scheme != "https") || u.User != nil {
		return services.Errorf(services.Invalid, "the tool's address is not a usable http or https URL, register it again")
	}
	return nil
}

var errSlowSession = fmt.Errorf("the session did not open in time: %w", context.DeadlineExceeded)

// openSession opens a session in a context of its own: it serves everybody who
// waits for it, whatever becomes of the first.
func (c *Client) openSession(key sessionKey, target Target) (session, error) {
	ctx, cancel := context.WithCancelCause(context.Background())
	slow := time.AfterFunc(c.limits.SessionTimeout, func() { cancel(errSlowSession) })
	unhook := context.AfterFunc(c.ctx, func() { cancel(errClosing) })
	d := &delivery{}
	s, err := c.connect(withDelivery(ctx, d), key, target, func() { cancel(nil) })
	inTime := slow.Stop() && unhook()
	if err == nil && inTime {
		c.log.Debug("tool session opened", zap.Stringer("tool_id", key.tool), zap.String("protocol", key.protocol))
		return s, nil
	}
	if err == nil {
		s.close()
		err = context.Cause(ctx)
	}
	c.eras.Invalidate(key.server())
	err = handshakeFault(ctx, d, err)
	cancel(nil)
	return nil, err
}

// connect opens a session by the target's protocol. A server that turned out to
// be older than the stateless protocol is not asked for it again for a while.
func (c *Client) connect(ctx context.Context, key sessionKey, target Target, stop context.CancelFunc) (session, error) {
	if key.protocol == ProtocolStdio {
		if target.Command == nil || target.Command.Path == "" {
			return nil, services.Errorf(services.Invalid, "the tool has no command, register it again")
		}
	} else if err := checkAddress(target.URL); err != nil {
		return nil, err
	}
	options := &mcp.ClientSessionOptions{}
	if _, old := c.eras.GetIfPresent(key.server()); old || key.protocol == ProtocolSSE {
		options.ProtocolVersion = legacy
	}
	if key.protocol == ProtocolStdio {
		return c.openStdio(ctx, key, target, options, stop)
	}
	way, err := c.ways.of(target.Allow)
	if err != nil {
		return nil, err
	}
	if key.protocol == ProtocolSSE {
		return c.openSSE(ctx, way, key, target, options, stop)
	}
	s, err := c.openHTTP(ctx, way, key, target, options, stop)
	if err != nil {
		return nil, err
	}
	if s.version < stateless {
		c.eras.Set(key.server(), struct{}{})
	}
	return s, nil
}

func handshakeFault(ctx context.Context, d *delivery, err error) error {
	var refused *egress.RefusedError
	answer, status := answeredError(err), d.answered()
	var known *services.Error
	switch {
	case errors.As(err, &known) && status == 0:
		return known
	case errors.As(err, &refused):
		return fault(context.Background(), &delivery{}, err, true)
	case errors.Is(context.Cause(ctx), errSlowSession):
		return services.Errorf(services.Timeout, "The tool did not open a session in time").Because(withoutURL(err))
	case ctx.Err() != nil:
		return services.Errorf(services.Unavailable, "the service is stopping, try again").Because(withoutURL(err))
	case status == 0:
		return fault(context.Background(), &delivery{}, err, true)
	case status > 299 && answer != nil:
		return statusFault(status, &RPCError{answer.Code, answer.Message, answer.Data})
	case status > 299:
		return statusFault(status, nil).Because(withoutURL(err))
	case answer != nil:
		return rpcFault(RPCError{answer.Code, answer.Message, answer.Data})
	default:
		return garbage("it does not open an MCP session").Because(withoutURL(err))
	}
}

// answeredError is the JSON-RPC error that a server answered. The SDK uses the
// same type for what never came from a server.
func answeredError(err error) *jsonrpc.Error {
	var answer *jsonrpc.Error
	if errors.As(err, &answer) && answer.Message != "rejected by transport" {
		return answer
	}
	return nil
}
