package proxy

import (
	"context"

	"go.uber.org/fx"
	"go.uber.org/zap"

	"uaol/providers/api"
	"uaol/providers/config"
	"uaol/providers/egress"
	"uaol/providers/httpserver"
	"uaol/providers/logging"
	"uaol/services"
	"uaol/services/proxy/upstream"
)

// Module runs the proxy in this process.
var Module = fx.Module("proxy",
	logging.Named("proxy"),
	fx.Provide(fx.Private, newUpstream, NewService, NewHandler),
	fx.Provide(local, routes),
)

// Remote reaches the proxy in another process.
var Remote = fx.Module("proxy-remote",
	config.WhenNeeded[ClientConfig](),
	fx.Provide(fx.Private, NewClient),
	fx.Provide(func(c *Client) Invoker { return c }),
)

func local(s *Service) Invoker { return s }

// newUpstream ties the sessions with tools to the process's life.
func newUpstream(policy *egress.Policy, log *zap.Logger, lifecycle fx.Lifecycle) *upstream.Client {
	client := upstream.New(policy, log, upstream.Limits{})
	lifecycle.Append(fx.StopHook(func(ctx context.Context) error {
		closed := make(chan error, 1)
		go func() { closed <- client.Close() }() // says goodbye to every server, and some are slow
		select {
		case err := <-closed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}))
	return client
}

func routes(h *Handler) httpserver.Out {
	operations := append(h.operations(),
		api.Internal("/internal/proxy/call", h.service.Call),
		api.Internal("/internal/proxy/methods", h.service.Methods))
	return httpserver.Out{Routes: httpserver.Routes{Service: services.Proxy, Operations: operations}}
}
