package egress

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"

	"golang.org/x/net/http/httpproxy"

	"uaol/providers/config"
)

// Proxies are the usual variables for what goes out to the internet, for
// configurations to embed. Calls between our own services and to loopback never
// go through them.
type Proxies struct {
	HTTP       string `env:"HTTP_PROXY" secret:"true" want:"a URL such as http://proxy.example.com:3128" doc:"proxy for what goes out over plain HTTP (http_proxy too)"`
	HTTPS      string `env:"HTTPS_PROXY" secret:"true" want:"a URL such as http://proxy.example.com:3128" doc:"proxy for what goes out over HTTPS: to tools, models, identity providers, Stripe, S3, webhooks (https_proxy too)"`
	No         string `env:"NO_PROXY" doc:"what is reached without HTTP_PROXY and HTTPS_PROXY: hosts, .domains, addresses and CIDRs, with or without ports, separated by commas (no_proxy too)"`
	LowerHTTP  string `env:"http_proxy" secret:"true" want:"a URL such as http://proxy.example.com:3128" doc:"HTTP_PROXY, where that is not set"`
	LowerHTTPS string `env:"https_proxy" secret:"true" want:"a URL such as http://proxy.example.com:3128" doc:"HTTPS_PROXY, where that is not set"`
	LowerNo    string `env:"no_proxy" doc:"NO_PROXY, where that is not set"`
}

// CheckProxies refuses what is no proxy. Values are not shown: they may hold a password.
func (p *Proxies) CheckProxies() error {
	for _, given := range [...][2]string{{"HTTP_PROXY", p.HTTP}, {"HTTPS_PROXY", p.HTTPS}, {"http_proxy", p.LowerHTTP}, {"https_proxy", p.LowerHTTPS}} {
		if given[1] == "" {
			continue
		}
		if _, err := readProxy(given[0], given[1]); err != nil {
			return err
		}
	}
	return nil
}

func first(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

func (p *Proxies) config() *httpproxy.Config {
	return &httpproxy.Config{HTTPProxy: first(p.HTTP, p.LowerHTTP), HTTPSProxy: first(p.HTTPS, p.LowerHTTPS), NoProxy: first(p.No, p.LowerNo)}
}

// Through is for an http.Transport whose addresses operators choose. What users name
// goes through a Policy, which checks it first.
func (p *Proxies) Through() func(*http.Request) (*url.URL, error) {
	of := p.config().ProxyFunc()
	return func(r *http.Request) (*url.URL, error) { return of(r.URL) }
}

// outlet is a proxy and the variable that names it.
type outlet struct {
	*url.URL
	variable string
}

// outlets chooses the proxy for what a Policy dials; nil for none. A dialler sees
// no scheme: port 80 is plain HTTP, all others are HTTPS, or plain where only
// HTTP_PROXY is set and the port is not HTTPS's own.
func (p *Proxies) outlets() func(host string, port uint16) *outlet {
	cfg := p.config()
	if cfg.HTTPProxy == "" && cfg.HTTPSProxy == "" {
		return func(string, uint16) *outlet { return nil }
	}
	of := cfg.ProxyFunc()
	return func(host string, port uint16) *outlet {
		if addr, err := netip.ParseAddr(host); err == nil && addr.Unmap().IsLoopback() {
			return nil
		}
		to, variable := &url.URL{Scheme: "https", Host: net.JoinHostPort(host, strconv.Itoa(int(port)))}, "HTTPS_PROXY"
		if port == 80 || port != 443 && cfg.HTTPSProxy == "" {
			to.Scheme, variable = "http", "HTTP_PROXY"
		}
		proxy, err := of(to)
		if err != nil || proxy == nil {
			return nil
		}
		return &outlet{proxy, variable}
	}
}

func readProxy(variable, text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && (u.Path == "" || u.Path == "/") && u.RawQuery == "" {
		if _, ok := portOf(u); ok {
			return u, nil
		}
	}
	return nil, &config.Fault{Variable: variable, Value: "(not shown)", Want: "a URL such as http://proxy.example.com:3128"}
}
