package egress

import (
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"uaol/services"
)

// localNames are names that lead to this machine or its cloud's metadata,
// localSuffixes the domains set aside for private networks: RFC 6761, RFC 6762,
// RFC 8375 and ICANN's .internal.
var (
	localNames = []string{
		"localhost", "localhost.localdomain", "localhost6", "localhost6.localdomain6",
		"ip6-localhost", "ip6-loopback", "broadcasthost", "metadata",
		"instance-data.ec2.internal", "metadata.google.internal", "metadata.tencentyun.com",
	}
	localSuffixes = []string{".localhost", ".localdomain", ".local", ".internal", ".intranet", ".lan", ".home.arpa"}
)

// CheckURL looks at an address when a tool is registered, as CheckAddress does.
func (p *Policy) CheckURL(raw string) error {
	err := p.CheckAddress(raw)
	var refused *RefusedError
	if errors.As(err, &refused) && !refused.Deny {
		return services.Errorf(services.Invalid, "%s, or a platform admin for this tool alone: uaol connect %s", refused, raw).Because(refused)
	}
	return err
}

// CheckAddress looks at an address when it is given, without asking DNS: what a
// name resolves to is checked when it is dialled, and may differ by then. Kind
// Invalid.
func (p *Policy) CheckAddress(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || raw != strings.TrimSpace(raw) || strings.ContainsAny(raw, "\\ \t\r\n") {
		return services.Errorf(services.Invalid, "the address is not a URL, write it like https://example.com/path")
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return services.Errorf(services.Invalid, "the address must begin with http:// or https://")
	case u.Opaque != "" || u.Hostname() == "":
		return services.Errorf(services.Invalid, "the address names no host, write it like https://example.com/path")
	case u.User != nil:
		return services.Errorf(services.Invalid, "the address must not contain a user name or password")
	case strings.Contains(raw, "#"):
		return services.Errorf(services.Invalid, "the address must not contain a fragment (#)")
	}
	port, ok := portOf(u)
	if !ok {
		return services.Errorf(services.Invalid, "the address's port must be a number from 1 to 65535")
	}
	return p.checkHost(u.Hostname(), port)
}

func (p *Policy) checkHost(host string, port uint16) error {
	if addr, err := netip.ParseAddr(host); err == nil {
		return invalid(p.check(host, netip.AddrPortFrom(addr, port)))
	}
	name, err := hostName(host)
	if err != nil || strings.ContainsAny(name, ":[]%") {
		return services.Errorf(services.Invalid, "the address's host %.100q is not a name", host)
	}
	if addr, err := netip.ParseAddr(name); err == nil {
		return invalid(p.check(name, netip.AddrPortFrom(addr, port)))
	}
	if looksNumeric(name) {
		return invalid(&RefusedError{Host: host})
	}
	switch p.byName(name, port) {
	case allowed:
		return nil
	case denied:
		return invalid(&RefusedError{Host: host, Deny: true})
	}
	if slices.Contains(localNames, name) || hasSuffix(name, localSuffixes) || !strings.Contains(name, ".") {
		return invalid(&RefusedError{Host: host})
	}
	return nil
}

func invalid(err error) error {
	if err == nil {
		return nil
	}
	return services.Errorf(services.Invalid, "%s", err.Error()).Because(err)
}

func hasSuffix(name string, suffixes []string) bool {
	return slices.ContainsFunc(suffixes, func(s string) bool { return strings.HasSuffix(name, s) })
}

func portOf(u *url.URL) (uint16, bool) {
	text := u.Port()
	switch {
	case text != "":
		port, err := strconv.ParseUint(text, 10, 16)
		return uint16(port), err == nil && port != 0
	case strings.HasSuffix(u.Host, ":"):
		return 0, false
	case u.Scheme == "https":
		return 443, true
	default:
		return 80, true
	}
}
