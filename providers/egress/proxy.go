package egress

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"
)

func parseProxy(text string) (*outlet, error) {
	if text == "" {
		return nil, nil
	}
	u, err := readProxy("TOOL_EGRESS_PROXY", text)
	if err != nil {
		return nil, err
	}
	return &outlet{u, "TOOL_EGRESS_PROXY"}, nil
}

// through is the proxy for what is dialled; nil for none. TOOL_EGRESS_PROXY is for
// everything, the usual variables have exceptions.
func (p *Policy) through(host string, port uint16) *outlet {
	if p.proxy != nil {
		return p.proxy
	}
	return p.usual(host, port)
}

// tunnel reaches a host through the proxy, whose own address nobody checks. The
// host is resolved here and the proxy asked for the very address that was let
// through: what it would make of the name by itself, nobody could check. Names
// that an operator allows are the proxy's to resolve.
func (p *Policy) tunnel(ctx context.Context, proxy *outlet, host string, port uint16) (net.Conn, error) {
	targets, err := p.targets(ctx, host, port)
	if err != nil {
		return nil, err
	}
	for _, target := range targets {
		var conn net.Conn
		if to, literal := netip.ParseAddrPort(target); literal == nil && proxy != p.proxy && p.usual(to.Addr().String(), port) == nil {
			// This machine, or an address that NO_PROXY lists: the name did not show it.
			if conn, err = p.direct(ctx, "tcp", host, target); err == nil {
				return conn, nil
			}
			continue
		}
		if conn, err = p.connect(ctx, proxy, target); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

// targets are the host:port to ask the proxy for, in the resolver's order.
func (p *Policy) targets(ctx context.Context, host string, port uint16) (open []string, err error) {
	digits := strconv.Itoa(int(port))
	if p.byName(host, port) == allowed {
		return []string{net.JoinHostPort(host, digits)}, nil
	}
	resolver := p.resolver
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	addrs, err := resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	for _, addr := range addrs {
		to := netip.AddrPortFrom(addr.Unmap(), port)
		if refused := p.check(host, to); refused != nil {
			err = refused
			continue
		}
		open = append(open, to.String())
	}
	if len(open) == 0 {
		return nil, err
	}
	return open, nil
}

// connect opens one tunnel. An error before it stands means that nothing was sent.
func (p *Policy) connect(ctx context.Context, proxy *outlet, target string) (net.Conn, error) {
	port, _ := portOf(proxy.URL)
	dialer := net.Dialer{Timeout: dialTimeout, KeepAlive: keepAliveTime, Resolver: p.resolver}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(proxy.Hostname(), strconv.Itoa(int(port))))
	if err != nil {
		return nil, fmt.Errorf("the proxy of %s: %w", proxy.variable, err)
	}
	unhook := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	_ = conn.SetDeadline(time.Now().Add(dialTimeout))
	tunnel, err := proxy.handshake(ctx, conn, target)
	if err != nil || !unhook() {
		_ = conn.Close()
		return nil, errors.Join(err, context.Cause(ctx))
	}
	return tunnel, conn.SetDeadline(time.Time{})
}

func (o *outlet) handshake(ctx context.Context, conn net.Conn, target string) (net.Conn, error) {
	if o.Scheme == "https" {
		secure := tls.Client(conn, &tls.Config{ServerName: o.Hostname(), MinVersion: tls.VersionTLS12})
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, fmt.Errorf("the proxy of %s: %w", o.variable, err)
		}
		conn = secure
	}
	request := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: target}, Host: target, Header: http.Header{}}
	if user := o.User; user != nil {
		password, _ := user.Password()
		request.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)))
	}
	if err := request.Write(conn); err != nil {
		return nil, err
	}
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, request)
	if err != nil {
		return nil, fmt.Errorf("the proxy of %s: %w", o.variable, err)
	}
	if response.StatusCode != http.StatusOK {
		_ = response.Body.Close()
		return nil, fmt.Errorf("the proxy of %s refuses %s: %s", o.variable, target, response.Status)
	}
	if reader.Buffered() > 0 { // servers that speak first are none of HTTP's
		return nil, fmt.Errorf("the proxy of %s sent more than its answer", o.variable)
	}
	return conn, nil
}
