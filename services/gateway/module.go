package gateway

import (
	"slices"

	"github.com/gin-gonic/gin"
	"go.uber.org/fx"
	"go.uber.org/zap"

	"uaol/providers/api"
	"uaol/providers/config"
	"uaol/providers/egress"
	"uaol/providers/httpserver"
	"uaol/providers/limits"
	"uaol/providers/logging"
	"uaol/services"
	"uaol/services/auth"
	"uaol/services/auth/modelkeys"
	"uaol/services/billing"
	"uaol/services/gateway/chat"
	"uaol/services/gateway/speech"
	"uaol/services/jobs"
	"uaol/services/proxy"
	"uaol/services/proxy/mcpserver"
	"uaol/services/registry"
	"uaol/services/storage"
)

// Module runs the gateway in this process.
var Module = fx.Module("gateway",
	logging.Named("gateway"),
	config.For[speech.Config](), config.For[chat.Config](),
	fx.Provide(fx.Private, places, NewUpstreams, NewHandler, NewConfigurationHandler, voice, speech.NewHandler, chat.NewService, chat.NewHandler),
	fx.Provide(routes, pages, rates),
)

// Remote is empty: no service ever calls the gateway.
var Remote = fx.Module("gateway-remote")

// addresses are given by the services that do not run in this process.
type addresses struct {
	fx.In
	Auth     auth.ClientConfig     `optional:"true"`
	Registry registry.ClientConfig `optional:"true"`
	Proxy    proxy.ClientConfig    `optional:"true"`
	Jobs     jobs.ClientConfig     `optional:"true"`
	Billing  billing.ClientConfig  `optional:"true"`
	Storage  storage.ClientConfig  `optional:"true"`
}

func places(a addresses) []Place {
	return []Place{
		{services.Auth, "UAOL_AUTH_URL", a.Auth.URL, auth.Operations},
		{services.Registry, "UAOL_REGISTRY_URL", a.Registry.URL, registry.Operations},
		{services.Proxy, "UAOL_PROXY_URL", a.Proxy.URL, mcpserver.Operations},
		{services.Jobs, "UAOL_JOBS_URL", a.Jobs.URL, jobs.Operations},
		{services.Billing, "UAOL_BILLING_URL", a.Billing.URL, billing.Operations},
		{services.Storage, "UAOL_STORAGE_URL", a.Storage.URL, storage.Operations},
	}
}

func routes(h *Handler, configuration *ConfigurationHandler, talk *chat.Handler, voice *speech.Handler, log *zap.Logger) httpserver.Out {
	operations := slices.Concat(h.operations(), configuration.Operations(), talk.Operations(), voice.Operations())
	for _, u := range h.upstreams {
		f := newForwarder(u.Peer, log)
		for _, op := range u.Operations {
			operations = append(operations, f.by(op))
		}
	}
	return httpserver.Out{Routes: httpserver.Routes{Service: services.Gateway, Operations: operations}}
}

func voice(cfg speech.Config, keys modelkeys.Keys, meter billing.Meter, policy *egress.Policy, lifecycle fx.Lifecycle, log *zap.Logger) (*speech.Service, error) {
	s, err := speech.NewService(cfg, keys, meter, policy, log)
	if err == nil {
		lifecycle.Append(fx.StopHook(s.Close))
	}
	return s, err
}

func rates(meter billing.Meter, lifecycle fx.Lifecycle) limits.Rates {
	p := newPlans(meter)
	lifecycle.Append(fx.StopHook(p.Close))
	return p
}

// refuse answers like any unknown path.
func refuse(c *gin.Context) {
	api.Fail(c, services.Errorf(services.NotFound, "Cannot %s %s", c.Request.Method, c.Request.URL.Path))
}
