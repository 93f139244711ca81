package app

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/fx"

	"uaol/providers/events"
	"uaol/providers/httpserver"
)

// sight counts what is of the process as a whole: what it is, and the events that are
// handed on in it. An event's type is one of the program's own words.
var sight = fx.Invoke(func(registry *prometheus.Registry, identity httpserver.Identity, bus *events.Bus) error {
	published := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "uaol_events_heard_total", Help: "Events that were handed on in this process.",
	}, []string{"type"})
	bus.Subscribe(func(event events.Event) { published.WithLabelValues(event.Type).Inc() })
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "uaol_build_info", Help: "1, for what this process is.",
		ConstLabels: prometheus.Labels{"version": identity.Version, "services": strings.ReplaceAll(join(identity.Set), ", ", ",")},
	})
	info.Set(1)
	if err := registry.Register(published); err != nil {
		return err
	}
	return registry.Register(info)
})
