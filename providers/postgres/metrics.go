package postgres

import (
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
)

// figures tells how a pool's connections are used.
type figures struct{ pool *pgxpool.Pool }

var (
	poolConnections = prometheus.NewDesc("uaol_database_connections", "Connections to the database by what they do: acquired, idle, or constructing.", []string{"state"}, nil)
	poolMost        = prometheus.NewDesc("uaol_database_connections_max", "Connections that this process may hold.", nil, nil)
	poolAcquired    = prometheus.NewDesc("uaol_database_acquires_total", "Times that a connection was had.", nil, nil)
	poolWaits       = prometheus.NewDesc("uaol_database_acquire_waits_total", "Times that none was free and somebody waited.", nil, nil)
	poolWaited      = prometheus.NewDesc("uaol_database_acquire_wait_seconds_total", "How long those who waited did, all together.", nil, nil)
	poolLeft        = prometheus.NewDesc("uaol_database_acquires_cancelled_total", "Times that somebody left before a connection was free.", nil, nil)
	poolOpened      = prometheus.NewDesc("uaol_database_connections_opened_total", "Connections that were opened.", nil, nil)
)

// Describe implements prometheus.Collector.
func (f figures) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{poolConnections, poolMost, poolAcquired, poolWaits, poolWaited, poolLeft, poolOpened} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (f figures) Collect(out chan<- prometheus.Metric) {
	now := f.pool.Stat()
	gauge := func(d *prometheus.Desc, value int32, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(value), labels...)
	}
	counter := func(d *prometheus.Desc, value float64) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, value)
	}
	gauge(poolConnections, now.AcquiredConns(), "acquired")
	gauge(poolConnections, now.IdleConns(), "idle")
	gauge(poolConnections, now.ConstructingConns(), "constructing")
	gauge(poolMost, now.MaxConns())
	counter(poolAcquired, float64(now.AcquireCount()))
	counter(poolWaits, float64(now.EmptyAcquireCount()))
	counter(poolWaited, now.EmptyAcquireWaitTime().Seconds())
	counter(poolLeft, float64(now.CanceledAcquireCount()))
	counter(poolOpened, float64(now.NewConnsCount()))
}
