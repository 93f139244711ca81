package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"go.uber.org/zap"

	"uaol/providers/egress"
	"uaol/services"
)

// clientName is how UAOL introduces itself to tools.
var clientName = &mcp.Implementation{Name: "uaol", Version: "1"}

// request is one JSON-RPC request of a session; tool is set for tools/call.
type request struct {
	method string
	tool   string
	params map[string]any
}

// goneError wraps why the server did not act on a request whose session it
// does not know.
type goneError struct{ error }

func (e goneError) Unwrap() error { return e.error }

func (c *Client) callSession(ctx context.Context, target Target, call callParams, key string) (json.RawMessage, error) {
	params := map[string]any{"name": call.Name, "arguments": call.Arguments}
	if len(call.Meta) > 0 {
		params["_meta"] = maps.Clone(call.Meta)
	}
	raw, err := c.inSession(ctx, target, request{"tools/call", call.Name, params}, key, false)
	if err != nil {
		return nil, err
	}
	return asResult(raw)
}

// inSession sends a request in the target's session. When the request did not
// get to be worked on, because the session or the connection was gone, it is
// sent once more in a new session.
func (c *Client) inSession(ctx context.Context, target Target, r request, key string, repeatable bool) (json.RawMessage, error) {
	if err := checkAddress(target.URL); err != nil {
		return nil, err
	}
	at := sessionKey{target.ToolID, target.URL, target.Protocol}
	if at.protocol == "" {
		at.protocol = ProtocolMCP
	}
	for again := false; ; again = true {
		s, err := c.sessions.acquire(ctx, at)
		if err != nil {
			return nil, fault(ctx, &delivery{}, err, repeatable)
		}
		d := &delivery{key: key}
		raw, err := s.request(ctx, r, d)
		var answer rpcError
		var gone goneError
		switch {
		case err == nil:
			c.sessions.release(s)
			return raw, nil
		case errors.As(err, &answer):
			c.sessions.release(s)
			return nil, rpcFault(answer.Code, answer.Message)
		}
		lost := errors.As(err, &gone) || neverLeft(ctx, d, err)
		if lost {
			c.log.Info("tool session lost", zap.Stringer("tool_id", target.ToolID),
				zap.Int64("version", target.Version), zap.Bool("again", !again), zap.Error(withoutURL(err)))
			c.sessions.drop(s)
		}
		c.sessions.release(s)
		if !lost || again {
			return nil, fault(ctx, d, err, repeatable)
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
func (c *Client) openSession(key sessionKey) (session, error) {
	ctx, cancel := context.WithCancelCause(context.Background())
	slow := time.AfterFunc(c.limits.SessionTimeout, func() { cancel(errSlowSession) })
	unhook := context.AfterFunc(c.ctx, func() { cancel(errClosing) })
	d := &delivery{}
	var s session
	var err error
	if key.protocol == ProtocolSSE {
		s, err = c.openSSE(withDelivery(ctx, d), key.url, func() { cancel(nil) })
	} else {
		s, err = c.openHTTP(withDelivery(ctx, d), key.url, func() { cancel(nil) })
	}
	inTime := slow.Stop() && unhook()
	if err == nil && inTime {
		c.log.Debug("tool session opened", zap.Stringer("tool_id", key.tool), zap.String("protocol", key.protocol))
		return s, nil
	}
	if err == nil {
		s.close()
		err = context.Cause(ctx)
	}
	err = handshakeFault(ctx, d, err)
	cancel(nil)
	return nil, err
}

func handshakeFault(ctx context.Context, d *delivery, err error) error {
	var refused *egress.RefusedError
	answer, status := answeredError(err), d.answered()
	switch {
	case errors.As(err, &refused):
		return fault(context.Background(), &delivery{}, err, true)
	case errors.Is(context.Cause(ctx), errSlowSession):
		return services.Errorf(services.Timeout, "The tool did not open a session in time").Because(withoutURL(err))
	case ctx.Err() != nil:
		return services.Errorf(services.Unavailable, "the service is stopping, try again").Because(withoutURL(err))
	case status == 0:
		return fault(context.Background(), &delivery{}, err, true)
	case status > 299 && answer != nil:
		return statusFault(status, &answer.Code, answer.Message)
	case status > 299:
		return statusFault(status, nil, "").Because(withoutURL(err))
	case answer != nil:
		return rpcFault(answer.Code, answer.Message)
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
