package upstream

import (
	"cmp"
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"uaol/providers/telemetry"
	"uaol/services"
)

// meter counts calls of tools. Its labels are the protocol and the kind of what came
// of a call: which tool it was, the calls' own records tell.
type meter struct {
	calls    *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	inFlight prometheus.Gauge
	refused  *prometheus.CounterVec
}

func newMeter(registry prometheus.Registerer) *meter {
	m := &meter{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "uaol_tool_calls_total", Help: "Calls of tools by what came of them: ok, tool_error (the tool says that it failed), asks (it wants something first), or the kind of error.",
		}, []string{"protocol", "outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "uaol_tool_call_duration_seconds", Help: "How long calls of tools took, with all tries.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 60, 300},
		}, []string{"protocol"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "uaol_tool_calls_in_flight", Help: "Calls of tools under way.",
		}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "uaol_tool_calls_refused_total", Help: "Calls that never left, because the tool has as many under way as it may (busy) or has failed too often (circuit_open).",
		}, []string{"reason"}),
	}
	registry.MustRegister(m.calls, m.seconds, m.inFlight, m.refused)
	m.refused.WithLabelValues("busy")
	m.refused.WithLabelValues("circuit_open")
	return m
}

func (m *meter) refuse(reason string) {
	if m != nil {
		m.refused.WithLabelValues(reason).Inc()
	}
}

// Call makes the call. A failure is tried again, within the call's time, when
// nothing was sent, or when the tool says that repeating does no harm.
func (p *Pass) Call(ctx context.Context, ask Ask) (answer *Answer, err error) {
	m, protocol := p.client.meter, protocolOf(p.target)
	if m != nil {
		m.inFlight.Inc()
		begun := time.Now()
		defer func() {
			m.inFlight.Dec()
			m.calls.WithLabelValues(protocol, outcomeOf(answer, err)).Inc()
			m.seconds.WithLabelValues(protocol).Observe(time.Since(begun).Seconds())
		}()
	}
	if telemetry.On(ctx) {
		var span telemetry.Span
		ctx, span = telemetry.Call(ctx, cmp.Or(ask.Request, callRequest))
		span.Text("uaol.tool.id", p.target.ToolID.String())
		span.Text("uaol.tool.protocol", protocol)
		span.Text("gen_ai.tool.name", cmp.Or(ask.Method, ask.Subject))
		defer func() {
			if err == nil && answer.Failed {
				span.Fail("tool_error")
			}
			span.End(err)
		}()
	}
	return p.insist(ctx, ask)
}

func protocolOf(target Target) string {
	switch target.Protocol {
	case "":
		return ProtocolMCP
	case ProtocolMCP, ProtocolSSE, ProtocolJSONRPC, ProtocolREST, ProtocolStdio:
		return target.Protocol
	}
	return "unknown"
}

func outcomeOf(answer *Answer, err error) string {
	switch {
	case err != nil:
		return string(services.KindOf(err))
	case answer.Asks:
		return "asks"
	case answer.Failed:
		return "tool_error"
	}
	return "ok"
}
