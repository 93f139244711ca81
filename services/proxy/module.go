package proxy

import (
	"go.uber.org/fx"

	"uaol/providers/api"
	"uaol/providers/config"
	"uaol/providers/httpserver"
	"uaol/providers/logging"
	"uaol/services"
)

// Module runs the proxy in this process.
var Module = fx.Module("proxy",
	logging.Named("proxy"),
	fx.Provide(fx.Private, NewService, NewHandler),
	fx.Provide(local, routes),
)

// Remote reaches the proxy in another process.
var Remote = fx.Module("proxy-remote",
	config.WhenNeeded[ClientConfig](),
	fx.Provide(fx.Private, NewClient),
	fx.Provide(func(c *Client) Invoker { return c }),
)

func local(s *Service) Invoker { return s }

func routes(h *Handler) httpserver.Out {
	operations := append(h.operations(),
		api.Internal("/internal/proxy/call", h.service.Call),
		api.Internal("/internal/proxy/methods", h.service.Methods))
	return httpserver.Out{Routes: httpserver.Routes{Service: services.Proxy, Operations: operations}}
}
