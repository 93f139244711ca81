package llm

import (
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/fx"

	"uaol/providers/config"
	"uaol/providers/egress"
)

// Module provides *Client.
var Module = fx.Module("llm",
	config.For[Config](),
	fx.Provide(provide),
)

func provide(cfg Config, policy *egress.Policy, metrics *prometheus.Registry, lifecycle fx.Lifecycle) (*Client, error) {
	client, err := New(cfg, policy)
	if err == nil {
		client.meter = newMeter(metrics)
		lifecycle.Append(fx.StopHook(client.Close))
	}
	return client, err
}
