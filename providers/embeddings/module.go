package embeddings

import (
	"go.uber.org/fx"

	"uaol/providers/config"
	"uaol/providers/egress"
)

// Module provides *Client.
var Module = fx.Module("embeddings",
	config.For[Config](),
	fx.Provide(provide),
)

func provide(cfg Config, policy *egress.Policy, lifecycle fx.Lifecycle) (*Client, error) {
	client, err := New(cfg, policy)
	if err == nil {
		lifecycle.Append(fx.StopHook(client.Close))
	}
	return client, err
}
