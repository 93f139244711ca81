package egress

import (
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/providers/config"
)

// usually is a policy that goes by the usual variables.
func usually(t *testing.T, proxy, no string, names ...string) *Policy {
	t.Helper()
	p := policy(t, Config{Proxies: Proxies{HTTP: "http://" + proxy, HTTPS: "http://" + proxy, No: no}})
	if len(names) > 0 {
		p.resolver, _ = resolver(t, names...)
	}
	return p
}

func (c *connector) heard() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked
}

// TestTheUsualProxies are asked for tunnels to addresses that were let through.
func TestTheUsualProxies(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(server.Close)
	proxy, at := proxyTo(t, server.Listener.Addr().String())
	_, err := get(t, &http.Client{Transport: usually(t, at, "", "93.184.215.14").Transport()}, "http://tools.example.com/x")
	require.NoError(t, err)
	require.Equal(t, []string{"CONNECT 93.184.215.14:80"}, proxy.heard())
}

// TestAProxyOpensNothing: what is refused without one is refused with one, before it
// hears of it.
func TestAProxyOpensNothing(t *testing.T) {
	t.Parallel()
	reached := trap(t)
	_, leads, _ := net.SplitHostPort(reached.url[len("http://"):])
	proxy, at := proxyTo(t, "127.0.0.1:"+leads)
	for url, resolved := range map[string]string{
		"http://10.0.0.1/": "", "http://169.254.169.254/latest": "", "http://127.0.0.1:" + reached.port: "", "http://localhost:" + reached.port: "127.0.0.1",
		"http://inside.example.com/": "192.168.0.1", "http://rebound.example.com:" + reached.port: "127.0.0.1",
	} {
		p := usually(t, at, "")
		if resolved != "" {
			p = usually(t, at, "", resolved)
		}
		_, err := get(t, &http.Client{Transport: p.Transport()}, url)
		var refused *RefusedError
		require.ErrorAs(t, err, &refused, url)
	}
	require.Empty(t, proxy.heard())
	require.Zero(t, reached.hits)
}

// TestWhatGoesWithoutAProxy: this machine, by whatever name, and what NO_PROXY lists.
func TestWhatGoesWithoutAProxy(t *testing.T) {
	t.Parallel()
	server := trap(t)
	proxy, at := proxyTo(t, "")
	for name, test := range map[string]struct{ url, no, resolved string }{
		"loopback":           {"http://127.0.0.1:" + server.port, "", ""},
		"localhost":          {"http://localhost:" + server.port, "", ""},
		"a name of loopback": {"http://tools.example.com:" + server.port, "", "127.0.0.1"},
		"a listed name":      {"http://tools.example.com:" + server.port, ".example.com", "127.0.0.1"},
	} {
		p := policy(t, Config{Allow: []string{"127.0.0.0/8", "::1"}, Proxies: Proxies{HTTP: "http://" + at, HTTPS: "http://" + at, No: test.no}})
		if test.resolved != "" {
			p.resolver, _ = resolver(t, test.resolved)
		}
		_, err := get(t, &http.Client{Transport: p.Transport()}, test.url)
		require.NoError(t, err, name)
	}
	require.Empty(t, proxy.heard())
	for host, direct := range map[string]bool{"10.1.2.3": true, "10.2.0.1": false, "a.example.com": true, "example.com": true, "example.org": false, "port.example.org": false} {
		p := policy(t, Config{Proxies: Proxies{HTTPS: "http://" + at, No: "10.1.0.0/16, example.com, port.example.org:444"}})
		require.Equal(t, direct, p.through(host, 443) == nil, host)
		require.Nil(t, p.through(host, 80), "HTTPS_PROXY is not for plain HTTP")
	}
}

// TestTheProxyOfToolsComesFirst, and of two spellings the upper one.
func TestTheProxyOfToolsComesFirst(t *testing.T) {
	t.Parallel()
	p := policy(t, Config{Proxy: "http://tools:1", Proxies: Proxies{HTTP: "http://usual:1", HTTPS: "http://usual:1", No: "*"}})
	require.Equal(t, "tools:1", p.through("example.com", 443).Host)
	p = policy(t, Config{Proxies: Proxies{HTTPS: "http://upper:1", LowerHTTPS: "http://lower:1", LowerHTTP: "http://plain:1"}})
	require.Equal(t, "upper:1", p.through("example.com", 443).Host)
	require.Equal(t, "plain:1", p.through("example.com", 80).Host)
	require.Equal(t, "upper:1", p.through("example.com", 8080).Host)
	p = policy(t, Config{Proxies: Proxies{LowerHTTP: "http://plain:1"}})
	require.Equal(t, "plain:1", p.through("example.com", 8080).Host)
	require.Nil(t, p.through("example.com", 443))
}

// TestThroughForOperatorsAddresses is what transports use that no policy guards.
func TestThroughForOperatorsAddresses(t *testing.T) {
	t.Parallel()
	proxies := Proxies{HTTPS: "http://proxy.example.com:3128", No: "sts.internal"}
	for url, want := range map[string]string{"https://api.stripe.com/v1": "proxy.example.com:3128", "https://sts.internal/": "", "http://api.stripe.com": "", "https://localhost:9000": "", "https://127.0.0.1:9000": "", "https://[::1]:9000": ""} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
		require.NoError(t, err)
		proxy, err := proxies.Through()(r)
		require.NoError(t, err)
		if want == "" {
			require.Nil(t, proxy, url)
		} else {
			require.Equal(t, want, proxy.Host, url)
		}
	}
}

func TestProxiesAreRead(t *testing.T) {
	t.Parallel()
	for _, variable := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		for value, good := range map[string]bool{"http://u:hunter2@proxy:3128": true, "https://proxy": true, "": true, "socks5://u:hunter2@proxy:1": false, "hunter2:3128": false, "http://u:hunter2@": false} {
			_, err := config.Parse[Config](config.Of(map[string]string{variable: value}))
			if good {
				require.NoError(t, err, value)
				continue
			}
			require.ErrorContains(t, err, variable+" holds ")
			require.NotContains(t, err.Error(), "hunter2")
		}
	}
}
