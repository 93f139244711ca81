// Package egress is the one way out to addresses that users name. It lets
// through what is public, refuses this machine and its neighbourhood, and
// decides on the address that is really dialled, so that neither DNS nor a
// redirect leads past it.
package egress

import (
	"net"
	"net/netip"
	"slices"
	"strings"

	"code.dny.dev/ssrf"

	"uaol/providers/config"
	"uaol/services"
)

// Config is the operator's say. An entry is a CIDR, an address, a host name,
// or one of the last two with a port. A name matches what is dialled by that
// name whatever it resolves to.
type Config struct {
	Proxies
	Allow []string `env:"TOOL_EGRESS_ALLOW" envSeparator:"," want:"CIDRs, addresses, hosts or host:port, separated by commas" doc:"private addresses that tools may be at, such as 10.0.0.0/8 or localhost:3001; without it loopback, private and metadata addresses are refused"`
	Deny  []string `env:"TOOL_EGRESS_DENY" envSeparator:"," want:"CIDRs, addresses, hosts or host:port, separated by commas" doc:"addresses that tools may not be at, even public ones"`
	Proxy string   `env:"TOOL_EGRESS_PROXY" secret:"true" want:"a URL such as http://proxy.example.com:3128" doc:"HTTP proxy through which tools are reached, by CONNECT, instead of HTTP_PROXY and HTTPS_PROXY and whatever NO_PROXY says; names are resolved and checked here first, and only those in TOOL_EGRESS_ALLOW are left to the proxy to resolve"`
}

// Check refuses entries that mean nothing.
func (c *Config) Check() error {
	if err := c.CheckProxies(); err != nil {
		return err
	}
	_, err := New(*c)
	return err
}

// Policy answers whether an address may be called. It never changes, so a
// connection that was let through may be reused.
type Policy struct {
	allow, deny []entry
	public      *ssrf.Guardian
	proxy       *outlet // nil for none
	usual       func(host string, port uint16) *outlet
	resolver    *net.Resolver // nil for the system's
}

// alsoPrivate are addresses outside IANA's special registries that clouds use
// for their metadata: Azure's WireServer,
// https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
var alsoPrivate = []netip.Prefix{netip.MustParsePrefix("168.63.129.16/32")}

// New reads the two lists.
func New(cfg Config) (*Policy, error) {
	allow, err := parseEntries("TOOL_EGRESS_ALLOW", cfg.Allow)
	if err != nil {
		return nil, err
	}
	deny, err := parseEntries("TOOL_EGRESS_DENY", cfg.Deny)
	if err != nil {
		return nil, err
	}
	proxy, err := parseProxy(cfg.Proxy)
	if err != nil {
		return nil, err
	}
	return &Policy{
		allow:  allow,
		deny:   deny,
		public: ssrf.New(ssrf.WithAnyPort(), ssrf.WithDeniedV4Prefixes(alsoPrivate...)),
		proxy:  proxy,
		usual:  cfg.outlets(),
	}, nil
}

// With is the policy with exceptions: exactly these host:port are open too,
// unless an operator has closed them. Kind Invalid, naming the entry, for what is
// no host:port.
func (p *Policy) With(exceptions []string) (*Policy, error) {
	if len(exceptions) == 0 {
		return p, nil
	}
	wider := *p
	wider.allow = slices.Clone(p.allow)
	for _, text := range exceptions {
		e, err := parseEntry(text)
		if err != nil || e.port == 0 || (e.host == "" && !e.prefix.IsSingleIP()) {
			return nil, services.Errorf(services.Invalid, "%.100q is no host:port such as localhost:3001", text)
		}
		wider.allow = append(wider.allow, e)
	}
	return &wider, nil
}

func parseEntries(variable string, texts []string) ([]entry, error) {
	var entries []entry
	for _, text := range texts {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		e, err := parseEntry(text)
		if err != nil {
			return nil, &config.Fault{Variable: variable, Value: text, Want: err.Error()}
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// RefusedError says that an address is closed to us.
type RefusedError struct {
	Host string // as it was asked for, with the port when there is one
	Addr string // what Host resolved to; empty when the name alone was enough
	Deny bool   // an operator's entry closes it, not its being private
}

func (e *RefusedError) Error() string {
	what := e.Host
	if e.Addr != "" && e.Addr != e.Host {
		what += " (" + e.Addr + ")"
	}
	if e.Deny {
		return what + " is closed by TOOL_EGRESS_DENY, which wins over TOOL_EGRESS_ALLOW"
	}
	return what + " is not a public address; an operator can open it with TOOL_EGRESS_ALLOW"
}

// verdict is what the lists say before anybody looks whether an address is public.
type verdict int

const (
	silent verdict = iota
	allowed
	denied
)

func (p *Policy) byName(host string, port uint16) verdict {
	for _, e := range p.deny {
		if e.hasName(host, port) {
			return denied
		}
	}
	for _, e := range p.allow {
		if e.hasName(host, port) {
			return allowed
		}
	}
	return silent
}

// byAddr decides about an address on its own. An IPv4 address inside an IPv6
// one must be open too, unless exactly that IPv6 address is listed: a translator
// that was opened as a whole shall not lead back to loopback.
func (p *Policy) byAddr(to netip.AddrPort) verdict {
	inner := embedded(to.Addr())
	for _, e := range p.deny {
		if e.hasAddr(to) {
			return denied
		}
	}
	for _, v4 := range inner {
		if p.byAddr(netip.AddrPortFrom(v4, to.Port())) == denied {
			return denied
		}
	}
	for _, e := range p.allow {
		if e.hasAddr(to) && (e.prefix.IsSingleIP() || p.allOpen(inner, to.Port())) {
			return allowed
		}
	}
	return silent
}

func (p *Policy) allOpen(addrs []netip.Addr, port uint16) bool {
	for _, addr := range addrs {
		if !p.open(netip.AddrPortFrom(addr, port)) {
			return false
		}
	}
	return true
}

func (p *Policy) open(to netip.AddrPort) bool {
	switch p.byAddr(to) {
	case allowed:
		return true
	case denied:
		return false
	default:
		return p.public.SafeAddrPort(to) == nil && p.allOpen(embedded(to.Addr()), to.Port())
	}
}

// check decides about one dial: host as it was asked for, and where it led.
func (p *Policy) check(host string, to netip.AddrPort) error {
	to = netip.AddrPortFrom(to.Addr().Unmap().WithZone(""), to.Port())
	name, addr := p.byName(host, to.Port()), p.byAddr(to)
	switch {
	case name == denied || addr == denied:
		return &RefusedError{Host: host, Addr: to.Addr().String(), Deny: true}
	case name == allowed || p.open(to):
		return nil
	default:
		return &RefusedError{Host: host, Addr: to.Addr().String()}
	}
}
