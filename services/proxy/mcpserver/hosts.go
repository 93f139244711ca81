package mcpserver

import (
	"net"
	"net/http"
	"net/url"
	"strings"

	"uaol/providers/httpserver"
	"uaol/services"
)

// hosts are where the endpoint may be called from a browser, and as what: else any page
// could have its visitors' browsers call a server on their own machine, under a name
// that it has made mean 127.0.0.1.
type hosts struct {
	public  string // the public URL's host
	origins []string
}

func newHosts(cfg httpserver.Config) hosts {
	h := hosts{origins: cfg.Origins}
	if public, err := url.Parse(cfg.Public); err == nil {
		h.public = public.Host
	}
	return h
}

// check refuses a request that a foreign page may have sent; kind Forbidden.
func (h hosts) check(r *http.Request) error {
	called := r.Host
	if origin, err := url.Parse(services.OriginFrom(r.Context()).URL); err == nil && origin.Host != "" {
		called = origin.Host // what the client called the gateway
	}
	if origin := r.Header.Get("Origin"); origin != "" && !h.knows(origin, called) {
		return services.Errorf(services.Forbidden, "Pages of %.100q may not use this endpoint; name the origin in UAOL_CORS_ORIGINS", origin)
	}
	if local(r) && !loopback(called) && !strings.EqualFold(called, h.public) {
		return services.Errorf(services.Forbidden, "This server is on your own machine and is not called %.100q; use localhost or set UAOL_PUBLIC_URL", called)
	}
	return nil
}

// knows reports whether an origin is the endpoint's own or one that was named. An * in
// their place is for what carries its credentials itself, and does not count here.
func (h hosts) knows(origin, called string) bool {
	from, err := url.Parse(origin)
	if err != nil || from.Host == "" {
		return false
	}
	if strings.EqualFold(from.Host, h.public) || loopback(called) && loopback(from.Host) {
		return true
	}
	for _, named := range h.origins {
		before, after, wild := strings.Cut(named, "*")
		switch {
		case named == "*":
		case !wild && strings.EqualFold(named, origin),
			wild && len(origin) >= len(before)+len(after) && strings.HasPrefix(origin, before) && strings.HasSuffix(origin, after):
			return true
		}
	}
	return false
}

// local reports whether a request came to an address that only this machine has, and
// from its client itself.
func local(r *http.Request) bool {
	at, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok || r.Header.Get("X-Uaol-Origin") != "" {
		return false
	}
	host, _, err := net.SplitHostPort(at.String())
	return err == nil && loopback(host)
}

// loopback reports whether a host, with or without a port, is this machine.
func loopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	if strings.EqualFold(host, "localhost") || strings.HasSuffix(strings.ToLower(host), ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
