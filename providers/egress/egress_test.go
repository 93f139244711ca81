package egress

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"code.dny.dev/ssrf"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"uaol/services"
)

func policy(t testing.TB, cfg Config) *Policy {
	t.Helper()
	p, err := New(cfg)
	require.NoError(t, err)
	return p
}

func TestBadEntriesAreNamed(t *testing.T) {
	for _, bad := range []string{
		"http://example.com", "example.com:0", "example.com:65536", "example.com:", "10.0.0.0/33", "127.1",
		"2130706433", "0x7f.1", "*.example.com", "a b", "example.com/24", "[::1", "fe80::1%eth0", "..", ".",
	} {
		_, err := New(Config{Allow: []string{bad}})
		require.ErrorContains(t, err, "TOOL_EGRESS_ALLOW", bad)
		require.ErrorContains(t, err, bad)
		require.ErrorContains(t, err, "CIDR")
		_, err = New(Config{Deny: []string{"example.com", bad}})
		require.ErrorContains(t, err, "TOOL_EGRESS_DENY", bad)
	}
}

func TestEntriesAreRead(t *testing.T) {
	p := policy(t, Config{Allow: []string{
		"", " 10.0.0.0/8 ", "127.0.0.1", "127.0.0.2:80", "[::1]:81", "[fd00::1]", "Example.COM.", "bücher.example:443", "db_1",
	}})
	require.Len(t, p.allow, 8)
	require.Equal(t, verdict(allowed), p.byName("xn--bcher-kva.example", 443))
	require.Equal(t, verdict(silent), p.byName("xn--bcher-kva.example", 80))
	require.Equal(t, verdict(allowed), p.byName("example.com", 1))
}

// loopbacks are spellings that one resolver or another reads as this machine.
var loopbacks = []string{
	"127.0.0.1", "127.0.0.1.", "127.1", "127.0.1", "127.255.255.254", "0.0.0.0", "0", "0.", "2130706433", "2130706433.",
	"017700000001", "0x7f000001", "0X7F000001", "0x7f.1", "0x7f.0.0.1", "0x7f.0x0.0x0.0x1", "0177.0.0.1", "0177.1",
	"0177.0.0.01", "127.0.0.0x1", "00000177.0.0.1", "127.000.000.001", "[::1]", "[::]", "[0:0:0:0:0:0:0:1]",
	"[0000::0001]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::127.0.0.1]",
	"[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[2002:7f00:0001::1]", "[2001:0:7f00:1::]",
	"[2001:0:1:2:3:4:80ff:fffe]", "[::ffff:0:127.0.0.1]", "[fe80::1%25lo]", "localhost", "LOCALHOST", "LocalHost.",
	"foo.localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback", "１２７.0.0.1", "①②⑦.⓪.⓪.①", "127。0。0。1",
	"ｌｏｃａｌｈｏｓｔ", "loca\u00adlhost", "0127.0.0.1", "0x7f.00.00.01", "127.0x1", "127.0.1.", "0b1111111.0.0.1", "1.0x7f000001",
	"4294967295", "00000000000000000000000000000177.1", "0x0000007f.1", "127.65535", "127.16777214", "[::ffff:0:7f00:1]",
	"[0:0:0:0:0:ffff:127.0.0.1]", "[::ffff:7F00:0001]", "[64:ff9b:1:ffff::127.0.0.1]", "[2001:0:4136:e378:8000:63bf:80ff:fffe]", "[2002:7f00:1:1::1]",
	"[fe80::5efe:7f00:1]", "[::127.1.2.3]", "foo.bar.localhost.", "localhost6", "localhost6.localdomain6", "１２７．０．０．１", "127．0．0．1", "ⓛocalhost",
}

func TestSpellingsOfLoopbackAreRefused(t *testing.T) {
	require.GreaterOrEqual(t, len(loopbacks), 60)
	p := policy(t, Config{})
	client := http.Client{Transport: p.Transport()}
	reached := trap(t)
	for _, host := range loopbacks {
		for _, port := range []string{"", ":" + reached.port} {
			raw := "http://" + host + port + "/"
			err := p.CheckURL(raw)
			require.Truef(t, services.Is(err, services.Invalid), "%s: %v", raw, err)
			require.Contains(t, err.Error(), "TOOL_EGRESS_ALLOW", raw)
		}
		_, err := get(t, &client, "http://"+host+":"+reached.port+"/")
		require.Error(t, err, host)
	}
	require.Zero(t, reached.hits)
}

func TestSyntax(t *testing.T) {
	p := policy(t, Config{})
	for _, good := range []string{
		"https://example.com", "http://example.com:8080/mcp?x=1", "https://8.8.8.8/", "https://[2606:4700::1111]/mcp",
		"https://EXAMPLE.com./", "https://bücher.example/", "https://a-b.c_d.example.org/",
	} {
		require.NoError(t, p.CheckURL(good), good)
	}
	for _, bad := range []string{
		"", "not a url", "example.com", "//example.com", "ftp://example.com", "file:///etc/passwd", "http:example.com", "http://",
		"http:///path", "http://u@example.com", "http://u:p@example.com", "http://@example.com", "http://example.com/#", "http://example.com/#x",
		"http://example.com:0", "http://example.com:99999", "http://example.com:", "http://example.com:x", " http://example.com",
		"http://exa mple.com", "http://example.com\\@127.0.0.1/", "http://example.com\r\n", "gopher://example.com", "http://..", "http://a..b.com",
		"http://%31%32%37.0.0.1/", "javascript:alert(1)",
	} {
		err := p.CheckURL(bad)
		require.Truef(t, services.Is(err, services.Invalid), "%q: %v", bad, err)
	}
	for _, local := range []string{
		"http://metadata.google.internal/", "http://postgres:5432/", "http://printer.local/", "http://nas.lan", "http://router.home.arpa",
		"http://169.254.169.254/latest", "http://[fd00:ec2::254]/", "http://100.100.100.200/", "http://168.63.129.16/", "http://192.168.1.1",
		"http://10.1.2.3", "http://172.31.0.1", "http://100.64.0.1", "http://224.0.0.1", "http://255.255.255.255", "http://240.0.0.1", "http://198.18.0.1",
	} {
		require.ErrorContains(t, p.CheckURL(local), "TOOL_EGRESS_ALLOW", local)
	}
}

func TestAllowOpensAndDenyWins(t *testing.T) {
	p := policy(t, Config{
		Allow: []string{"127.0.0.1:8080", "10.0.0.0/8", "postgres", "localhost:81", "64:ff9b::/96", "64:ff9b::7f00:2"},
		Deny:  []string{"10.1.0.0/16", "8.8.4.4", "evil.example.com", "example.net:25"},
	})
	for raw, open := range map[string]bool{
		"http://127.0.0.1:8080": true, "http://127.0.0.1": false, "http://127.0.0.1:8081": false, "http://127.0.0.2:8080": false,
		"http://[::ffff:127.0.0.1]:8080": true, "http://[::ffff:127.0.0.1]:1": false,
		"http://10.2.0.1": true, "http://10.1.0.1": false, "http://[::ffff:10.1.0.1]": false, "http://postgres:5432": true, "http://redis": false,
		"http://localhost:81": true, "http://localhost": false, "http://8.8.4.4": false, "http://8.8.8.8": true,
		"http://[64:ff9b::8.8.4.4]": false, "http://[64:ff9b::8.8.8.8]": true, "http://[64:ff9b::127.0.0.1]": false,
		"http://[64:ff9b::127.0.0.1]:8080": true, "http://[64:ff9b::127.0.0.2]": true,
		"http://EVIL.example.com.": false, "http://example.com": true, "http://example.net:25": false, "http://example.net": true,
	} {
		require.Equal(t, open, p.CheckURL(raw) == nil, raw)
	}
	both := policy(t, Config{Allow: []string{"127.0.0.1", "localhost"}, Deny: []string{"127.0.0.0/8"}})
	require.ErrorContains(t, both.CheckURL("http://127.0.0.1"), "TOOL_EGRESS_DENY")
	require.Error(t, both.check("localhost", netip.MustParseAddrPort("127.0.0.1:80")))
}

// TestSpecialAddressesNeverOpen draws addresses from IANA's special registries
// and every way of hiding an IPv4 one inside IPv6.
func TestSpecialAddressesNeverOpen(t *testing.T) {
	p := policy(t, Config{})
	v4 := append(append([]netip.Prefix{}, ssrf.IPv4DeniedPrefixes...), alsoPrivate...)
	v6 := append([]netip.Prefix{
		netip.MustParsePrefix("::/128"), netip.MustParsePrefix("::1/128"), netip.MustParsePrefix("fe80::/10"), netip.MustParsePrefix("fc00::/7"),
		netip.MustParsePrefix("ff00::/8"), netip.MustParsePrefix("100::/64"), netip.MustParsePrefix("5f00::/16"), nat64, nat64Local, compatible, translated,
	}, ssrf.IPv6DeniedPrefixes...)
	rapid.Check(t, func(t *rapid.T) {
		inner := drawFrom(t, rapid.SampledFrom(v4).Draw(t, "v4"))
		port := rapid.Uint16Min(1).Draw(t, "port")
		for _, hide := range hidings {
			addr := hide(inner.As4())
			to := netip.AddrPortFrom(addr, port)
			if err := p.check("example.com", to); err == nil {
				t.Fatalf("%s in %s is open", inner, addr)
			}
		}
		addr := drawFrom(t, rapid.SampledFrom(v6).Draw(t, "v6"))
		if err := p.check("example.com", netip.AddrPortFrom(addr, port)); err == nil {
			t.Fatalf("%s is open", addr)
		}
	})
}

var hidings = []func([4]byte) netip.Addr{
	netip.AddrFrom4,
	func(b [4]byte) netip.Addr { return v6With(12, b, 10, 0xff, 11, 0xff) },                   // mapped
	func(b [4]byte) netip.Addr { return v6With(12, b) },                                       // compatible
	func(b [4]byte) netip.Addr { return v6With(12, b, 8, 0xff, 9, 0xff) },                     // translated
	func(b [4]byte) netip.Addr { return v6With(12, b, 1, 0x64, 2, 0xff, 3, 0x9b) },            // NAT64
	func(b [4]byte) netip.Addr { return v6With(12, b, 1, 0x64, 2, 0xff, 3, 0x9b, 5, 1) },      // local NAT64
	func(b [4]byte) netip.Addr { return v6With(2, b, 0, 0x20, 1, 0x02) },                      // 6to4
	func(b [4]byte) netip.Addr { return v6With(4, b, 0, 0x20, 1, 0x01) },                      // Teredo server
	func(b [4]byte) netip.Addr { return v6With(12, inverted(b), 0, 0x20, 1, 0x01) },           // Teredo client
	func(b [4]byte) netip.Addr { return v6With(12, b, 0, 0x26, 1, 0x06, 10, 0x5e, 11, 0xfe) }, // ISATAP
	func(b [4]byte) netip.Addr { return v6With(12, b, 0, 0xfe, 1, 0x80, 10, 0x5e, 11, 0xfe) }, // ISATAP, link-local
	func(b [4]byte) netip.Addr { return v6With(12, b, 10, 0xff, 11, 0xff).WithZone("lo") },    // mapped, with a zone
}

func inverted(b [4]byte) [4]byte { return [4]byte{^b[0], ^b[1], ^b[2], ^b[3]} }

func v6With(at int, v4 [4]byte, pairs ...byte) netip.Addr {
	var b [16]byte
	for i := 0; i < len(pairs); i += 2 {
		b[pairs[i]] = pairs[i+1]
	}
	copy(b[at:], v4[:])
	return netip.AddrFrom16(b)
}

func drawFrom(t *rapid.T, prefix netip.Prefix) netip.Addr {
	bytes := prefix.Masked().Addr().AsSlice()
	for i := range bytes {
		fixed := min(max(prefix.Bits()-i*8, 0), 8)
		bytes[i] |= rapid.Byte().Draw(t, "byte") & (0xff >> fixed)
	}
	addr, _ := netip.AddrFromSlice(bytes)
	return addr
}

// TestEverySpecialPrefixInEveryHiding goes through all of them, at both ends.
func TestEverySpecialPrefixInEveryHiding(t *testing.T) {
	p, seen := policy(t, Config{}), 0
	for _, prefix := range append(append([]netip.Prefix{}, ssrf.IPv4DeniedPrefixes...), alsoPrivate...) {
		first, last := prefix.Masked().Addr().As4(), prefix.Masked().Addr().As4()
		for bit := prefix.Bits(); bit < 32; bit++ {
			last[bit/8] |= 0x80 >> (bit % 8)
		}
		for _, inner := range [][4]byte{first, last} {
			for i, hide := range hidings {
				addr := hide(inner)
				require.Errorf(t, p.check("example.com", netip.AddrPortFrom(addr, 443)), "%s at %v, hiding %d", prefix, addr, i)
				require.Errorf(t, p.CheckURL("http://["+addr.WithZone("").String()+"]/"), "%s at %v, hiding %d", prefix, addr, i)
				seen++
			}
		}
	}
	require.Greater(t, seen, 400)
}

// TestPublicAddressesStayOpen keeps the refusals from being bought by refusing all.
func TestPublicAddressesStayOpen(t *testing.T) {
	p := policy(t, Config{})
	for _, addr := range []string{"1.1.1.1", "8.8.8.8", "93.184.215.14", "172.15.0.1", "172.32.0.1", "11.0.0.1", "2606:4700::1111", "2a00:1450::1", "2001:4860::8888"} {
		require.NoError(t, p.check("example.com", netip.AddrPortFrom(netip.MustParseAddr(addr), 443)), addr)
	}
}

type trapped struct {
	url, port string
	hits      int
}

// trap is a server on loopback that nobody should reach.
func trap(t *testing.T) *trapped {
	t.Helper()
	reached := &trapped{}
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.hits++ }))
	t.Cleanup(server.Close)
	reached.url = server.URL
	_, reached.port, _ = net.SplitHostPort(server.Listener.Addr().String())
	return reached
}

func get(t *testing.T, client *http.Client, url string) (int, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	require.NoError(t, response.Body.Close())
	return response.StatusCode, nil
}

// TestNameThatResolvesToLoopback is the guard's proof: the name passes no
// syntactic check here, only the address dialled can give it away.
func TestNameThatResolvesToLoopback(t *testing.T) {
	reached := trap(t)
	_, err := get(t, &http.Client{Transport: policy(t, Config{}).Transport()}, "http://localhost:"+reached.port)
	var refused *RefusedError
	require.ErrorAs(t, err, &refused)
	require.Contains(t, refused.Error(), "TOOL_EGRESS_ALLOW")
	require.Equal(t, "localhost", refused.Host)
	require.True(t, netip.MustParseAddr(refused.Addr).IsLoopback())
	require.Zero(t, reached.hits)

	client := http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone()}
	_, err = get(t, &client, "http://localhost:"+reached.port)
	require.NoError(t, err, "without the guard the name leads there")
	require.Equal(t, 1, reached.hits)
}

func TestAllowedHostAndPort(t *testing.T) {
	open, closed := trap(t), trap(t)
	p := policy(t, Config{Allow: []string{"localhost:" + open.port}})
	client := http.Client{Transport: p.Transport()}
	_, err := get(t, &client, "http://localhost:"+open.port)
	require.NoError(t, err)
	for _, url := range []string{"http://localhost:" + closed.port, "http://127.0.0.1:" + open.port, closed.url} {
		_, err = get(t, &client, url)
		var refused *RefusedError
		require.ErrorAs(t, err, &refused, url)
	}
	require.Zero(t, closed.hits)
}

func TestDenyWinsAtDial(t *testing.T) {
	reached := trap(t)
	for _, deny := range []string{"localhost", "127.0.0.0/8,::1", "localhost:" + reached.port} {
		p := policy(t, Config{Allow: []string{"localhost", "127.0.0.1", "::1"}, Deny: strings.Split(deny, ",")})
		_, err := get(t, &http.Client{Transport: p.Transport()}, "http://localhost:"+reached.port)
		var refused *RefusedError
		require.ErrorAs(t, err, &refused, deny)
		require.True(t, refused.Deny)
	}
	require.Zero(t, reached.hits)
}

func TestRedirectToARefusedAddress(t *testing.T) {
	reached := trap(t)
	door := httptest.NewServer(http.RedirectHandler(reached.url, http.StatusTemporaryRedirect))
	t.Cleanup(door.Close)
	p := policy(t, Config{Allow: []string{door.Listener.Addr().String()}})
	_, err := get(t, &http.Client{Transport: p.Transport()}, door.URL)
	var refused *RefusedError
	require.ErrorAs(t, err, &refused)
	require.Zero(t, reached.hits)
}

func TestRedirects(t *testing.T) {
	var hops int
	mux := http.NewServeMux()
	mux.HandleFunc("/loop", func(w http.ResponseWriter, r *http.Request) {
		hops++
		http.Redirect(w, r, "/loop", http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://example.com/", http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("/near", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/here", http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("/here", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	p := policy(t, Config{Allow: []string{"127.0.0.1"}})
	client := &http.Client{Transport: p.Transport(), CheckRedirect: CheckRedirect}
	for path, want := range map[string]int{"/loop": 307, "/away": 307, "/near": http.StatusTeapot} {
		status, err := get(t, client, server.URL+path)
		require.NoError(t, err)
		require.Equal(t, want, status, path)
	}
	require.Equal(t, 1+maxRedirects, hops)
	secure, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://example.com", nil)
	plain, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://example.com", nil)
	require.ErrorIs(t, CheckRedirect(plain, []*http.Request{secure}), http.ErrUseLastResponse)
	require.NoError(t, CheckRedirect(secure, []*http.Request{plain}))
}

func TestEnvironmentProxyIsIgnored(t *testing.T) {
	reached := trap(t)
	t.Setenv("HTTP_PROXY", reached.url)
	t.Setenv("http_proxy", reached.url)
	transport := policy(t, Config{}).Transport()
	require.Nil(t, transport.Proxy)
	_, err := get(t, &http.Client{Transport: transport}, "http://10.0.0.1/")
	var refused *RefusedError
	require.ErrorAs(t, err, &refused)
	require.Zero(t, reached.hits)
}

func TestOnlyTCP(t *testing.T) {
	p := policy(t, Config{Allow: []string{"127.0.0.1"}})
	_, err := p.dial(context.Background(), "udp", "127.0.0.1:53")
	var refused *RefusedError
	require.True(t, errors.As(err, &refused), err)
}
