// Package telemetry is what the parts of a process say of a request as it passes
// through them: spans of OpenTelemetry, and the ids that put a log line beside its
// trace. A part begins a span below the one in its context, so only those who begin
// traces are handed a Tracer. Where nothing is exported all of it is one look at a
// flag.
package telemetry

import (
	"context"
	"net/http"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"uaol/services"
)

// exporting says that some part of this process exports spans.
var exporting atomic.Bool

// scope names whoever begins the spans.
const scope = "uaol"

// Tracer begins traces; the zero one begins none.
type Tracer struct{ of trace.Tracer }

// From makes a Tracer of a provider of spans.
func From(provider trace.TracerProvider) Tracer {
	exporting.Store(true)
	return Tracer{provider.Tracer(scope)}
}

// On reports whether it begins traces.
func (t Tracer) On() bool { return t.of != nil }

// Serve begins the span of a request that has come in, below the span that its
// headers name. The span's parts are told before it begins, for samplers.
func (t Tracer) Serve(ctx context.Context, header http.Header, name string, parts ...attribute.KeyValue) (context.Context, Span) {
	ctx = propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(header))
	return started(t.of.Start(ctx, name, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(parts...)))
}

// Span is a part of a trace; the zero one is recorded nowhere.
type Span struct{ of trace.Span }

func started(ctx context.Context, of trace.Span) (context.Context, Span) {
	if !of.IsRecording() {
		return ctx, Span{}
	}
	return ctx, Span{of}
}

// On reports whether a span that is begun in the context is recorded.
func On(ctx context.Context) bool {
	return exporting.Load() && trace.SpanFromContext(ctx).IsRecording()
}

// Call begins the span of a call that leaves: to another service, a database, a tool.
// Whoever has to put a name together first asks On.
func Call(ctx context.Context, name string) (context.Context, Span) {
	return begin(ctx, name, trace.SpanKindClient)
}

// Work begins the span of something that is done in the process.
func Work(ctx context.Context, name string) (context.Context, Span) {
	return begin(ctx, name, trace.SpanKindInternal)
}

func begin(ctx context.Context, name string, kind trace.SpanKind) (context.Context, Span) {
	if !On(ctx) {
		return ctx, Span{}
	}
	return started(trace.SpanFromContext(ctx).TracerProvider().Tracer(scope).Start(ctx, name, trace.WithSpanKind(kind)))
}

// Current is the context's own span.
func Current(ctx context.Context) Span {
	if !On(ctx) {
		return Span{}
	}
	return Span{trace.SpanFromContext(ctx)}
}

// With is a context that lasts as long as ctx and is part of the same trace as from.
func With(ctx, from context.Context) context.Context {
	if !On(from) {
		return ctx
	}
	return trace.ContextWithSpan(ctx, trace.SpanFromContext(from))
}

// On reports whether the span is recorded.
func (s Span) On() bool { return s.of != nil }

// Text adds a text to what the span tells. Secrets and what people wrote have no
// place there.
func (s Span) Text(name, value string) {
	if s.of != nil {
		s.of.SetAttributes(attribute.String(name, value))
	}
}

// Number adds a number.
func (s Span) Number(name string, value int64) {
	if s.of != nil {
		s.of.SetAttributes(attribute.Int64(name, value))
	}
}

// Link points to another trace.
func (s Span) Link(to trace.SpanContext) {
	if s.of != nil {
		s.of.AddLink(trace.Link{SpanContext: to})
	}
}

// End ends the span. Of an error it tells the kind and the code; its words may quote
// what somebody sent.
func (s Span) End(err error) {
	if s.of == nil {
		return
	}
	if err != nil {
		s.Fail(kindOf(err))
	}
	s.of.End()
}

// Fail marks the span as a failure of some kind.
func (s Span) Fail(kind string) {
	if s.of != nil {
		s.of.SetStatus(codes.Error, "")
		s.of.SetAttributes(attribute.String("error.type", kind))
	}
}

func kindOf(err error) string {
	if e, ok := services.AsError(err); ok && e.Code != "" {
		return e.Code
	}
	return string(services.KindOf(err))
}

// Carry names the context's span in the headers of a request to a service of ours,
// as W3C's Trace Context has it.
func Carry(ctx context.Context, header http.Header) {
	if exporting.Load() {
		propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(header))
	}
}

// Name is Carry for strangers: they get the traceparent alone, and not what whoever
// called us wrote into tracestate.
func Name(ctx context.Context, header http.Header) {
	if !exporting.Load() {
		return
	}
	if at := trace.SpanContextFromContext(ctx); at.IsValid() {
		header["Traceparent"] = []string{"00-" + at.TraceID().String() + "-" + at.SpanID().String() + "-" + at.TraceFlags().String()}
	}
}

// Field puts the ids of the context's trace and span into a line of the log.
func Field(ctx context.Context) zap.Field {
	if !exporting.Load() {
		return zap.Skip()
	}
	at := trace.SpanContextFromContext(ctx)
	if !at.IsValid() {
		return zap.Skip()
	}
	return zap.Inline(ids(at))
}

type ids trace.SpanContext

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (i ids) MarshalLogObject(to zapcore.ObjectEncoder) error {
	at := trace.SpanContext(i)
	to.AddString("trace_id", at.TraceID().String())
	to.AddString("span_id", at.SpanID().String())
	return nil
}
