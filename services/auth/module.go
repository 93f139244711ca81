package auth

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/fx"
	"go.uber.org/zap"

	"uaol/migrations"
	"uaol/providers/api"
	"uaol/providers/config"
	"uaol/providers/events"
	"uaol/providers/httpserver"
	"uaol/providers/logging"
	"uaol/services"
)

// Module runs auth in this process.
var Module = fx.Module("auth",
	logging.Named("auth"),
	config.For[Config](),
	fx.Provide(fx.Private, NewRepository, NewService, NewHandler),
	fx.Provide(local, NewAuthenticator, asAuthenticator, routes),
)

// Remote reaches auth in another process.
var Remote = fx.Module("auth-remote",
	config.WhenNeeded[ClientConfig](),
	fx.Provide(fx.Private, NewClient),
	fx.Provide(func(c *Client) Verifier { return c }, NewAuthenticator, asAuthenticator),
)

func local(s *Service) Verifier { return s }

func asAuthenticator(a *Authenticator, lifecycle fx.Lifecycle) services.Authenticator {
	lifecycle.Append(fx.StopHook(a.Close))
	return a
}

type routesParams struct {
	fx.In
	Handler   *Handler
	Config    Config
	Current   *migrations.Current // the first admin needs its tables
	Pool      *pgxpool.Pool
	Log       *zap.Logger
	Lifecycle fx.Lifecycle
}

func routes(p routesParams) httpserver.Out {
	if p.Config.AdminEmail != "" {
		p.Lifecycle.Append(fx.StartHook(func(ctx context.Context) error {
			if _, err := p.Handler.service.EnsureAdmin(ctx, p.Config.AdminEmail, p.Config.AdminKey); err != nil {
				return fmt.Errorf("UAOL_ADMIN_EMAIL: the admin could not be made: %w", err)
			}
			p.Log.Info("admin present", zap.String("email", p.Config.AdminEmail))
			return nil
		}))
	}
	operations := append(p.Handler.operations(),
		api.Internal("/internal/auth/verify", p.Handler.service.Verify),
		events.NewOutbox(services.Auth).Operation(services.Auth, p.Pool))
	return httpserver.Out{Routes: httpserver.Routes{Service: services.Auth, Operations: operations}}
}
