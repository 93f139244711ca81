package billing

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
)

// meter counts what moves credits; whose they are, the journal tells.
type meter struct{ acts *prometheus.CounterVec }

func newMeter(registry prometheus.Registerer) *meter {
	m := &meter{acts: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "uaol_credits_acts_total", Help: "Holds, settlements and releases of credits that were written, or found to be written already.",
	}, []string{"act"})}
	registry.MustRegister(m.acts)
	for _, act := range []string{"hold", "settle", "release"} {
		m.acts.WithLabelValues(act)
	}
	return m
}

func (m *meter) add(act string, n int) {
	if m != nil && n > 0 {
		m.acts.WithLabelValues(act).Add(float64(n))
	}
}

func (r *Repository) holdAll(ctx context.Context, batch []asked) (map[int]Hold, error) {
	done, err := r.writeHolds(ctx, batch)
	r.meter.add("hold", len(done))
	return done, err
}

func (r *Repository) settleAll(ctx context.Context, batch []SettleRequest) (map[int]settled, error) {
	done, err := r.writeSettlements(ctx, batch)
	r.meter.add("settle", len(done))
	return done, err
}

func (r *Repository) releaseAll(ctx context.Context, batch []ReleaseRequest) (map[int]Hold, error) {
	done, err := r.writeReleases(ctx, batch)
	r.meter.add("release", len(done))
	return done, err
}
