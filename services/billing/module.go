package billing

import (
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/fx"

	"uaol/providers/config"
	"uaol/providers/events"
	"uaol/providers/httpserver"
	"uaol/providers/logging"
	"uaol/providers/peers"
	"uaol/providers/workers"
	"uaol/services"
)

// Module runs billing in this process.
var Module = fx.Module("billing",
	logging.Named("billing"),
	fx.Provide(fx.Private, NewRepository, NewService, NewHandler, NewSweeper),
	fx.Provide(local, routes, loops, outbox, fx.Annotate(keeper, fx.ResultTags(`group:"keepers"`))),
)

// Remote reaches billing in another process.
var Remote = fx.Module("billing-remote",
	config.WhenNeeded[ClientConfig](),
	fx.Provide(fx.Private, NewClient),
	fx.Provide(func(c *Client) Meter { return c }, fx.Annotate(remoteKeeper, fx.ResultTags(`group:"keepers"`))),
)

func local(s *Service) Meter { return s }

func keeper(s *Service) services.Custody {
	return services.Custody{Service: services.Billing, Keeper: s}
}

// remoteKeeper is there without an address too: then auth says what it can't do.
func remoteKeeper(cfg ClientConfig, tokens *peers.Tokens) services.Custody {
	client, err := NewClient(cfg, tokens)
	return services.Custody{Service: services.Billing, Keeper: client, Missing: err}
}

func outbox(pool *pgxpool.Pool) workers.Out {
	return workers.Out{Worker: events.NewOutbox(services.Billing).Pruner(pool)}
}

func routes(h *Handler, pool *pgxpool.Pool) httpserver.Out {
	operations := append(h.operations(), h.internal()...)
	operations = append(operations, events.NewOutbox(services.Billing).Operations(services.Billing, pool)...)
	return httpserver.Out{Routes: httpserver.Routes{Service: services.Billing, Operations: operations}}
}

func loops(s *Sweeper) workers.Out {
	return workers.Out{Worker: workers.Worker{Name: "billing-sweeper", Run: s.Run}}
}
