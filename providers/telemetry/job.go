package telemetry

import (
	"context"
	"crypto/sha256"
	"math/rand/v2"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// A job has one trace, whoever works on it and however often it is taken up again. Its
// id is made of the job's, so that nothing has to be stored with the job, and whoever
// makes a job can point to what will become of it.

// JobTrace is where a job's trace is. The span that it names is none: of a trace only
// the id is known before it begins.
func JobTrace(job uuid.UUID) trace.SpanContext {
	sum := sha256.Sum256(append([]byte("job "), job[:]...)) // not the id itself: samplers want chance in every bit
	return trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID(sum[:16]), SpanID: trace.SpanID(sum[16:24]), TraceFlags: trace.FlagsSampled,
	})
}

type traceKey struct{}

// Job begins the span of a worker's work on a job, at the top of the job's trace.
func (t Tracer) Job(ctx context.Context, job uuid.UUID) (context.Context, Span) {
	if t.of == nil {
		return ctx, Span{}
	}
	ctx = context.WithValue(ctx, traceKey{}, JobTrace(job).TraceID())
	return started(t.of.Start(ctx, "job", trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithAttributes(attribute.String("uaol.job.id", job.String()))))
}

// IDs makes the ids of traces and spans. It is an IDGenerator of OpenTelemetry's SDK.
type IDs struct{}

// NewIDs begins a trace: a job's has the id that Job wants, any other one of chance.
func (IDs) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	id, ok := ctx.Value(traceKey{}).(trace.TraceID)
	for !ok || !id.IsValid() {
		ok = true
		put(id[:8])
		put(id[8:])
	}
	return id, IDs{}.NewSpanID(ctx, id)
}

// NewSpanID names a span.
func (IDs) NewSpanID(context.Context, trace.TraceID) (id trace.SpanID) {
	for !id.IsValid() {
		put(id[:])
	}
	return id
}

func put(to []byte) {
	n := rand.Uint64()
	for i := range to {
		to[i] = byte(n >> (8 * i))
	}
}
