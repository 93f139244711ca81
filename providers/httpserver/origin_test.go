package httpserver

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/providers/config"
)

func request(remote string, headers ...string) *http.Request {
	r := httptest.NewRequest("GET", "http://uaol.example.com/x", nil)
	r.RemoteAddr = remote
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

// TestNobodyElsesWordCounts: whatever a client writes, it comes from where it comes.
func TestNobodyElsesWordCounts(t *testing.T) {
	t.Parallel()
	trusted, err := parseProxies([]string{"10.0.0.0/8", " 192.0.2.7", "2001:db8::/32"})
	require.NoError(t, err)
	const far, near = "10.0.0.1:5000", "203.0.113.5:5000"
	for name, test := range map[string]struct {
		remote  string
		headers []string
		want    string
		secure  bool
	}{
		"nothing is said":                    {far, nil, "10.0.0.1", false},
		"a stranger says":                    {near, []string{"X-Forwarded-For", "1.2.3.4", "X-Forwarded-Proto", "https", "Forwarded", "for=1.2.3.4;proto=https"}, "203.0.113.5", false},
		"a balancer says":                    {far, []string{"X-Forwarded-For", "198.51.100.9", "X-Forwarded-Proto", "https"}, "198.51.100.9", true},
		"a client wrote before it":           {far, []string{"X-Forwarded-For", "1.2.3.4, 198.51.100.9"}, "198.51.100.9", false},
		"in a line of its own":               {far, []string{"X-Forwarded-For", "1.2.3.4", "X-Forwarded-For", "198.51.100.9"}, "198.51.100.9", false},
		"and called itself a balancer":       {far, []string{"X-Forwarded-For", "1.2.3.4, 10.0.0.9, 198.51.100.9"}, "198.51.100.9", false},
		"two balancers":                      {far, []string{"X-Forwarded-For", "1.2.3.4, 198.51.100.9, 192.0.2.7"}, "198.51.100.9", false},
		"only balancers":                     {far, []string{"X-Forwarded-For", "10.0.0.3, 10.0.0.2"}, "10.0.0.3", false},
		"with ports":                         {far, []string{"X-Forwarded-For", "198.51.100.9:1234"}, "198.51.100.9", false},
		"IPv6 with a port":                   {"[2001:db8::9]:1", []string{"X-Forwarded-For", "[2a00::1]:99"}, "2a00::1", false},
		"IPv6":                               {"[2001:db8::9]:1", []string{"X-Forwarded-For", "2a00::1"}, "2a00::1", false},
		"a mapped balancer":                  {"[::ffff:10.0.0.1]:1", []string{"X-Forwarded-For", "::ffff:198.51.100.9"}, "198.51.100.9", false},
		"no address":                         {far, []string{"X-Forwarded-For", "198.51.100.9, unknown"}, "10.0.0.1", false},
		"an empty entry":                     {far, []string{"X-Forwarded-For", "198.51.100.9,"}, "10.0.0.1", false},
		"a client's https before a balancer": {far, []string{"X-Forwarded-For", "198.51.100.9", "X-Forwarded-Proto", "https, http"}, "198.51.100.9", false},
		"Forwarded":                          {far, []string{"Forwarded", `for=1.2.3.4, For="198.51.100.9:4711";proto=https;by=10.0.0.1`}, "198.51.100.9", true},
		"Forwarded, IPv6":                    {far, []string{"Forwarded", `for="[2a00::1]:4711"`}, "2a00::1", false},
		"Forwarded, hidden":                  {far, []string{"Forwarded", `for=198.51.100.9, for=_hidden`}, "10.0.0.1", false},
		"Forwarded, a quote that never ends": {far, []string{"Forwarded", `for="198.51.100.9, for=1.2.3.4`}, "10.0.0.1", false},
		"both agree":                         {far, []string{"Forwarded", "for=198.51.100.9;proto=https", "X-Forwarded-For", "198.51.100.9", "X-Forwarded-Proto", "https"}, "198.51.100.9", true},
		"a client adds the other one":        {far, []string{"Forwarded", "for=1.2.3.4;proto=https", "X-Forwarded-For", "198.51.100.9", "X-Forwarded-Proto", "http"}, "10.0.0.1", false},
	} {
		origin := trusted.origin(request(test.remote, test.headers...))
		require.Equal(t, test.want, origin.Address, name)
		require.Equal(t, test.secure, strings.HasPrefix(origin.URL, "https://"), name)
		require.Equal(t, "uaol.example.com", origin.URL[strings.Index(origin.URL, "//")+2:], name)
		require.NotEqual(t, "1.2.3.4", proxies(nil).origin(request(test.remote, test.headers...)).Address, "by default nobody is believed")
	}
}

func TestTrustedProxiesAreRead(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"": "", "10.0.0.0/8,192.0.2.1": "", "::1": "", "::ffff:10.0.0.1": "",
		"10.0.0.0/40":       `UAOL_TRUSTED_PROXIES holds "10.0.0.0/40"; want CIDRs or addresses such as 10.0.0.0/8, separated by commas`,
		"lb.example.com":    `UAOL_TRUSTED_PROXIES holds "lb.example.com"; want CIDRs or addresses such as 10.0.0.0/8, separated by commas`,
		"::ffff:10.0.0.0/8": `UAOL_TRUSTED_PROXIES holds "::ffff:10.0.0.0/8"; want CIDRs or addresses such as 10.0.0.0/8, separated by commas`,
	} {
		_, err := config.Parse[Config](config.Of(map[string]string{"UAOL_TRUSTED_PROXIES": value}))
		if want == "" {
			require.NoError(t, err, value)
		} else {
			require.EqualError(t, err, want)
		}
	}
}

// FuzzOrigin: a stranger's headers change nothing, a balancer's lead to an address.
func FuzzOrigin(f *testing.F) {
	f.Add("1.2.3.4, 5.6.7.8", `for="[::1]:1";proto=https, for=_x`)
	f.Add("", `for="a\"b`)
	f.Add("[::1]:2,,", ",;=\"\\")
	f.Fuzz(func(t *testing.T, listed, said string) {
		trusted := proxies{netip.MustParsePrefix("10.0.0.0/8")}
		for _, headers := range [][]string{{"X-Forwarded-For", listed}, {"Forwarded", said}, {"X-Forwarded-For", listed, "Forwarded", said}} {
			if got := trusted.origin(request("203.0.113.5:1", headers...)).Address; got != "203.0.113.5" {
				t.Fatalf("a stranger became %s", got)
			}
			if _, err := netip.ParseAddr(trusted.origin(request("10.0.0.1:1", headers...)).Address); err != nil {
				t.Fatal(err)
			}
		}
	})
}
