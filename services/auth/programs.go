package auth

import (
	"context"
	"net/url"
	"time"

	"github.com/google/uuid"

	"uaol/providers/events"
	"uaol/services"
	"uaol/services/auth/oauth"
	"uaol/services/auth/oidc"
)

// programs is what letting programs in needs of the rest of auth; it is an oauth.Host.
type programs struct {
	service   *Service
	providers *oidc.Providers
}

// NewOAuthHost makes an oauth.Host.
func NewOAuthHost(service *Service, providers *oidc.Providers) oauth.Host {
	return &programs{service: service, providers: providers}
}

// SignIn implements oauth.Host.
func (p *programs) SignIn(ctx context.Context, email, password string, life time.Duration) (uuid.UUID, error) {
	account, err := p.service.byPassword(ctx, email, password)
	if err != nil {
		return uuid.Nil, err
	}
	in := p.service.session(ctx, account.ID, "password", nil)
	in.password, in.life = account.PasswordHash, life
	services.NoteCaller(ctx, account.Caller())
	return in.id, p.service.repository.addSession(ctx, p.service.repository.pool, in)
}

// Take implements oauth.Host.
func (p *programs) Take(ctx context.Context, what string, most int64, within time.Duration) (bool, error) {
	return p.service.repository.take(ctx, newQuota(what, network(services.OriginFrom(ctx).Address), most, within))
}

// AccessChanged implements oauth.Host.
func (p *programs) AccessChanged(account, organization uuid.UUID) events.Event {
	return accessChanged(account, organization)
}

// Providers implements oauth.Host. One that sends people back to another address of
// ours would send them to one that does not know their browser.
func (p *programs) Providers(base string) (found []oauth.Provider) {
	for _, name := range oidc.Names {
		one := p.providers.Named(name)
		if one.Configured() == nil && sameOrigin(base, one.Redirect()) {
			found = append(found, oauth.Provider{Name: name, Title: one.Shown()})
		}
	}
	return found
}

func sameOrigin(a, b string) bool {
	x, errX := url.Parse(a)
	y, errY := url.Parse(b)
	return errX == nil && errY == nil && x.Scheme == y.Scheme && x.Host == y.Host
}
