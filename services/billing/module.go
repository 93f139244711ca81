package billing

import (
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/fx"

	"uaol/providers/config"
	"uaol/providers/events"
	"uaol/providers/httpserver"
	"uaol/providers/keyring"
	"uaol/providers/logging"
	"uaol/providers/peers"
	"uaol/providers/workers"
	"uaol/services"
	"uaol/services/billing/chain"
	"uaol/services/billing/ledger"
	"uaol/services/billing/payments"
)

// Module runs billing in this process.
var Module = fx.Module("billing",
	logging.Named("billing"),
	events.Owner(services.Billing),
	config.For[PlansConfig](),
	config.For[payments.Config](),
	config.For[FrontendConfig](),
	config.For[ledger.Config](),
	fx.Provide(fx.Private, repository, NewService, NewHandler, NewSweeper, NewPaid, NewReceipts, newPayments, signer, NewLedgerHandler,
		ledger.NewPublisher, ledger.NewSealer),
	fx.Provide(local, routes, loops, sealing, pruning, fx.Annotate(keeper, fx.ResultTags(`group:"keepers"`))),
)

// FrontendConfig is where people come back to from Stripe's pages.
type FrontendConfig struct {
	Frontend string `env:"FRONTEND_URL" envDefault:"http://localhost:8080" want:"an http or https URL without query; several separated by commas" doc:"where sign-in leads back to, at /auth/callback, tools' consents, at /tools/consent, and payments, at /billing; of several, separated by commas, the first is the default and ?return_to= chooses another"`
}

func newPayments(cfg payments.Config, frontend FrontendConfig, server httpserver.Config, pool *pgxpool.Pool, paid *Paid, lifecycle fx.Lifecycle) *payments.Service {
	first, _, _ := strings.Cut(frontend.Frontend, ",")
	service := payments.New(cfg, payments.Pages{Frontend: strings.TrimSpace(first), Public: server.Public}, pool, paid)
	lifecycle.Append(fx.StopHook(service.Close))
	return service
}

func repository(pool *pgxpool.Pool, outlet events.Outlet, metrics *prometheus.Registry) *Repository {
	r := NewRepository(pool).Telling(outlet.Open())
	r.meter = newMeter(metrics)
	return r
}

func signer(cfg ledger.Config, ring *keyring.Ring) (*chain.Key, error) {
	key, _, err := ledger.Keys(cfg, ring)
	return key, err
}

// Remote reaches billing in another process.
var Remote = fx.Module("billing-remote",
	config.WhenNeeded[ClientConfig](),
	fx.Provide(fx.Private, NewClient),
	fx.Provide(func(c *Client) Meter { return c }, fx.Annotate(remoteKeeper, fx.ResultTags(`group:"keepers"`))),
)

func local(s *Service) Meter { return s }

func keeper(s *Service, p *payments.Service) services.Custody {
	return services.Custody{Service: services.Billing, Keeper: custodian{s, p}}
}

// remoteKeeper is there without an address too: then auth says what it can't do.
func remoteKeeper(cfg ClientConfig, tokens *peers.Tokens) services.Custody {
	client, err := NewClient(cfg, tokens)
	return services.Custody{Service: services.Billing, Keeper: client, Missing: err}
}

func routes(h *Handler, books *LedgerHandler, pool *pgxpool.Pool, outlet events.Outlet) httpserver.Out {
	operations := slices.Concat(h.operations(), books.operations(), h.internal())
	operations = append(operations, events.NewOutbox(services.Billing).Operations(services.Billing, pool)...)
	operations = append(operations, events.NewOutbox(services.Billing).Administration(pool, outlet)...)
	return httpserver.Out{Routes: httpserver.Routes{Service: services.Billing, Operations: operations}}
}

func sealing(s *ledger.Sealer) workers.Out {
	return workers.Out{Worker: workers.Worker{Name: "billing-sealer", Run: s.Run}}
}

func pruning(p *payments.Service) workers.Out {
	return workers.Out{Worker: workers.Worker{Name: "billing-payments", Run: workers.Every(time.Hour, p.Prune)}}
}

func loops(s *Sweeper) workers.Out {
	return workers.Out{Worker: workers.Worker{Name: "billing-sweeper", Run: s.Run}}
}
