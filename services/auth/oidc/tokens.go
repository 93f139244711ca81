package oidc

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"uaol/services"
)

// Tokens are a provider's for one person. They are secrets.
type Tokens struct {
	Access  string    `json:"access"`
	Refresh string    `json:"refresh,omitempty"`
	Type    string    `json:"type,omitempty"`
	Expiry  time.Time `json:"expiry,omitzero"` // of Access; zero when the provider does not say
}

func tokensOf(t *oauth2.Token) Tokens {
	return Tokens{Access: t.AccessToken, Refresh: t.RefreshToken, Type: t.TokenType, Expiry: t.Expiry}
}

// own is discover for tokens of an identity; kind Conflict when the provider, as
// it is set up now, is not the one that the identity came from: then it must not
// see them.
func (p *Provider) own(ctx context.Context, issuer string) (*discovery, error) {
	if err := p.Configured(); err != nil {
		return nil, err
	}
	d, err := p.discover(ctx)
	if err != nil {
		return nil, err
	}
	same := issuer == d.issuer
	if p.tenants != nil {
		same = p.tenants.issued(d.issuer, issuer)
	}
	if !same {
		return nil, services.Errorf(services.Conflict, "This identity came from another provider than the one that is configured now; unlink it and sign in again")
	}
	return d, nil
}

// Refresh gets new tokens for an identity's old ones; kinds Unconfigured,
// Unavailable, and Conflict when the provider gives none any more.
func (p *Provider) Refresh(ctx context.Context, issuer string, old Tokens) (Tokens, error) {
	d, err := p.own(ctx, issuer)
	if err != nil {
		return Tokens{}, err
	}
	if old.Refresh == "" {
		return Tokens{}, services.Errorf(services.Conflict, "The provider gave nothing to refresh this with; sign in again")
	}
	client, err := p.oauth(d)
	if err != nil {
		return Tokens{}, err
	}
	source := client.TokenSource(gooidc.ClientContext(ctx, p.http), &oauth2.Token{RefreshToken: old.Refresh})
	token, err := source.Token() // keeps the refresh token unless the provider gives another
	switch {
	case isRefusal(err):
		return Tokens{}, services.Errorf(services.Conflict, "The provider refused to refresh this; sign in again").Because(told(err))
	case err != nil:
		return Tokens{}, unreachable(p.title, err)
	}
	return tokensOf(token), nil
}

// Revoke ends an identity's tokens at the provider, if it has an endpoint for
// that (RFC 7009); it tells whether they ended.
func (p *Provider) Revoke(ctx context.Context, issuer string, t Tokens) (bool, error) {
	d, err := p.own(ctx, issuer)
	if err != nil || d.revocation == "" {
		return false, err
	}
	revoked := false
	for _, token := range []struct{ hint, text string }{{"refresh_token", t.Refresh}, {"access_token", t.Access}} {
		if token.text == "" {
			continue
		}
		if err := p.revoke(ctx, d, token.hint, token.text); err != nil {
			return false, err
		}
		revoked = true
	}
	return revoked, nil
}

func (p *Provider) revoke(ctx context.Context, d *discovery, hint, token string) error {
	secret, err := p.secret()
	if err != nil {
		return err
	}
	form := url.Values{"token": {token}, "token_type_hint": {hint}}
	if d.style == oauth2.AuthStyleInParams {
		form.Set("client_id", p.id)
		if secret != "" {
			form.Set("client_secret", secret)
		}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, d.revocation, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if d.style == oauth2.AuthStyleInHeader {
		request.SetBasicAuth(url.QueryEscape(p.id), url.QueryEscape(secret))
	}
	response, err := p.http.Do(request)
	if err != nil {
		return unreachable(p.title, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return services.Errorf(services.Upstream, "%s answered %s to a revocation", p.title, response.Status)
	}
	return nil
}
