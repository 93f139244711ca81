package events

import "github.com/prometheus/client_golang/prometheus"

// Counts are the figures of what is published, by service.
type Counts struct {
	unpublished     *prometheus.GaugeVec
	published, dead *prometheus.CounterVec
	lost            *prometheus.CounterVec
}

// NewCounts makes Counts.
func NewCounts() *Counts {
	by := []string{"service"}
	return &Counts{
		unpublished: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "uaol_events_unpublished", Help: "Events that the broker has not got yet, of services whose events this process publishes."}, by),
		published:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "uaol_events_published_total", Help: "Events that the broker has got from this process."}, by),
		dead:        prometheus.NewCounterVec(prometheus.CounterOpts{Name: "uaol_events_dead_total", Help: "Events that the broker refused for good."}, by),
		lost:        prometheus.NewCounterVec(prometheus.CounterOpts{Name: "uaol_events_lost_total", Help: "Events that were dropped after 30 days in which no broker took them."}, by),
	}
}

// Describe implements prometheus.Collector.
func (c *Counts) Describe(out chan<- *prometheus.Desc) {
	for _, one := range []prometheus.Collector{c.unpublished, c.published, c.dead, c.lost} {
		one.Describe(out)
	}
}

// Collect implements prometheus.Collector.
func (c *Counts) Collect(out chan<- prometheus.Metric) {
	for _, one := range []prometheus.Collector{c.unpublished, c.published, c.dead, c.lost} {
		one.Collect(out)
	}
}
