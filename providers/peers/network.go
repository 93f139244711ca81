package peers

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"uaol/providers/tlsfiles"
)

const (
	// dialTimeout is for a connection, and again for its TLS.
	dialTimeout = 3 * time.Second
	// headerTimeout is how long an answer may take to begin; a tool call's own limit is shorter.
	headerTimeout = 2 * time.Minute
	// Idle is how long a connection is kept that nothing is sent on. A process that
	// stops says so in its answers for longer than that (UAOL_DRAIN_DELAY) before it
	// closes what is idle: so no request is sent on a connection that is being closed.
	Idle = time.Second
)

// network is what all peers of a process share: connections, and what is known of
// addresses.
type network struct {
	transport *http.Transport

	mu        sync.Mutex
	addresses map[string]*address
	looks     sync.WaitGroup
	closed    bool
	life      context.Context // of looks
	end       context.CancelFunc
}

// unreached is an error of dialling: nothing was sent.
type unreached struct{ error }

func (u unreached) Unwrap() error { return u.error }

func newNetwork(mutual *tlsfiles.Pair) *network {
	n := &network{addresses: map[string]*address{}}
	n.life, n.end = context.WithCancel(context.Background())
	dialer := &net.Dialer{Timeout: dialTimeout}
	dial := func(ctx context.Context, kind, at string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, kind, at)
		if err != nil {
			return nil, unreached{err}
		}
		return conn, nil
	}
	n.transport = &http.Transport{
		DialContext: dial,
		DialTLSContext: func(ctx context.Context, kind, at string) (net.Conn, error) {
			conn, err := dial(ctx, kind, at)
			if err != nil {
				return nil, err
			}
			return secure(ctx, conn, at, mutual)
		},
		MaxIdleConnsPerHost:   256,
		IdleConnTimeout:       Idle,
		ResponseHeaderTimeout: headerTimeout,
		DisableCompression:    true, // what is passed on stays as it is
	}
	return n
}

// secure begins TLS: with our certificate and our authorities alone, if services
// of ours show each other certificates.
func secure(ctx context.Context, conn net.Conn, at string, mutual *tlsfiles.Pair) (net.Conn, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS13}
	if mutual != nil {
		cfg = mutual.ClientConfig()
	}
	cfg.ServerName, _, _ = net.SplitHostPort(at) // a URL's host and port
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	secured := tls.Client(conn, cfg)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, unreached{err}
	}
	return secured, nil
}

// at is the address of a URL, the same one for all who ask.
func (n *network) at(u *url.URL) *address {
	n.mu.Lock()
	defer n.mu.Unlock()
	a := n.addresses[u.String()]
	if a == nil {
		a = &address{url: u, network: n}
		n.addresses[u.String()] = a
	}
	return a
}

// begin runs a look, unless the process is stopping.
func (n *network) begin(look func()) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return false
	}
	n.looks.Go(look)
	return true
}

func (n *network) close() {
	n.mu.Lock()
	n.closed = true
	n.mu.Unlock()
	n.end()
	n.looks.Wait()
	n.transport.CloseIdleConnections()
}

// lookTimeout is more than a process's own checks take.
const lookTimeout = 3 * time.Second

// ready asks a process whether it wants requests: the status of its answer, or 0.
func (n *network) ready(ctx context.Context, at *url.URL) (status int) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.JoinPath("readyz").String(), nil)
	if err != nil {
		return 0
	}
	response, err := n.transport.RoundTrip(request)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	_, _ = io.CopyN(io.Discard, response.Body, 64<<10) // so that the connection can be used again
	return response.StatusCode
}
