package workers

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// meter counts loops by their names, which are the program's own.
type meter struct {
	running  *prometheus.GaugeVec
	failures *prometheus.CounterVec
}

// newMeter gives the registry's meter; nil where nobody counts. Loops that are attached
// later share it with those of the process.
func newMeter(registry *prometheus.Registry) *meter {
	if registry == nil {
		return nil
	}
	m := &meter{
		running:  prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "uaol_worker_running", Help: "Background loops that run (1), or wait to be begun again after a failure (0)."}, []string{"worker"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "uaol_worker_failures_total", Help: "Times that a background loop failed and had to be begun again."}, []string{"worker"}),
	}
	var there prometheus.AlreadyRegisteredError
	if errors.As(registry.Register(m.running), &there) {
		m.running, _ = there.ExistingCollector.(*prometheus.GaugeVec)
	}
	if errors.As(registry.Register(m.failures), &there) {
		m.failures, _ = there.ExistingCollector.(*prometheus.CounterVec)
	}
	return m
}

func (m *meter) begun(worker string) {
	if m != nil {
		m.running.WithLabelValues(worker).Set(1)
		m.failures.WithLabelValues(worker)
	}
}

func (m *meter) ended(worker string, failed bool) {
	if m == nil {
		return
	}
	m.running.WithLabelValues(worker).Set(0)
	if failed {
		m.failures.WithLabelValues(worker).Inc()
	}
}
