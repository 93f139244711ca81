package httpserver

import (
	"net/http"
	"net/netip"
	"strings"

	"uaol/providers/api"
	"uaol/providers/config"
	"uaol/services"
)

// proxies are the balancers before us whose word about clients is taken.
type proxies []netip.Prefix

func parseProxies(texts []string) (proxies, error) {
	var trusted proxies
	for _, text := range texts {
		text = strings.TrimSpace(text)
		if text == "" {
			continue
		}
		prefix, err := netip.ParsePrefix(text)
		if addr, single := netip.ParseAddr(text); single == nil {
			prefix, err = netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()), nil
		}
		if err != nil || !prefix.IsValid() || prefix.Addr().Is4In6() {
			return nil, &config.Fault{Variable: "UAOL_TRUSTED_PROXIES", Value: text, Want: "CIDRs or addresses such as 10.0.0.0/8, separated by commas"}
		}
		trusted = append(trusted, prefix.Masked())
	}
	return trusted, nil
}

func (p proxies) trust(addr netip.Addr) bool {
	for _, prefix := range p {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// notice remembers where each request comes from.
func (p proxies) notice(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(services.WithOrigin(r.Context(), p.origin(r))))
	})
}

// origin is where a request comes from: the connection's other end, unless that is
// a balancer of ours. What balancers add stands last, so the client is the last
// address that is not a balancer's; what stands before it anybody may have written.
func (p proxies) origin(r *http.Request) services.Origin {
	secure := r.TLS != nil
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return api.OriginOf(r, r.RemoteAddr, secure)
	}
	client := at.Addr().Unmap()
	if !p.trust(client) {
		return api.OriginOf(r, client.String(), secure)
	}
	listed, said := r.Header.Values("X-Forwarded-For"), r.Header.Values("Forwarded")
	elements := forwarded(said)
	switch {
	case len(said) == 0:
		client = p.walk(client, strings.Split(strings.Join(listed, ","), ","))
	case len(listed) == 0:
		client = p.walk(client, names(elements))
	default:
		// A balancer writes one of the two and may hand the client's own other one on:
		// what they don't agree about nobody knows.
		if one := p.walk(client, strings.Split(strings.Join(listed, ","), ",")); one == p.walk(client, names(elements)) {
			client = one
		}
	}
	return api.OriginOf(r, client.String(), secure || p.secure(r, elements))
}

// walk goes from the nearest hop outwards for as long as balancers of ours say who
// came before. A hop that is no address ends it: who said so is the last one known.
func (p proxies) walk(client netip.Addr, hops []string) netip.Addr {
	for i := len(hops) - 1; i >= 0 && p.trust(client); i-- {
		addr, ok := hop(hops[i])
		if !ok {
			break
		}
		client = addr
	}
	return client
}

// hop reads an address that may have a port: 192.0.2.1:80, [2001:db8::1]:80.
func hop(text string) (netip.Addr, bool) {
	text = strings.TrimSpace(text)
	if at, err := netip.ParseAddrPort(text); err == nil {
		return at.Addr().Unmap().WithZone(""), true
	}
	if inner, ok := strings.CutPrefix(text, "["); ok {
		text = strings.TrimSuffix(inner, "]")
	}
	addr, err := netip.ParseAddr(text)
	return addr.Unmap().WithZone(""), err == nil
}

// secure reports whether the nearest balancer was asked over TLS.
func (p proxies) secure(r *http.Request, elements []element) bool {
	listed := strings.Split(strings.Join(r.Header.Values("X-Forwarded-Proto"), ","), ",")
	said := strings.EqualFold(strings.TrimSpace(listed[len(listed)-1]), "https")
	if len(elements) == 0 || elements[len(elements)-1].proto == "" {
		return said
	}
	other := strings.EqualFold(elements[len(elements)-1].proto, "https")
	if r.Header.Get("X-Forwarded-Proto") == "" {
		return other
	}
	return said && other
}

// element is one hop of Forwarded, RFC 7239: for=192.0.2.60;proto=https.
type element struct{ name, proto string }

func names(elements []element) []string {
	texts := make([]string, 0, len(elements))
	for _, e := range elements {
		texts = append(texts, e.name)
	}
	return texts
}

// forwarded reads the header's lines. What can't be read has no name, which ends
// the walk there.
func forwarded(lines []string) (elements []element) {
	for text := range splitQuoted(strings.Join(lines, ","), ',') {
		var e element
		for pair := range splitQuoted(text, ';') {
			key, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
			switch value = unquoted(value); strings.ToLower(key) {
			case "for":
				e.name = value
			case "proto":
				e.proto = value
			}
		}
		elements = append(elements, e)
	}
	if len(lines) == 0 {
		return nil
	}
	return elements
}

// splitQuoted splits where a separator stands outside of quotes.
func splitQuoted(text string, separator byte) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		begin, quoted := 0, false
		for i := 0; i < len(text); i++ {
			switch {
			case quoted && text[i] == '\\':
				i++
			case text[i] == '"':
				quoted = !quoted
			case text[i] == separator && !quoted:
				if !yield(text[begin:i]) {
					return
				}
				begin = i + 1
			}
		}
		yield(text[begin:])
	}
}

func unquoted(text string) string {
	text = strings.TrimSpace(text)
	if len(text) < 2 || text[0] != '"' || text[len(text)-1] != '"' {
		return text
	}
	return strings.ReplaceAll(text[1:len(text)-1], `\`, "")
}
