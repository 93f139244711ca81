package oauth

import (
	"context"
	"crypto/subtle"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"uaol/services"
)

// Client is a program that asks to be let in.
type Client struct {
	ID        string   `db:"client_id"` // random, or the URL of its metadata document
	Name      string   `db:"name"`      // what it calls itself
	Redirects []string `db:"redirect_uris"`
	Refreshes bool     `db:"refreshes"` // it asked for refresh tokens
	Method    string   `db:"method"`    // one of authMethods, by which it proves itself at the token endpoint
	Secret    []byte   `db:"secret_hash"`
}

// How a program shows its secret: not at all, as HTTP has it, or among the form's own
// fields.
const (
	methodNone  = "none"
	methodBasic = "client_secret_basic"
	methodPost  = "client_secret_post"
)

var (
	authMethods = []string{methodNone, methodBasic, methodPost}
	grantTypes  = []string{grantCode, grantRefresh}
)

const (
	grantCode    = "authorization_code"
	grantRefresh = "refresh_token"
)

// maxURL bounds what programs name by a URL, in bytes.
const maxURL = 2000

// byDocument reports whether an id is the URL of a document.
func byDocument(id string) bool { return strings.HasPrefix(id, "https://") }

// Host is where the program's document is, which its owner has proved to have; "" for
// one that has registered itself, about which nothing is proved.
func (c Client) Host() string {
	if u, err := url.Parse(c.ID); err == nil && byDocument(c.ID) {
		return u.Host
	}
	return ""
}

// client finds a program by its id.
func (s *Service) client(ctx context.Context, id string) (Client, error) {
	if byDocument(id) {
		return s.documents.client(ctx, id)
	}
	found, err := s.repository.client(ctx, id)
	if services.Is(err, services.NotFound) || services.Is(err, services.Invalid) {
		err = refuse(codeInvalidClient, "This client is not known here, or not any more; register again")
	}
	return found, err
}

// redirect is where a request may be answered to, of what it names and what the
// program has registered: exactly that, but for the port on the person's own machine,
// which a program takes as it finds it (RFC 8252, section 7.3).
func (c Client) redirect(said string) (string, bool) {
	if said == "" {
		if len(c.Redirects) == 1 {
			return c.Redirects[0], true
		}
		return "", false
	}
	if redirectFault(said) != "" {
		return "", false
	}
	return said, slices.ContainsFunc(c.Redirects, func(one string) bool { return one == said || samePlace(one, said) })
}

// samePlace reports whether two addresses differ by nothing but a loopback's port.
func samePlace(registered, said string) bool {
	a, errA := url.Parse(registered)
	b, errB := url.Parse(said)
	return errA == nil && errB == nil && isLoopback(a) && a.Scheme == "http" && b.Scheme == "http" &&
		a.Hostname() == b.Hostname() && a.EscapedPath() == b.EscapedPath() && a.RawQuery == b.RawQuery && a.ForceQuery == b.ForceQuery
}

// isLoopback reports whether a URL is of this very machine.
func isLoopback(u *url.URL) bool {
	if u.Hostname() == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(u.Hostname())
	return err == nil && addr.IsLoopback() && !addr.Is4In6() && addr.Zone() == ""
}

// redirectFault says what is wrong with an address to answer to; "" for nothing. MCP
// takes HTTPS and the person's own machine, and no schemes that any program may claim.
func redirectFault(raw string) string {
	u, err := url.Parse(raw)
	switch {
	case err != nil || len(raw) > maxURL || strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '\\' }) || u.Opaque != "" || u.Hostname() == "":
		return "is not a URL"
	case strings.Contains(raw, "#"):
		return "must not have a fragment"
	case u.User != nil:
		return "must not name a user"
	case u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u)):
		return "must be https, or http on localhost or a loopback address"
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return "has a query that can't be read"
	}
	for _, ours := range []string{"code", "state", "iss", "error", "error_description"} {
		if query.Has(ours) {
			return "must not have a parameter named " + ours
		}
	}
	return ""
}

// shownName is a name as it may stand before people: a line of text without what turns
// or hides others.
func shownName(name string) (string, bool) {
	name = strings.TrimSpace(name)
	bad := func(r rune) bool {
		return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029'
	}
	return name, name != "" && utf8.ValidString(name) && utf8.RuneCountInString(name) <= 100 && !strings.ContainsFunc(name, bad)
}

// authenticate tells which program sends a request to the token endpoint.
func (s *Service) authenticate(ctx context.Context, form url.Values, header http.Header) (Client, error) {
	id, given, method := form.Get("client_id"), form.Get("client_secret"), methodNone
	if given != "" {
		method = methodPost
	}
	if said := header.Get("Authorization"); said != "" {
		basicID, basicSecret, ok := basic(header)
		switch {
		case !ok:
			return Client{}, refuse(codeInvalidClient, "The Authorization header is not Basic with the client's id and secret")
		case given != "" || id != "" && id != basicID:
			return Client{}, refuse(codeInvalidRequest, "The client proves itself in one way only")
		}
		if id, given = basicID, basicSecret; given != "" {
			method = methodBasic
		}
	}
	if id == "" {
		return Client{}, refuse(codeInvalidClient, "client_id is missing")
	}
	client, err := s.client(ctx, id)
	if err != nil {
		return Client{}, err
	}
	// Of the two ways of showing a secret either will do: what is proved is the same.
	if (client.Method == methodNone) != (method == methodNone) ||
		client.Method != methodNone && subtle.ConstantTimeCompare(client.Secret, hash(given)) != 1 {
		return Client{}, refuse(codeInvalidClient, "The client's secret is wrong or missing, or it has none")
	}
	return client, nil
}

// basic reads HTTP's own form, in which id and secret are encoded as in a form before
// (RFC 6749, section 2.3.1).
func basic(header http.Header) (id, secret string, ok bool) {
	id, secret, ok = (&http.Request{Header: header}).BasicAuth()
	if !ok {
		return "", "", false
	}
	id, errID := url.QueryUnescape(id)
	secret, errSecret := url.QueryUnescape(secret)
	return id, secret, errID == nil && errSecret == nil
}
