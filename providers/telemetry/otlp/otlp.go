// Package otlp exports a process's traces and metrics over OTLP, as HTTP with protobuf.
// It is apart from package telemetry because its libraries weigh several megabytes.
package otlp

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	bridge "go.opentelemetry.io/contrib/bridges/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.uber.org/fx"
	"go.uber.org/zap"

	"uaol/providers/config"
	"uaol/providers/httpserver"
	"uaol/providers/telemetry"
)

// Module provides a telemetry.Tracer, which traces nothing unless a collector is set.
var Module = fx.Module("telemetry", config.For[telemetry.Config](), fx.Provide(New))

// How long things wait, and how long a collector may take.
const (
	traceEvery  = 2 * time.Second
	metricEvery = 30 * time.Second
	within      = 10 * time.Second
	atTheEnd    = 3 * time.Second // for what is left when the process stops
	sayEvery    = time.Minute     // that the collector does not take anything
)

// New begins to export, if a collector is set, for as long as the process lives. What
// a collector does not take in time is lost: nothing of ours waits for it.
func New(cfg telemetry.Config, identity httpserver.Identity, registry *prometheus.Registry, log *zap.Logger, lifecycle fx.Lifecycle) (telemetry.Tracer, error) {
	if !cfg.Exports() {
		return telemetry.Tracer{}, nil
	}
	ctx := context.Background() // the exporters dial nobody before they have something to send
	spans, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(cfg.Endpoint+"/v1/traces"),
		otlptracehttp.WithHeaders(cfg.HeaderPairs()), otlptracehttp.WithTimeout(within), otlptracehttp.WithCompression(otlptracehttp.GzipCompression))
	if err != nil {
		return telemetry.Tracer{}, fmt.Errorf("OTEL_EXPORTER_OTLP_ENDPOINT: %w", err)
	}
	figures, err := otlpmetrichttp.New(ctx, otlpmetrichttp.WithEndpointURL(cfg.Endpoint+"/v1/metrics"),
		otlpmetrichttp.WithHeaders(cfg.HeaderPairs()), otlpmetrichttp.WithTimeout(within), otlpmetrichttp.WithCompression(otlpmetrichttp.GzipCompression))
	if err != nil {
		return telemetry.Tracer{}, fmt.Errorf("OTEL_EXPORTER_OTLP_ENDPOINT: %w", err)
	}
	doubt := &doubt{log: log.Named("telemetry"), endpoint: cfg.Endpoint}
	of := about(cfg, identity)
	provider := trace.NewTracerProvider(trace.WithResource(of), trace.WithSampler(sampler(cfg)), trace.WithIDGenerator(telemetry.IDs{}),
		trace.WithBatcher(spanExporter{spans, doubt}, trace.WithBatchTimeout(traceEvery), trace.WithExportTimeout(within)))
	reader := metric.NewPeriodicReader(metricExporter{figures, doubt}, metric.WithInterval(metricEvery), metric.WithTimeout(within),
		metric.WithProducer(bridge.NewMetricProducer(bridge.WithGatherer(registry))))
	meters := metric.NewMeterProvider(metric.WithResource(of), metric.WithReader(reader))
	lifecycle.Append(fx.StopHook(func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, atTheEnd)
		defer cancel()
		if err := errors.Join(provider.Shutdown(ctx), meters.Shutdown(ctx)); err != nil {
			doubt.log.Warn("the last traces and metrics were not taken", zap.Error(err))
		}
		return nil
	}))
	doubt.log.Info("traces and metrics are exported", zap.String("to", cfg.Endpoint))
	return telemetry.From(provider), nil
}

// about says which process it is.
func about(cfg telemetry.Config, identity httpserver.Identity) *resource.Resource {
	var parts []attribute.KeyValue
	for name, value := range cfg.AttributePairs() {
		parts = append(parts, attribute.String(name, value))
	}
	name := cfg.Service
	if name == "" {
		name = nameOf(identity)
	}
	return resource.NewSchemaless(append(parts, attribute.String("service.name", name), attribute.String("service.namespace", "uaol"),
		attribute.String("service.version", identity.Version), attribute.String("service.instance.id", uuid.NewString()))...)
}

// services is how many there are in all.
const services = 7

func nameOf(identity httpserver.Identity) string {
	if len(identity.Set) == services {
		return "uaol"
	}
	names := []string{"uaol"}
	for _, service := range identity.Set {
		names = append(names, string(service))
	}
	return strings.Join(names, "-")
}

func sampler(cfg telemetry.Config) trace.Sampler {
	kind, byParent := strings.CutPrefix(cfg.Sampler, "parentbased_")
	var chosen trace.Sampler
	switch kind {
	case "always_off":
		chosen = trace.NeverSample()
	case "traceidratio":
		chosen = trace.TraceIDRatioBased(cfg.Ratio())
	default:
		chosen = trace.AlwaysSample()
	}
	if byParent {
		return trace.ParentBased(chosen)
	}
	return chosen
}

// doubt says now and then that a collector takes nothing.
type doubt struct {
	log      *zap.Logger
	endpoint string
	said     atomic.Int64 // when, in Unix ns
}

func (d *doubt) about(err error) {
	now, said := time.Now().UnixNano(), d.said.Load()
	if err != nil && now-said > int64(sayEvery) && d.said.CompareAndSwap(said, now) {
		d.log.Warn("the collector of OTEL_EXPORTER_OTLP_ENDPOINT does not take traces or metrics; they are lost until it does",
			zap.String("endpoint", d.endpoint), zap.Error(err))
	}
}

type spanExporter struct {
	trace.SpanExporter
	doubt *doubt
}

func (e spanExporter) ExportSpans(ctx context.Context, spans []trace.ReadOnlySpan) error {
	e.doubt.about(e.SpanExporter.ExportSpans(ctx, spans))
	return nil
}

type metricExporter struct {
	metric.Exporter
	doubt *doubt
}

func (e metricExporter) Export(ctx context.Context, figures *metricdata.ResourceMetrics) error {
	e.doubt.about(e.Exporter.Export(ctx, figures))
	return nil
}
