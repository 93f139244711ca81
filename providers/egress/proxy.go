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

	"uaol/providers/config"
)

func parseProxy(text string) (*url.URL, error) {
	if text == "" {
		return nil, nil
	}
	u, err := url.Parse(text)
	if err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && (u.Path == "" || u.Path == "/") && u.RawQuery == "" {
		if _, ok := portOf(u); ok {
			return u, nil
		}
	}
	return nil, &config.Fault{Variable: "TOOL_EGRESS_PROXY", Value: "(not shown)", Want: "a URL such as http://proxy.example.com:3128"}
}

// tunnel reaches a host through the proxy, whose own address nobody checks. The
// host is resolved here and the proxy asked for the very address that was let
// through: what it would make of the name by itself, nobody could check. Names
// that an operator allows are the proxy's to resolve.
func (p *Policy) tunnel(ctx context.Context, host string, port uint16) (net.Conn, error) {
	targets, err := p.targets(ctx, host, port)
	if err != nil {
		return nil, err
	}
	for _, target := range targets {
		var conn net.Conn
		if conn, err = p.connect(ctx, target); err == nil {
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
func (p *Policy) connect(ctx context.Context, target string) (net.Conn, error) {
	port, _ := portOf(p.proxy)
	dialer := net.Dialer{Timeout: dialTimeout, KeepAlive: keepAliveTime, Resolver: p.resolver}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(p.proxy.Hostname(), strconv.Itoa(int(port))))
	if err != nil {
		return nil, fmt.Errorf("the proxy of TOOL_EGRESS_PROXY: %w", err)
	}
	unhook := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	_ = conn.SetDeadline(time.Now().Add(dialTimeout))
	tunnel, err := p.handshake(ctx, conn, target)
	if err != nil || !unhook() {
		_ = conn.Close()
		return nil, errors.Join(err, context.Cause(ctx))
	}
	return tunnel, conn.SetDeadline(time.Time{})
}

func (p *Policy) handshake(ctx context.Context, conn net.Conn, target string) (net.Conn, error) {
	if p.proxy.Scheme == "https" {
		secure := tls.Client(conn, &tls.Config{ServerName: p.proxy.Hostname(), MinVersion: tls.VersionTLS12})
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, fmt.Errorf("the proxy of TOOL_EGRESS_PROXY: %w", err)
		}
		conn = secure
	}
	request := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: target}, Host: target, Header: http.Header{}}
	if user := p.proxy.User; user != nil {
		password, _ := user.Password()
		request.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)))
	}
	if err := request.Write(conn); err != nil {
		return nil, err
	}
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, request)
	if err != nil {
		return nil, fmt.Errorf("the proxy of TOOL_EGRESS_PROXY: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		_ = response.Body.Close()
		return nil, fmt.Errorf("the proxy of TOOL_EGRESS_PROXY refuses %s: %s", target, response.Status)
	}
	if reader.Buffered() > 0 { // servers that speak first are none of HTTP's
		return nil, errors.New("the proxy of TOOL_EGRESS_PROXY sent more than its answer")
	}
	return conn, nil
}
