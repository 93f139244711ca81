package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/fx"
	"go.uber.org/zap"

	"uaol/migrations"
	"uaol/providers/api"
	"uaol/providers/config"
	"uaol/providers/egress"
	"uaol/providers/events"
	"uaol/providers/httpserver"
	"uaol/providers/keyring"
	"uaol/providers/limits"
	"uaol/providers/logging"
	"uaol/providers/mail"
	"uaol/providers/workers"
	"uaol/services"
	"uaol/services/auth/modelkeys"
	"uaol/services/auth/oauth"
	"uaol/services/auth/oidc"
	"uaol/services/auth/teams"
	"uaol/services/billing"
)

// Module runs auth in this process.
var Module = fx.Module("auth",
	logging.Named("auth"),
	events.Owner(services.Auth),
	config.For[Config](),
	config.For[oidc.Config](),
	config.For[modelkeys.Config](),
	config.For[mail.Config](),
	config.For[oauth.Config](),
	fx.Provide(fx.Private, NewRepository, newService, newIssuers, NewHandler, NewAuditLog, NewHousekeeper, newProviders, NewSignIns,
		modelkeys.NewRepository, modelkeys.NewService, modelkeys.NewHandler,
		NewOAuthHost, oauth.NewRepository, newOAuth, oauth.NewHandler,
		NewTeamsHost, teams.NewRepository, teams.NewService, teams.NewHandler,
		mail.New, newPost, NewProfiles, newExports, NewProfileHandler, newEraser),
	fx.Provide(local, standing, modelKeys, directory, auditor, NewAuthenticator, newRevocations, hearing, telling, asAuthenticator, routes, usageNotes, housekeeping, posting, erasing),
)

// Remote reaches auth in another process.
var Remote = fx.Module("auth-remote",
	config.WhenNeeded[ClientConfig](),
	fx.Provide(fx.Private, NewClient),
	fx.Provide(func(c *Client) (Verifier, ModelKeys, services.Auditor, billing.AccountDirectory, services.Standing) {
		return c, c, c, c, c
	}, NewAuthenticator, newRevocations, hearing, asAuthenticator),
)

func local(s *Service) Verifier { return s }

func standing(s *Service) services.Standing { return s }

func modelKeys(s *modelkeys.Service) ModelKeys { return s }

func directory(r *Repository) billing.AccountDirectory { return r }

func newProviders(cfg oidc.Config, lifecycle fx.Lifecycle) *oidc.Providers {
	providers := oidc.New(cfg)
	lifecycle.Append(fx.StopHook(providers.Close))
	return providers
}

func newIssuers(cfg oauth.Config, policy *egress.Policy, lifecycle fx.Lifecycle) *oidc.Issuers {
	issuers := oidc.NewIssuers(cfg.Issuers, policy)
	lifecycle.Append(fx.StopHook(issuers.Close))
	return issuers
}

func newService(cfg Config, repository *Repository, meter billing.Meter, bus *events.Bus, issuers *oidc.Issuers, log *zap.Logger) (*Service, error) {
	s, err := NewService(cfg, repository, meter, bus, log)
	if err == nil {
		s.Accept(issuers)
	}
	return s, err
}

type oauthParams struct {
	fx.In
	Config     oauth.Config
	Server     httpserver.Config
	Repository *oauth.Repository
	Host       oauth.Host
	Bus        *events.Bus
	Ring       *keyring.Ring
	Policy     *egress.Policy
	Lifecycle  fx.Lifecycle
}

func newOAuth(p oauthParams) *oauth.Service {
	s := oauth.NewService(p.Config, p.Server.Public, p.Repository, p.Host, p.Bus, p.Ring, p.Policy.Transport())
	p.Lifecycle.Append(fx.StopHook(s.Close))
	return s
}

func auditor(l *AuditLog) services.Auditor { return l }

// usageNotes are written a minute late: last used is good to the minute.
func usageNotes(s *Service) workers.Out {
	return workers.Out{Worker: workers.Worker{Name: "auth-usage", Run: workers.Every(30*time.Second, s.NoteUsage)}}
}

func housekeeping(h *Housekeeper) workers.Out {
	return workers.Out{Worker: workers.Worker{Name: "auth-housekeeping", Run: workers.Every(time.Minute, h.Sweep)}}
}

func newPost(mailer *mail.Mailer, cfg oidc.Config, log *zap.Logger) *Post {
	return NewPost(mailer, cfg.Frontends()[0], log)
}

func posting(p *Post) workers.Out {
	return workers.Out{Worker: workers.Worker{Name: "auth-post", Run: p.Run}}
}

// custodies are the other services as keepers of personal data, here or elsewhere.
type custodies struct {
	fx.In
	All []services.Custody `group:"keepers"`
}

func newExports(p *Profiles, r *Repository, c custodies) *Exports { return NewExports(p, r, c.All) }

func newEraser(r *Repository, c custodies, log *zap.Logger) *Eraser { return NewEraser(r, c.All, log) }

func erasing(e *Eraser) workers.Out {
	return workers.Out{Worker: workers.Worker{Name: "auth-eraser", Run: workers.Every(eraseEvery, e.Round)}}
}

func newRevocations(cfg limits.Config, log *zap.Logger, lifecycle fx.Lifecycle) (*Revocations, error) {
	r, err := NewRevocations(cfg, log)
	if err == nil {
		lifecycle.Append(fx.StopHook(r.Close))
	}
	return r, err
}

// hearing runs wherever callers are authenticated.
func hearing(r *Revocations, a *Authenticator) workers.Out {
	return workers.Out{Worker: workers.Worker{Name: "auth-revocations", Run: func(ctx context.Context) error {
		if r.client == nil {
			<-ctx.Done()
			return nil
		}
		return r.Listen(ctx, a.Forget)
	}}}
}

// telling runs where auth does: what is revoked is revoked there.
func telling(r *Revocations, bus *events.Bus) workers.Out {
	r.Follow(bus)
	return workers.Out{Worker: workers.Worker{Name: "auth-revoking", Run: r.Publish}}
}

func asAuthenticator(a *Authenticator, lifecycle fx.Lifecycle) services.Authenticator {
	lifecycle.Append(fx.StopHook(a.Close))
	return a
}

type routesParams struct {
	fx.In
	Handler   *Handler
	ModelKeys *modelkeys.Handler
	Teams     *teams.Handler
	Profiles  *ProfileHandler
	OAuth     *oauth.Handler
	Config    Config
	Current   *migrations.Current // the first admin needs its tables
	Pool      *pgxpool.Pool
	Outlet    events.Outlet
	Log       *zap.Logger
	Lifecycle fx.Lifecycle
}

func routes(p routesParams) httpserver.Out {
	if p.Config.AdminEmail != "" {
		p.Lifecycle.Append(fx.StartHook(func(ctx context.Context) error {
			_, err := p.Handler.service.EnsureAdmin(ctx, p.Config.AdminEmail, p.Config.AdminKey)
			if errors.Is(err, errRevoked) { // by the admin, who has another one
				p.Log.Warn("UAOL_ADMIN_API_KEY was revoked and stays so; set another one, or unset it with UAOL_ADMIN_EMAIL")
				return nil
			}
			if err != nil {
				return fmt.Errorf("UAOL_ADMIN_EMAIL: the admin could not be made: %w", err)
			}
			p.Log.Info("admin present")
			return nil
		}))
	}
	operations := slices.Concat(p.Handler.operations(), p.ModelKeys.Operations(), p.Teams.Operations(), p.Profiles.operations(), p.OAuth.Operations())
	operations = append(operations,
		api.Internal("/internal/auth/verify", p.Handler.service.Verify),
		api.Internal("/internal/auth/acting", p.Handler.service.Acting),
		api.Internal("/internal/auth/home", p.Handler.service.repository.Home),
		api.Internal("/internal/auth/record", p.Handler.audit.record))
	operations = append(operations, p.ModelKeys.Internal()...)
	operations = append(operations, events.NewOutbox(services.Auth).Operations(services.Auth, p.Pool)...)
	operations = append(operations, events.NewOutbox(services.Auth).Administration(p.Pool, p.Outlet)...)
	return httpserver.Out{Routes: httpserver.Routes{Service: services.Auth, Operations: operations}}
}
