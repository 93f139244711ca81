package upstream

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"uaol/providers/egress"
)

// way is how requests to some tools leave: a transport with its connections.
type way struct {
	transport *http.Transport
	wires     *wires
	http      *http.Client // for the SDK
}

// do sends a request as http.Client would, at less cost: redirects that
// checkRedirect allows are followed, others are the answer.
func (w *way) do(request *http.Request) (*http.Response, error) {
	via := make([]*http.Request, 0, 1)
	for {
		response, err := w.http.Transport.RoundTrip(request)
		if err != nil || response.StatusCode < 300 || response.StatusCode > 399 {
			return response, err
		}
		next, ok := redirected(request, response)
		if via = append(via, request); !ok || checkRedirect(next, via) != nil {
			return response, nil
		}
		_, _ = io.CopyN(io.Discard, response.Body, 4096)
		_ = response.Body.Close()
		request = next
	}
}

// redirected is the request that a redirect asks for, where that is the same one
// at another address.
func redirected(request *http.Request, response *http.Response) (*http.Request, bool) {
	same := response.StatusCode == http.StatusTemporaryRedirect || response.StatusCode == http.StatusPermanentRedirect
	to, err := response.Location()
	if err != nil || !same && request.Method != http.MethodGet || request.GetBody == nil && request.Body != nil {
		return nil, false
	}
	next := *request
	next.URL, next.Host = to, to.Host
	if request.GetBody != nil {
		if next.Body, err = request.GetBody(); err != nil {
			return nil, false
		}
	}
	return &next, true
}

// ways keeps a transport for each set of exceptions that an admin gave a tool.
// A connection that was opened under an exception stays with the tools that
// have it: the policy is asked when dialling and not when a connection is used
// again.
type ways struct {
	policy *egress.Policy
	limits Limits
	usual  *way

	mu      sync.Mutex
	special map[string]*way
}

func newWays(policy *egress.Policy, limits Limits) *ways {
	return &ways{policy: policy, limits: limits, usual: newWay(policy, limits), special: map[string]*way{}}
}

func newWay(policy *egress.Policy, limits Limits) *way {
	transport := policy.Transport()
	transport.TLSHandshakeTimeout = limits.ConnectTimeout
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, limits.ConnectTimeout)
		defer cancel()
		return dial(ctx, network, address)
	}
	wires := newWires(transport)
	return &way{transport, wires, &http.Client{Transport: courier{transport, wires}, CheckRedirect: checkRedirect}}
}

func (w *way) close() {
	w.transport.CloseIdleConnections()
	w.wires.close()
}

// of gives the way for a tool with these exceptions.
func (w *ways) of(exceptions []string) (*way, error) {
	if len(exceptions) == 0 {
		return w.usual, nil
	}
	key := strings.Join(exceptions, ",")
	w.mu.Lock()
	defer w.mu.Unlock()
	if known := w.special[key]; known != nil {
		return known, nil
	}
	policy, err := w.policy.With(exceptions)
	if err != nil {
		return nil, err
	}
	made := newWay(policy, w.limits)
	w.special[key] = made
	return made, nil
}

func (w *ways) close() {
	w.usual.close()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, special := range w.special {
		special.close()
	}
}

// checkRedirect keeps to the policy's rules, and to the tool's own port: what a
// request carries is for whoever listens there.
func checkRedirect(next *http.Request, via []*http.Request) error {
	if portOf(next) != portOf(via[0]) && (portOf(via[0]) != "80" || portOf(next) != "443") {
		return http.ErrUseLastResponse
	}
	return egress.CheckRedirect(next, via)
}

func portOf(r *http.Request) string {
	switch port := r.URL.Port(); {
	case port != "":
		return port
	case r.URL.Scheme == "https":
		return "443"
	default:
		return "80"
	}
}

// carrying puts a tool's headers on what the SDK sends for it.
type carrying struct {
	next    http.RoundTripper
	headers *atomic.Pointer[http.Header] // those of the latest call: tokens are renewed
}

func (c carrying) RoundTrip(request *http.Request) (*http.Response, error) {
	headers := c.headers.Load()
	if headers == nil || len(*headers) == 0 {
		return c.next.RoundTrip(request)
	}
	with := request.Clone(request.Context())
	carry(with.Header, *headers)
	return c.next.RoundTrip(with)
}

// carry adds headers, except those that belong to the protocol.
func carry(to, headers http.Header) {
	for name, values := range headers {
		switch http.CanonicalHeaderKey(name) {
		case "Content-Type", "Content-Length", "Accept", "Host", "Connection", "Transfer-Encoding",
			"Mcp-Session-Id", "Mcp-Protocol-Version", "Mcp-Method", "Mcp-Name", "Idempotency-Key", "Last-Event-Id":
			continue
		}
		to[name] = values
	}
}
