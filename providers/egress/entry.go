package egress

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// entry is one line of TOOL_EGRESS_ALLOW or TOOL_EGRESS_DENY: either a range of
// addresses or a name, each with or without a port.
type entry struct {
	prefix netip.Prefix // invalid for a name
	host   string       // empty for addresses
	port   uint16       // 0 stands for every port
}

func (e entry) hasName(host string, port uint16) bool {
	return e.host != "" && e.host == host && (e.port == 0 || e.port == port)
}

func (e entry) hasAddr(to netip.AddrPort) bool {
	return e.prefix.IsValid() && e.prefix.Contains(to.Addr()) && (e.port == 0 || e.port == to.Port())
}

var errEntry = errors.New("a CIDR, an address or a host name, the last two with or without :port")

func parseEntry(text string) (entry, error) {
	if prefix, err := netip.ParsePrefix(text); err == nil {
		return entry{prefix: plain(prefix)}, nil
	}
	bare, bracketed := strings.CutPrefix(text, "[")
	if bracketed {
		bare = strings.TrimSuffix(bare, "]")
	}
	if addr, err := netip.ParseAddr(bare); err == nil && addr.Zone() == "" && bracketed == strings.HasSuffix(text, "]") {
		return entry{prefix: single(addr)}, nil
	}
	if to, err := netip.ParseAddrPort(text); err == nil && to.Addr().Zone() == "" && to.Port() != 0 {
		return entry{prefix: single(to.Addr()), port: to.Port()}, nil
	}
	name, digits, hasPort := strings.Cut(text, ":")
	var port uint64
	if hasPort {
		var err error
		if port, err = strconv.ParseUint(digits, 10, 16); err != nil || port == 0 {
			return entry{}, errEntry
		}
	}
	host, err := hostName(name)
	if err != nil || looksNumeric(host) || strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "" {
		return entry{}, errEntry
	}
	return entry{host: host, port: uint16(port)}, nil
}

func single(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap()
	return netip.PrefixFrom(addr, addr.BitLen())
}

// plain turns a range of IPv4-mapped addresses into the IPv4 range it means,
// because addresses are unmapped before they are compared.
func plain(prefix netip.Prefix) netip.Prefix {
	if prefix.Addr().Is4In6() && prefix.Bits() >= 96 {
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
	}
	return prefix.Masked()
}

// hostName gives the one spelling under which a name is compared: what IDNA
// makes of it (the HTTP client dials that), lower case, no trailing dot.
func hostName(host string) (string, error) {
	if !ascii(host) {
		var err error
		if host, err = idna.Lookup.ToASCII(host); err != nil {
			return "", err
		}
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if host == "" || strings.HasPrefix(host, ".") || strings.HasSuffix(host, ".") || strings.Contains(host, "..") {
		return "", errors.New("empty label")
	}
	return host, nil
}

func ascii(text string) bool {
	for i := range len(text) {
		if text[i] >= 0x80 {
			return false
		}
	}
	return true
}

// looksNumeric tells the spellings that some resolvers read as IPv4 addresses
// (2130706433, 127.1, 0x7f.1, 0177.0.0.1) from names: no public top-level
// domain is a number. https://url.spec.whatwg.org/#ends-in-a-number-checker
func looksNumeric(host string) bool {
	last := host[strings.LastIndexByte(host, '.')+1:]
	if last == "" {
		return false
	}
	if strings.HasPrefix(last, "0x") && strings.Trim(last[2:], "0123456789abcdef") == "" {
		return true
	}
	return strings.Trim(last, "0123456789") == ""
}
