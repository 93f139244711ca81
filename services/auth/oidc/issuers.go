package oidc

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	gooidc "github.com/coreos/go-oidc/v3/oidc"

	"uaol/providers/egress"
	"uaol/services"
)

// Issuers are OpenID providers whose access tokens count at protected resources of
// ours, if they were given for those. They are asked through an egress policy: what
// discovery names is theirs to say.
type Issuers struct {
	all  map[string]*Provider // by the issuer, as its tokens say it
	idle func()
}

// NewIssuers makes Issuers; nothing is asked of them yet.
func NewIssuers(issuers []string, policy *egress.Policy) *Issuers {
	transport := policy.Transport()
	client := &http.Client{
		Timeout: timeout, Transport: bounded{transport},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	all := map[string]*Provider{}
	for _, issuer := range issuers {
		all[issuer] = &Provider{title: issuer, issuer: issuer, http: client, secret: fixed("")}
	}
	return &Issuers{all: all, idle: transport.CloseIdleConnections}
}

// Close ends idle connections.
func (i *Issuers) Close() {
	if i != nil {
		i.idle()
	}
}

// Issued reports whether a text is a token that names one of them.
func (i *Issuers) Issued(token string) bool {
	return i != nil && i.all[issuerOf(token)] != nil
}

// issuerOf reads what nobody has proved yet; "" of what is no JWT.
func issuerOf(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return ""
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	var said struct {
		Issuer string `json:"iss"`
	}
	if err != nil || json.Unmarshal(text, &said) != nil {
		return ""
	}
	return said.Issuer
}

// Access is what an access token says.
type Access struct {
	Issuer  string
	Subject string
	Scopes  []string
}

var errAccessToken = services.Errorf(services.Unauthenticated, "Invalid token")

// Verify reads an access token (RFC 9068) that was given for one of the audiences.
// Kinds: Unauthenticated; Unavailable while the issuer's keys can't be had.
func (i *Issuers) Verify(ctx context.Context, token string, audiences ...string) (Access, error) {
	provider := i.all[issuerOf(token)]
	if provider == nil {
		return Access{}, errAccessToken
	}
	d, err := provider.discover(ctx)
	if err != nil {
		return Access{}, err
	}
	ctx, cancel := context.WithTimeout(gooidc.ClientContext(ctx, provider.http), timeout)
	defer cancel()
	verified, err := d.access.Verify(ctx, token)
	switch {
	case err == nil:
	case strings.Contains(err.Error(), "fetching keys"): // the library has no other word for it
		return Access{}, unreachable(provider.title, err)
	default:
		return Access{}, errAccessToken.Because(told(err))
	}
	said := Access{Issuer: verified.Issuer, Subject: verified.Subject}
	if said.Subject == "" || !slices.ContainsFunc(verified.Audience, func(one string) bool { return one != "" && slices.Contains(audiences, one) }) {
		return Access{}, errAccessToken
	}
	var c claims
	if err := verified.Claims(&c); err != nil {
		return Access{}, errAccessToken.Because(told(err))
	}
	for _, name := range []string{"scope", "scp"} { // RFC 9068's, and Microsoft's and Okta's
		for _, text := range c.list(name) {
			said.Scopes = append(said.Scopes, strings.Fields(text)...)
		}
	}
	return said, nil
}
