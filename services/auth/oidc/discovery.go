package oidc

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/sync/singleflight"
)

// fresh is how long discovery's answer counts before it is asked for again.
const fresh = 24 * time.Hour

// discovery is what a provider says of itself.
type discovery struct {
	provider   *gooidc.Provider
	verifier   *gooidc.IDTokenVerifier // with the provider's keys, which it keeps
	access     *gooidc.IDTokenVerifier // of access tokens, whose audience is compared by hand
	issuer     string                  // as announced; Microsoft's may have a place for the tenant
	revocation string                  // "" for none
	style      oauth2.AuthStyle        // how the client shows its secret
	at         time.Time
}

// discoveries keeps the last discovery, and lets all who need the next one wait
// for the same.
type discoveries struct {
	last   atomic.Pointer[discovery]
	asking singleflight.Group
}

// discover asks the provider about itself, at first use: the server starts
// also while a provider is down. What failed is tried again at the next use.
func (p *Provider) discover(ctx context.Context) (*discovery, error) {
	last := p.found.last.Load()
	if last != nil && time.Since(last.at) < fresh {
		return last, nil
	}
	asked := p.found.asking.DoChan("", func() (any, error) {
		// It is for all who wait: one who leaves must not end it.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
		defer cancel()
		d, err := p.ask(ctx)
		if err == nil {
			p.found.last.Store(d)
		}
		return d, err
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case answer := <-asked:
		d, _ := answer.Val.(*discovery)
		switch {
		case answer.Err == nil:
			return d, nil
		case last != nil: // it was right until now
			return last, nil
		}
		return nil, unreachable(p.title, answer.Err)
	}
}

func (p *Provider) ask(ctx context.Context) (*discovery, error) {
	ctx = gooidc.ClientContext(ctx, p.http)
	if p.tenants != nil { // its issuer is not where it is asked; both are compared below and for each token
		ctx = gooidc.InsecureIssuerURLContext(ctx, p.issuer)
	}
	provider, err := gooidc.NewProvider(ctx, p.issuer)
	if err != nil {
		return nil, err
	}
	var said struct {
		Issuer      string   `json:"issuer"`
		Revocation  string   `json:"revocation_endpoint"`
		AuthMethods []string `json:"token_endpoint_auth_methods_supported"`
	}
	if err := provider.Claims(&said); err != nil {
		return nil, err
	}
	if p.tenants != nil && !sameHost(p.issuer, said.Issuer) {
		return nil, errors.New("discovery names an issuer of another host")
	}
	for _, endpoint := range []string{provider.Endpoint().AuthURL, provider.Endpoint().TokenURL} {
		if !strings.HasPrefix(endpoint, "https://") && !strings.HasPrefix(endpoint, "http://") {
			return nil, errors.New("discovery names no endpoints")
		}
	}
	style := oauth2.AuthStyleInHeader // what the specification takes for granted
	if p.public() || slices.Contains(said.AuthMethods, "client_secret_post") {
		style = oauth2.AuthStyleInParams
	}
	return &discovery{
		provider: provider, issuer: said.Issuer, revocation: said.Revocation, style: style, at: time.Now(),
		// Algorithms are those that discovery lists, of the library's asymmetric
		// ones; RS256 when it lists none of them.
		verifier: provider.Verifier(&gooidc.Config{ClientID: p.id, SkipIssuerCheck: p.tenants != nil}),
		access:   provider.Verifier(&gooidc.Config{SkipClientIDCheck: true}),
	}, nil
}

// public reports whether the client has no secret.
func (p *Provider) public() bool {
	secret, err := p.secret()
	return err == nil && secret == ""
}
