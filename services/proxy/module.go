package proxy

import (
	"context"
	"slices"

	"go.uber.org/fx"
	"go.uber.org/zap"

	"uaol/providers/api"
	"uaol/providers/config"
	"uaol/providers/httpserver"
	"uaol/providers/keyring"
	"uaol/providers/logging"
	"uaol/providers/peers"
	"uaol/providers/upstream"
	"uaol/providers/workers"
	"uaol/services"
	"uaol/services/billing"
	"uaol/services/registry"
)

// Module runs the proxy in this process.
var Module = fx.Module("proxy",
	logging.Named("proxy"),
	config.For[Config](),
	fx.Provide(fx.Private, digestKey, NewHandler, NewRepository, NewCalls, NewCallsHandler, NewSweeper, NewLimits, till),
	fx.Provide(service, NewOnce, local, routes, sweeper, forgetter, fx.Annotate(keeper, fx.ResultTags(`group:"keepers"`))),
)

// Remote reaches the proxy in another process.
var Remote = fx.Module("proxy-remote",
	config.WhenNeeded[ClientConfig](),
	fx.Provide(fx.Private, NewClient),
	fx.Provide(func(c *Client) Invoker { return c }, fx.Annotate(remoteKeeper, fx.ResultTags(`group:"keepers"`))),
)

func local(s *Service) Invoker { return s }

func digestKey(ring *keyring.Ring) DigestKey { return ring.Key("call arguments") }

func service(catalog registry.Catalog, till Till, client *upstream.Client, limits *Limits, digests DigestKey, cfg Config, log *zap.Logger, lifecycle fx.Lifecycle) *Service {
	s := NewService(catalog, till, client, limits, digests, cfg, log)
	lifecycle.Append(fx.StopHook(s.Close))
	return s
}

func routes(h *Handler, calls *CallsHandler) httpserver.Out {
	operations := slices.Concat(h.operations(), calls.operations(), calls.internal())
	operations = append(operations,
		api.Internal("/internal/proxy/call", h.service.Call),
		api.Internal("/internal/proxy/methods", h.service.Methods))
	return httpserver.Out{Routes: httpserver.Routes{Service: services.Proxy, Operations: operations}}
}

// till stops after the server and the workers, which still close calls.
func till(cfg Config, meter billing.Meter, repository *Repository, log *zap.Logger, lifecycle fx.Lifecycle) Till {
	c := NewTill(cfg, meter, repository, log)
	lifecycle.Append(fx.Hook{OnStart: func(context.Context) error { c.Start(); return nil }, OnStop: c.Stop})
	return c
}

func sweeper(s *Sweeper) workers.Out {
	return workers.Out{Worker: workers.Worker{Name: "proxy-sweeper", Run: s.Run}}
}

func forgetter(c *Calls) workers.Out {
	return workers.Out{Worker: workers.Worker{Name: "proxy-forgetter", Run: workers.Every(forgetEvery, c.Forget)}}
}

func keeper(c *Calls) services.Custody {
	return services.Custody{Service: services.Proxy, Keeper: c}
}

// remoteKeeper is there without an address too: then auth says what it can't do.
func remoteKeeper(cfg ClientConfig, tokens *peers.Tokens) services.Custody {
	client, err := NewClient(cfg, tokens)
	return services.Custody{Service: services.Proxy, Keeper: client, Missing: err}
}
