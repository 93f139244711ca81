package oauth

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestResourceOf(t *testing.T) {
	t.Parallel()
	for _, base := range []string{"https://uaol.example.com", "http://localhost:3000", "https://example.com/uaol"} {
		for said, want := range map[string]string{
			"": "/mcp", base: "/mcp", base + "/": "/mcp", base + "/mcp": "/mcp", base + "/mcp/": "/mcp", base + "/mcp/p/a-b_C9": "/mcp/p/a-b_C9",
			base + "/mcp/t/0199c0de-0000-7000-8000-000000000001": "/mcp/t/0199c0de-0000-7000-8000-000000000001",
			base + "/mcp/search": "/mcp/search", base + "/mcp/search/": "/mcp/search", base + "/mcp/p/a/search": "/mcp/p/a/search", base + "/mcp/p/search": "/mcp/p/search",
			base + "/mcp/t/a/search": "-", base + "/mcp/search/a": "-", base + "/mcp/search/search": "-", base + "/mcp/p/a/search/search": "-", base + "/mcp/searchx": "-", base + "/search": "-",
			base + "/mcp/p": "-", base + "/mcp/x/a": "-", base + "/mcp/p/a/b": "-", base + "/mcp/p/-": "-", base + "/mcp/p/a%20b": "-", base + "/mcp/p/%61": "-",
			base + "/mcp#x": "-", base + "/mcp#": "-", base + "/mcp?x": "-", base + "/mcp?": "-", base + "/jobs": "-", base + "/MCP": "-", base + "x/mcp": "-", base + "//mcp": "-",
			"https://evil.example.com/mcp": "-", "/mcp": "-", "mcp": "-", "ftp://uaol.example.com/mcp": "-", "https:///mcp": "-", "https://u@uaol.example.com/mcp": "-",
			"https://uaol.example.com.evil.com/mcp": "-", ":": "-",
		} {
			got, ok := resourceOf(base, said)
			require.Equal(t, want != "-", ok, "%s: %s", base, said)
			if ok {
				require.Equal(t, base+want, got, said)
			}
		}
	}
	for base, said := range map[string]string{
		"https://uaol.example.com": "HTTPS://Uaol.Example.COM:443/mcp", "https://uaol.example.com:443": "https://uaol.example.com/mcp", "http://localhost": "http://LOCALHOST:80/mcp",
	} {
		got, ok := resourceOf(base, said)
		require.True(t, ok, said)
		require.Equal(t, base+"/mcp", got)
	}
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	client := Client{Redirects: []string{"http://127.0.0.1/callback", "http://[::1]:8080/callback?x=1", "http://localhost:3000/callback", "https://app.example.com/callback"}}
	for said, want := range map[string]bool{
		"http://127.0.0.1/callback": true, "http://127.0.0.1:1/callback": true, "http://127.0.0.1:65535/callback": true, "http://[::1]:1/callback?x=1": true,
		"http://localhost/callback": true, "http://localhost:49152/callback": true, "https://app.example.com/callback": true,
		"": false, "http://127.0.0.1:1/callback?x": false, "http://127.0.0.1:1/callback?": false, "http://127.0.0.1:1/Callback": false, "http://127.0.0.1:1/callback/": false,
		"http://127.0.0.2:1/callback": false, "https://127.0.0.1:1/callback": false, "http://127.1/callback": false, "http://localhost.evil.com/callback": false,
		"https://app.example.com:443/callback": false, "https://APP.example.com/callback": false, "https://app.example.com/callback?": false, "http://[::1]:1/callback": false,
		"http://[::ffff:127.0.0.1]/callback": false, "http://127.0.0.1:x/callback": false, "http://127.0.0.1\\@evil.com/callback": false, "http://127.0.0.1 /callback": false,
	} {
		got, ok := client.redirect(said)
		require.Equal(t, want, ok, said)
		if ok {
			require.Equal(t, said, got)
		}
	}
	got, ok := Client{Redirects: client.Redirects[:1]}.redirect("")
	require.True(t, ok)
	require.Equal(t, client.Redirects[0], got)

	for address, want := range map[string]string{
		"https://app.example.com/x": "https://app.example.com", "https://app.example.com:8443/x?y": "https://app.example.com:8443", "http://127.0.0.1:5173/": "http://127.0.0.1:5173",
		"http://[::1]:5173/": "http:", "https://a;script-src 'unsafe-inline'/": "http:", "https://a,b/": "http:", "::": "http:",
	} {
		require.Equal(t, want, originOf(address), address)
	}
}

func TestAnswersKeepTheAddress(t *testing.T) {
	t.Parallel()
	for redirect, want := range map[string]string{
		"https://a.example.com/x":         "https://a.example.com/x?code=c&iss=https%3A%2F%2Fu&state=s+%26",
		"https://a.example.com/x?z=1&a=2": "https://a.example.com/x?z=1&a=2&code=c&iss=https%3A%2F%2Fu&state=s+%26",
	} {
		require.Equal(t, want, answer(redirect, "s &", "https://u", url.Values{"code": {"c"}}))
	}
	require.Equal(t, "https://a.example.com/?code=c&iss=https%3A%2F%2Fu", answer("https://a.example.com/", "", "https://u", url.Values{"code": {"c"}}))
}
