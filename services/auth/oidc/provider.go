// Package oidc speaks OpenID Connect with the providers that people sign in
// with: it sends browsers to them, and turns the code that they come back with
// into a verified identity. It knows no accounts and keeps no state but what
// discovery said.
package oidc

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/oauth2"

	"uaol/services"
)

// Names are the providers, as paths and clients call them.
var Names = []string{"google", "outlook", "icloud", "oidc"}

// Providers are those of Names, whether set up or not.
type Providers struct {
	all  map[string]*Provider
	idle func()
}

// New makes Providers. Nothing is asked of them yet.
func New(c Config) *Providers {
	client, idle := newClient(c.Proxies)
	p := &Providers{all: map[string]*Provider{}, idle: idle}
	for _, provider := range []*Provider{google(c), outlook(c), icloud(c), generic(c)} {
		provider.http = client
		p.all[provider.Name] = provider
	}
	return p
}

// Named is the provider of that name, one of Names.
func (p *Providers) Named(name string) *Provider { return p.all[name] }

// Close ends idle connections.
func (p *Providers) Close() { p.idle() }

// Provider is one OpenID provider as the operator set it up.
type Provider struct {
	Name string // one of Names

	title    string   // for messages
	missing  []string // variables that are needed and not set
	issuer   string   // where discovery is asked
	id       string
	secret   func() (string, error)
	redirect string
	scopes   []string
	extra    []oauth2.AuthCodeOption
	groups   string   // the claim that lists groups; "" when nobody asks
	tenants  *tenants // Microsoft's; nil for others

	http  *http.Client
	found discoveries
}

func google(c Config) *Provider {
	return &Provider{
		Name: "google", title: "Google OAuth", issuer: c.GoogleIssuer, id: c.GoogleID, secret: fixed(c.GoogleSecret), redirect: c.GoogleRedirect,
		missing: unset("GOOGLE_CLIENT_ID", c.GoogleID, "GOOGLE_CLIENT_SECRET", c.GoogleSecret),
		scopes:  []string{"openid", "email", "profile"}, extra: []oauth2.AuthCodeOption{oauth2.AccessTypeOffline},
	}
}

func outlook(c Config) *Provider {
	t := &tenants{configured: c.OutlookTenant}
	if t.configured == "" {
		t.configured = common
	}
	issuer := c.OutlookIssuer
	if issuer == "" {
		issuer = "https://login.microsoftonline.com/" + t.configured + "/v2.0"
	}
	return &Provider{
		Name: "outlook", title: "Outlook OAuth", issuer: issuer, id: c.OutlookID, secret: fixed(c.OutlookSecret), redirect: c.OutlookRedirect,
		missing: unset("OUTLOOK_CLIENT_ID", c.OutlookID, "OUTLOOK_CLIENT_SECRET", c.OutlookSecret),
		scopes:  []string{"openid", "email", "profile", "offline_access"}, tenants: t,
	}
}

func icloud(c Config) *Provider {
	missing := unset("ICLOUD_CLIENT_ID", c.AppleID)
	if len(missing) == 0 {
		missing = unset("ICLOUD_CLIENT_SECRET", c.AppleSecret)
	}
	return &Provider{
		Name: "icloud", title: "Apple Sign In", issuer: c.AppleIssuer, id: c.AppleID, secret: appleSecret(c), redirect: c.AppleRedirect,
		missing: missing,
		// With these scopes Apple insists on posting its answer.
		scopes: []string{"name", "email"}, extra: []oauth2.AuthCodeOption{oauth2.SetAuthURLParam("response_mode", "form_post")},
	}
}

func generic(c Config) *Provider {
	p := &Provider{
		Name: "oidc", title: "OpenID sign-in", issuer: c.Issuer, id: c.ID, secret: fixed(c.Secret), redirect: c.Redirect,
		missing: unset("OIDC_ISSUER", c.Issuer, "OIDC_CLIENT_ID", c.ID),
		scopes:  strings.Fields(c.Scopes),
	}
	if c.GroupRoles != "" {
		p.groups = c.GroupsClaim
	}
	return p
}

func fixed(secret string) func() (string, error) {
	return func() (string, error) { return secret, nil }
}

// unset lists the variables of pairs whose value is empty.
func unset(pairs ...string) (missing []string) {
	for pair := range slices.Chunk(pairs, 2) {
		if pair[1] == "" {
			missing = append(missing, pair[0])
		}
	}
	return missing
}

// Configured tells whether it can be used; kind Unconfigured names what is missing.
func (p *Provider) Configured() error {
	if len(p.missing) == 0 {
		return nil
	}
	return services.Errorf(services.Unconfigured, "%s is not configured. Please set %s in backend/.env", p.title, strings.Join(p.missing, " and ")).
		WithCode("OAUTH_NOT_CONFIGURED")
}

// Shown is what people know it by: its maker, or where it is.
func (p *Provider) Shown() string {
	if name, ok := map[string]string{"google": "Google", "outlook": "Microsoft", "icloud": "Apple"}[p.Name]; ok {
		return name
	}
	if u, err := url.Parse(p.issuer); err == nil {
		return u.Host
	}
	return p.Name
}

// Redirect is where the provider sends people back to.
func (p *Provider) Redirect() string { return p.redirect }

// Secure reports whether people come back over TLS.
func (p *Provider) Secure() bool { return strings.HasPrefix(p.redirect, "https://") }

// oauth is the provider in the library's form.
func (p *Provider) oauth(d *discovery) (*oauth2.Config, error) {
	secret, err := p.secret()
	if err != nil {
		return nil, fmt.Errorf("the client secret of %s: %w", p.Name, err)
	}
	endpoint := d.provider.Endpoint()
	endpoint.AuthStyle = d.style
	return &oauth2.Config{ClientID: p.id, ClientSecret: secret, Endpoint: endpoint, RedirectURL: p.redirect, Scopes: p.scopes}, nil
}
