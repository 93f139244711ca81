package llm

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"uaol/providers/telemetry"
	"uaol/services"
)

// meter counts what models are asked, and the tokens that it takes.
type meter struct{ calls, tokens *prometheus.CounterVec }

func newMeter(registry prometheus.Registerer) *meter {
	m := &meter{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "uaol_model_calls_total", Help: "Questions to models by what came of them: ok, or the kind of error.",
		}, []string{"provider", "outcome"}),
		tokens: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "uaol_model_tokens_total", Help: "Tokens of models' questions (input) and answers (output), as providers count them.",
		}, []string{"provider", "direction"}),
	}
	registry.MustRegister(m.calls, m.tokens)
	return m
}

// asked begins the span of a question; done tells what came of it. What was said stays
// out of it.
func (c *Client) asked(ctx context.Context, in Request) (context.Context, func(Answer, error)) {
	var span telemetry.Span
	if telemetry.On(ctx) {
		ctx, span = telemetry.Call(ctx, "chat "+string(in.Provider))
		span.Text("gen_ai.operation.name", "chat")
		span.Text("gen_ai.provider.name", string(in.Provider))
		span.Text("gen_ai.request.model", in.Model)
	}
	return ctx, func(answer Answer, err error) {
		span.Number("gen_ai.usage.input_tokens", int64(answer.Usage.Input))
		span.Number("gen_ai.usage.output_tokens", int64(answer.Usage.Output))
		span.End(err)
		if c.meter == nil {
			return
		}
		outcome := "ok"
		if err != nil {
			outcome = string(services.KindOf(err))
		}
		c.meter.calls.WithLabelValues(string(in.Provider), outcome).Inc()
		c.meter.tokens.WithLabelValues(string(in.Provider), "input").Add(float64(answer.Usage.Input))
		c.meter.tokens.WithLabelValues(string(in.Provider), "output").Add(float64(answer.Usage.Output))
	}
}
