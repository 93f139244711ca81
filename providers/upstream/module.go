package upstream

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/fx"
	"go.uber.org/zap"

	"uaol/providers/egress"
)

// Module provides *Client, whose sessions with tools end with the process.
var Module = fx.Module("upstream", fx.Provide(provide))

// Surroundings looks up what stdio tools' processes may be given of our environment.
type Surroundings func(name string) (value string, set bool)

func provide(policy *egress.Policy, surroundings Surroundings, metrics *prometheus.Registry, log *zap.Logger, lifecycle fx.Lifecycle) *Client {
	client := New(policy, log.Named("upstream"), Limits{})
	client.Inherit(surroundings)
	client.meter = newMeter(metrics)
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
