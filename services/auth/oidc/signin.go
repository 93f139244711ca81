package oidc

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"uaol/services"
)

// Proof is what one sign-in is recognised by; each part is random.
type Proof struct {
	State    string // comes back with the browser
	Nonce    string // comes back in the ID token
	Verifier string // of PKCE: shows that the code is redeemed by who asked for it
}

// NewVerifier makes a Proof's Verifier.
func NewVerifier() string { return oauth2.GenerateVerifier() }

// Identity is who somebody is, in a provider's verified words.
type Identity struct {
	Issuer        string
	Subject       string
	Email         string // "" when it says none
	EmailVerified bool   // it is known to be theirs
	Groups        []string
}

// AuthURL is where to send a browser; kinds Unconfigured, Unavailable.
func (p *Provider) AuthURL(ctx context.Context, proof Proof) (string, error) {
	if err := p.Configured(); err != nil {
		return "", err
	}
	d, err := p.discover(ctx)
	if err != nil {
		return "", err
	}
	client, err := p.oauth(d)
	if err != nil {
		return "", err
	}
	options := append([]oauth2.AuthCodeOption{gooidc.Nonce(proof.Nonce), oauth2.S256ChallengeOption(proof.Verifier)}, p.extra...)
	return client.AuthCodeURL(proof.State, options...), nil
}

// errUnverified is all that people see of an ID token that is not right.
var errUnverified = services.Errorf(services.Unauthenticated, "The provider's answer could not be verified; please begin again")

// Redeem turns a code into an identity; kinds Unconfigured, Unavailable, and
// Unauthenticated for a code or an ID token that is not right.
func (p *Provider) Redeem(ctx context.Context, code string, proof Proof) (Identity, Tokens, error) {
	if err := p.Configured(); err != nil {
		return Identity{}, Tokens{}, err
	}
	d, err := p.discover(ctx)
	if err != nil {
		return Identity{}, Tokens{}, err
	}
	client, err := p.oauth(d)
	if err != nil {
		return Identity{}, Tokens{}, err
	}
	ctx = gooidc.ClientContext(ctx, p.http)
	token, err := client.Exchange(ctx, code, oauth2.VerifierOption(proof.Verifier))
	switch {
	case isRefusal(err):
		return Identity{}, Tokens{}, services.Errorf(services.Unauthenticated, "The provider did not accept the authorization code").Because(told(err))
	case err != nil:
		return Identity{}, Tokens{}, unreachable(p.title, err)
	}
	identity, err := p.identity(ctx, d, token, proof.Nonce)
	if err != nil {
		return Identity{}, Tokens{}, errUnverified.Because(told(err))
	}
	return identity, tokensOf(token), nil
}

// identity verifies the ID token and reads it.
func (p *Provider) identity(ctx context.Context, d *discovery, token *oauth2.Token, nonce string) (Identity, error) {
	raw, _ := token.Extra("id_token").(string)
	if raw == "" {
		return Identity{}, errors.New("there is no ID token")
	}
	verified, err := d.verifier.Verify(ctx, raw)
	if err != nil {
		return Identity{}, err
	}
	var c claims
	if err := verified.Claims(&c); err != nil {
		return Identity{}, err
	}
	party := c.text("azp")
	switch {
	case verified.Subject == "":
		return Identity{}, errors.New("the ID token names nobody")
	case subtle.ConstantTimeCompare([]byte(verified.Nonce), []byte(nonce)) != 1:
		return Identity{}, errors.New("the ID token has another nonce")
	case party != p.id && (party != "" || len(verified.Audience) > 1):
		return Identity{}, errors.New("the ID token was made for another client")
	case p.tenants != nil && !p.tenants.accepts(d.issuer, verified.Issuer, c.text("tid")):
		return Identity{}, errors.New("the ID token is another tenant's")
	}
	if verified.AccessTokenHash != "" {
		if err := verified.VerifyAccessToken(token.AccessToken); err != nil {
			return Identity{}, err
		}
	}
	if err := p.complete(ctx, d, token, verified.Subject, c); err != nil {
		return Identity{}, err
	}
	identity := Identity{Issuer: d.issuer, Subject: verified.Subject, Email: c.text("email"), EmailVerified: c.is("email_verified")}
	if p.tenants != nil {
		identity.Issuer, identity.EmailVerified = verified.Issuer, p.tenants.vouch(verified.Issuer, c)
	}
	if p.groups != "" {
		identity.Groups = c.list(p.groups)
	}
	return identity, nil
}

// complete asks the userinfo endpoint, if there is one, for what the ID token
// does not say.
func (p *Provider) complete(ctx context.Context, d *discovery, token *oauth2.Token, subject string, c claims) error {
	noGroups := p.groups != "" && c[p.groups] == nil
	if d.provider.UserInfoEndpoint() == "" || (c.text("email") != "" && !noGroups) {
		return nil
	}
	info, err := d.provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return err
	}
	if info.Subject != subject {
		return errors.New("userinfo is about somebody else")
	}
	var more claims
	if err := info.Claims(&more); err != nil {
		return err
	}
	if c.text("email") == "" { // an address and whether it is verified belong together
		c["email"], c["email_verified"] = more["email"], more["email_verified"]
	}
	if noGroups {
		c[p.groups] = more[p.groups]
	}
	return nil
}

// claims are a token's, by their exact names.
type claims map[string]json.RawMessage

// text is a claim that is a text; "" for any other.
func (c claims) text(name string) (text string) {
	if json.Unmarshal(c[name], &text) != nil {
		return ""
	}
	return text
}

// is reports whether a claim says yes, in the forms that providers write it in:
// Apple as a text, Microsoft also as a number.
func (c claims) is(name string) bool {
	said := strings.Trim(string(c[name]), `"`)
	return said == "true" || said == "1"
}

// list is a claim that is a list of texts, or one text.
func (c claims) list(name string) (list []string) {
	if json.Unmarshal(c[name], &list) != nil {
		list = []string{c.text(name)}
	}
	return slices.DeleteFunc(list, func(text string) bool { return text == "" })
}
