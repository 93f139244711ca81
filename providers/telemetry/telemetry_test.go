package telemetry_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"uaol/providers/config"
	"uaol/providers/telemetry"
	"uaol/services"
)

// recorded is a Tracer whose spans are kept.
func recorded(options ...trace.TracerProviderOption) (telemetry.Tracer, *tracetest.SpanRecorder) {
	recorder := tracetest.NewSpanRecorder()
	options = append(options, trace.WithSpanProcessor(recorder), trace.WithIDGenerator(telemetry.IDs{}))
	return telemetry.From(trace.NewTracerProvider(options...)), recorder
}

func TestSpansTellKindsAndNotWords(t *testing.T) {
	t.Parallel()
	tracer, recorder := recorded()
	ctx, top := tracer.Serve(t.Context(), http.Header{}, "GET /")
	_, below := telemetry.Call(ctx, "call")
	below.End(services.Errorf(services.Upstream, "what somebody wrote").WithCode("THE_CODE"))
	top.End(nil)
	spans := recorder.Ended()
	require.Len(t, spans, 2)
	require.Equal(t, spans[1].SpanContext().SpanID(), spans[0].Parent().SpanID())
	require.Equal(t, "THE_CODE", spans[0].Attributes()[0].Value.AsString())
	require.Empty(t, spans[0].Status().Description)
	require.Empty(t, spans[0].Events())
}

// TestStrangersGetNoTracestate, and services of ours do.
func TestStrangersGetNoTracestate(t *testing.T) {
	t.Parallel()
	tracer, _ := recorded()
	came := http.Header{"Traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}, "Tracestate": {"vendor=inside"}}
	ctx, span := tracer.Serve(t.Context(), came, "GET /")
	defer span.End(nil)
	ours, strangers := http.Header{}, http.Header{}
	telemetry.Carry(ctx, ours)
	telemetry.Name(ctx, strangers)
	require.Equal(t, "vendor=inside", ours.Get("Tracestate"))
	require.Equal(t, ours.Get("Traceparent"), strangers.Get("Traceparent"))
	require.Regexp(t, `^00-0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-01$`, strangers.Get("Traceparent"))
	require.Empty(t, strangers.Get("Tracestate"))
}

// TestAJobHasOneTrace: whoever works on it, and whatever part of all traces is taken.
func TestAJobHasOneTrace(t *testing.T) {
	t.Parallel()
	job := uuid.Must(uuid.NewV7())
	for range 2 {
		tracer, recorder := recorded()
		_, span := tracer.Job(t.Context(), job)
		span.End(nil)
		require.Equal(t, telemetry.JobTrace(job).TraceID(), recorder.Ended()[0].SpanContext().TraceID())
	}
	sampled, taken := trace.TraceIDRatioBased(0.1), 0
	tracer, recorder := recorded(trace.WithSampler(sampled))
	for range 2000 {
		_, span := tracer.Job(t.Context(), uuid.Must(uuid.NewV7()))
		span.End(nil)
	}
	taken = len(recorder.Ended())
	require.InDelta(t, 200, taken, 80, "ids of jobs are as good as chance")
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for want, values := range map[string]map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": {"OTEL_EXPORTER_OTLP_ENDPOINT": "127.0.0.1:4318"},
		"OTEL_EXPORTER_OTLP_HEADERS":  {"OTEL_EXPORTER_OTLP_HEADERS": "hunter2"},
		"OTEL_RESOURCE_ATTRIBUTES":    {"OTEL_RESOURCE_ATTRIBUTES": "a=%zz"},
		"OTEL_TRACES_SAMPLER ":        {"OTEL_TRACES_SAMPLER": "sometimes"},
		"OTEL_TRACES_SAMPLER_ARG":     {"OTEL_TRACES_SAMPLER_ARG": "1.5"},
	} {
		_, err := config.Parse[telemetry.Config](config.Of(values))
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "hunter2")
	}
	cfg, err := config.Parse[telemetry.Config](config.Of(map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": "https://c.example.com/otlp/", "OTEL_EXPORTER_OTLP_HEADERS": "api-key=a%20b, x=1",
		"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.25",
	}))
	require.NoError(t, err)
	require.Equal(t, "https://c.example.com/otlp", cfg.Endpoint)
	require.Equal(t, map[string]string{"Api-Key": "a b", "X": "1"}, cfg.HeaderPairs())
	require.InDelta(t, 0.25, cfg.Ratio(), 0)
}

func FuzzPairs(f *testing.F) {
	f.Add("a=b,c=%20")
	f.Fuzz(func(t *testing.T, text string) {
		cfg, err := config.Parse[telemetry.Config](config.Of(map[string]string{"OTEL_EXPORTER_OTLP_HEADERS": text}))
		if err != nil {
			return
		}
		for name, value := range cfg.HeaderPairs() {
			require.NotContains(t, name+value, "\n")
		}
	})
}

// BenchmarkOff is what a request's way costs where nothing is exported. Run it alone: a
// test that exports makes the look longer.
func BenchmarkOff(b *testing.B) {
	ctx, header := context.Background(), http.Header{}
	b.ReportAllocs()
	for b.Loop() {
		inside, span := telemetry.Call(ctx, "call")
		span.Text("name", "value")
		telemetry.Carry(inside, header)
		_ = telemetry.Field(inside)
		span.End(nil)
	}
}
