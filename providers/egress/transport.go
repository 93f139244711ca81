package egress

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"syscall"
	"time"
)

// Time limits of a connection. None bounds an answer: a tool may think for as
// long as its caller waits.
const (
	dialTimeout   = 10 * time.Second
	tlsTimeout    = 10 * time.Second
	idleTimeout   = 90 * time.Second
	maxHeaders    = 256 << 10 // bytes of an answer's headers
	idlePerHost   = 32
	maxRedirects  = 3
	keepAliveTime = 30 * time.Second
)

// Transport makes a transport that asks the policy about every connection,
// after DNS, so for each redirect and each address of a name. A proxy is
// asked for a tunnel to an address that was let through, never for a URL: what it
// would make of a name by itself, nobody could check.
func (p *Policy) Transport() *http.Transport {
	return &http.Transport{
		Proxy:                  nil,
		DialContext:            p.dial,
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    tlsTimeout,
		IdleConnTimeout:        idleTimeout,
		ExpectContinueTimeout:  time.Second,
		MaxIdleConns:           1024,
		MaxIdleConnsPerHost:    idlePerHost,
		MaxResponseHeaderBytes: maxHeaders,
	}
}

func (p *Policy) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, digits, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("dial %q: %w", address, err)
	}
	port, err := strconv.ParseUint(digits, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("dial %q: the port must be a number", address)
	}
	if name, err := hostName(host); err == nil {
		host = name
	}
	if p.byName(host, uint16(port)) == denied {
		return nil, &RefusedError{Host: host, Deny: true}
	}
	if proxy := p.through(host, uint16(port)); proxy != nil {
		return p.tunnel(ctx, proxy, host, uint16(port))
	}
	return p.direct(ctx, network, host, address)
}

// direct dials and asks the policy about the address that this led to.
func (p *Policy) direct(ctx context.Context, network, host, address string) (net.Conn, error) {
	dialer := net.Dialer{
		Timeout:   dialTimeout,
		KeepAlive: keepAliveTime,
		Resolver:  p.resolver,
		ControlContext: func(_ context.Context, network, resolved string, _ syscall.RawConn) error {
			to, err := netip.ParseAddrPort(resolved)
			if err != nil || (network != "tcp4" && network != "tcp6") {
				return &RefusedError{Host: host, Addr: resolved}
			}
			return p.check(host, to)
		},
	}
	return dialer.DialContext(ctx, network, address)
}

// CheckRedirect is for http.Client: it follows at most three redirects, none
// to another host, from https to http, or into another method. What it does
// not follow is handed to the caller as the answer.
func CheckRedirect(next *http.Request, via []*http.Request) error {
	first := via[0]
	switch {
	case len(via) > maxRedirects,
		next.URL.Hostname() != first.URL.Hostname(),
		next.Method != first.Method,
		first.URL.Scheme == "https" && next.URL.Scheme != "https":
		return http.ErrUseLastResponse
	}
	return nil
}
