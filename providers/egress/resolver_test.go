package egress

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"
)

// nameserver answers every question about an IPv4 address with the next of its
// answers, and keeps to the last one.
type nameserver struct {
	mu      sync.Mutex
	answers []netip.Addr
	asked   int
}

// resolver speaks to a real name server on loopback.
func resolver(t *testing.T, answers ...string) (*net.Resolver, *nameserver) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	n := &nameserver{}
	for _, a := range answers {
		n.answers = append(n.answers, netip.MustParseAddr(a))
	}
	go func() {
		buffer := make([]byte, 512)
		for {
			size, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			if answer, err := n.answer(buffer[:size]); err == nil {
				_, _ = conn.WriteTo(answer, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}, n
}

func (n *nameserver) answer(question []byte) ([]byte, error) {
	var message dnsmessage.Message
	if err := message.Unpack(question); err != nil {
		return nil, err
	}
	message.Response, message.RecursionAvailable = true, true
	if q := message.Questions[0]; q.Type == dnsmessage.TypeA {
		n.mu.Lock()
		next := n.answers[min(n.asked, len(n.answers)-1)]
		n.asked++
		n.mu.Unlock()
		message.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 0},
			Body:   &dnsmessage.AResource{A: next.As4()},
		}}
	}
	message.Additionals = nil
	return message.Pack()
}

// TestRebinding: a name that is public when it is looked at, and this machine
// when it is dialled.
func TestRebinding(t *testing.T) {
	reached := trap(t)
	p := policy(t, Config{})
	var names *nameserver
	p.resolver, names = resolver(t, "93.184.215.14", "127.0.0.1")
	addrs, err := p.resolver.LookupNetIP(t.Context(), "ip4", "rebind.example.com")
	require.NoError(t, err)
	require.Equal(t, "93.184.215.14", addrs[0].String(), "it looks public")
	require.NoError(t, p.CheckURL("http://rebind.example.com:"+reached.port))
	_, err = get(t, &http.Client{Transport: p.Transport()}, "http://rebind.example.com:"+reached.port)
	var refused *RefusedError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "127.0.0.1", refused.Addr)
	require.Zero(t, reached.hits)
	names.mu.Lock()
	defer names.mu.Unlock()
	require.Equal(t, 2, names.asked)
}

// connector is a proxy that writes down what it is asked for, and leads all of it
// to one server.
type connector struct {
	mu     sync.Mutex
	asked  []string
	signed []string
	leads  string
}

func proxyTo(t *testing.T, leads string) (*connector, string) {
	t.Helper()
	c := &connector{leads: leads}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &http.Server{Handler: c}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return c, listener.Addr().String()
}

func (c *connector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	c.asked = append(c.asked, r.Method+" "+r.Host)
	c.signed = append(c.signed, r.Header.Get("Proxy-Authorization"))
	c.mu.Unlock()
	if c.leads == "" {
		http.Error(w, "no", http.StatusForbidden)
		return
	}
	there, err := net.Dial("tcp", c.leads)
	if err != nil {
		http.Error(w, "no", http.StatusBadGateway)
		return
	}
	here, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	_, _ = here.Write([]byte("HTTP/1.1 200 Connection established\r\n\r\n"))
	go func() { _, _ = there.(*net.TCPConn).ReadFrom(here); _ = there.Close() }()
	go func() { _, _ = here.(*net.TCPConn).ReadFrom(there); _ = here.Close() }()
}

// TestThroughAProxy: what is asked of it is the address that was checked, and
// what is closed it is never asked for.
func TestThroughAProxy(t *testing.T) {
	reached := trap(t)
	proxy, at := proxyTo(t, strings.TrimPrefix(reached.url, "http://"))
	p := policy(t, Config{Proxy: "http://ada:secret@" + at, Allow: []string{"inside.example.com"}, Deny: []string{"closed.example.com"}})
	p.resolver, _ = resolver(t, "93.184.215.14", "127.0.0.1")
	client := func() *http.Client { return &http.Client{Transport: p.Transport()} }

	status, err := get(t, client(), "http://public.example.com:8080/")
	require.NoError(t, err)
	require.Equal(t, 200, status)
	require.Equal(t, 1, reached.hits)
	require.Equal(t, []string{"CONNECT 93.184.215.14:8080"}, proxy.asked, "the proxy resolves nothing that was checked")
	require.Equal(t, []string{"Basic YWRhOnNlY3JldA=="}, proxy.signed)

	for _, closed := range []string{"http://public.example.com:8080/", "http://127.0.0.1:" + reached.port, "http://169.254.169.254/", "http://closed.example.com/"} {
		_, err = get(t, client(), closed) // the name leads to loopback by now
		var refused *RefusedError
		require.ErrorAs(t, err, &refused, closed)
	}
	require.Len(t, proxy.asked, 1)

	_, err = get(t, client(), "http://inside.example.com/")
	require.NoError(t, err)
	require.Equal(t, "CONNECT inside.example.com:80", proxy.asked[1], "a name that an operator allows is the proxy's to resolve")
	require.NotContains(t, proxy.asked[1], "secret")
}

func TestAProxyThatRefuses(t *testing.T) {
	_, at := proxyTo(t, "")
	p := policy(t, Config{Proxy: "http://ada:secret@" + at, Allow: []string{"inside.example.com"}})
	_, err := get(t, &http.Client{Transport: p.Transport()}, "http://inside.example.com/")
	require.ErrorContains(t, err, "TOOL_EGRESS_PROXY refuses inside.example.com:80: 403")
	require.NotContains(t, err.Error(), "secret")
	nobody := policy(t, Config{Proxy: "http://ada:secret@127.0.0.1:1", Allow: []string{"inside.example.com"}})
	_, err = get(t, &http.Client{Transport: nobody.Transport()}, "http://inside.example.com/")
	require.ErrorContains(t, err, "TOOL_EGRESS_PROXY")
	require.NotContains(t, err.Error(), "secret")
	for _, bad := range []string{"proxy:3128", "ftp://proxy", "http://", "http://proxy:0", "http://proxy/path", "socks5://proxy:1080"} {
		_, err := New(Config{Proxy: bad})
		require.ErrorContains(t, err, "TOOL_EGRESS_PROXY", bad)
	}
}

// TestExceptions open exactly what they name, to exactly the tool that has them.
func TestExceptions(t *testing.T) {
	open, other := trap(t), trap(t)
	p := policy(t, Config{Deny: []string{"127.0.0.9"}})
	wider, err := p.With([]string{"127.0.0.1:" + open.port, "127.0.0.9:80"})
	require.NoError(t, err)
	_, err = get(t, &http.Client{Transport: wider.Transport()}, open.url)
	require.NoError(t, err)
	require.NoError(t, wider.CheckURL(open.url))
	for _, closed := range []string{other.url, "http://127.0.0.9/", "http://127.0.0.2:" + open.port} {
		var refused *RefusedError
		_, err = get(t, &http.Client{Transport: wider.Transport()}, closed)
		require.ErrorAs(t, err, &refused, closed)
	}
	var refused *RefusedError
	_, err = get(t, &http.Client{Transport: p.Transport()}, open.url)
	require.ErrorAs(t, err, &refused, "the policy itself stays as it is")
	require.ErrorContains(t, p.CheckURL(open.url), "uaol connect "+open.url)
	require.NotContains(t, wider.CheckURL("http://127.0.0.9:80").Error(), "uaol connect", "an operator has closed it")
	same, err := p.With(nil)
	require.NoError(t, err)
	require.Same(t, p, same)
	for _, bad := range []string{"10.0.0.0/8", "127.0.0.1", "localhost", "*:80", "http://localhost:80", "localhost:0", ""} {
		_, err := p.With([]string{bad})
		require.Error(t, err, bad)
	}
}
