package registry

import "github.com/prometheus/client_golang/prometheus"

var offersAsked = prometheus.NewDesc("uaol_registry_offers_total",
	"Look-ups of tools by whether this process still knew them.", []string{"result"}, nil)

// Describe implements prometheus.Collector.
func (c *Cache) Describe(out chan<- *prometheus.Desc) { out <- offersAsked }

// Collect implements prometheus.Collector.
func (c *Cache) Collect(out chan<- prometheus.Metric) {
	hits, misses := c.Rate()
	out <- prometheus.MustNewConstMetric(offersAsked, prometheus.CounterValue, float64(hits), "hit")
	out <- prometheus.MustNewConstMetric(offersAsked, prometheus.CounterValue, float64(misses), "miss")
}
