package documents

import (
	"context"
	"io"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"uaol/providers/telemetry"
	"uaol/services"
)

// meter counts files that were read.
type meter struct {
	read    *prometheus.CounterVec
	seconds prometheus.Histogram
}

// Count lets the reading of files be counted. It must be called before any file is read.
func (e *Extractor) Count(registry prometheus.Registerer) {
	e.meter = &meter{
		read: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "uaol_documents_read_total", Help: "Files that were read by what came of it: ok, or the kind of error; invalid and unsupported are the file's own.",
		}, []string{"outcome"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "uaol_document_read_duration_seconds", Help: "How long reading a file took, waiting for a process included.",
			Buckets: []float64{.01, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300},
		}),
	}
	processes := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "uaol_document_processes", Help: "Processes for reading files."}, func() float64 {
		e.mu.Lock()
		defer e.mu.Unlock()
		return float64(len(e.live))
	})
	registry.MustRegister(e.meter.read, e.meter.seconds, processes)
}

// Extract reads a file. Its name only helps to tell formats apart that are text;
// progress, which may be nil, counts pages. It waits while as many files are read as
// may be. What is wrong with the file is an error of kind Invalid, with one of this
// package's codes, or Unsupported.
func (e *Extractor) Extract(ctx context.Context, r io.Reader, filename string, progress func(done, total int)) (Document, error) {
	begun := time.Now()
	ctx, span := telemetry.Work(ctx, "read a document")
	doc, err := e.perform(ctx, r, filename, progress)
	span.End(err)
	if e.meter != nil {
		outcome := "ok"
		if err != nil {
			outcome = string(services.KindOf(err))
		}
		e.meter.read.WithLabelValues(outcome).Inc()
		e.meter.seconds.Observe(time.Since(begun).Seconds())
	}
	return doc, err
}
