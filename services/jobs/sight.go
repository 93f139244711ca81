package jobs

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"uaol/providers/postgres"
	"uaol/providers/telemetry"
	"uaol/services"
	"uaol/services/jobs/workflow"
)

// sight is what the engine tells operators: figures, and a span of each attempt at a
// step. Which job it was, only spans say.
type sight struct {
	tracer  telemetry.Tracer
	claimed prometheus.Counter
	ended   *prometheus.CounterVec
	steps   *prometheus.CounterVec
}

// Watched lets the engine be seen.
func (e *Engine) Watched(tracer telemetry.Tracer, registry *prometheus.Registry) *Engine {
	s := &sight{
		tracer:  tracer,
		claimed: prometheus.NewCounter(prometheus.CounterOpts{Name: "uaol_jobs_claimed_total", Help: "Jobs that this process began to work on, also those it took up again."}),
		ended:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "uaol_jobs_ended_total", Help: "Jobs that this process brought to their end."}, []string{"status"}),
		steps:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "uaol_job_step_attempts_total", Help: "Attempts at steps by what came of them: ok, tool_error, or the kind of error."}, []string{"kind", "outcome"}),
	}
	for _, status := range []Status{Success, Failed, Cancelled} {
		s.ended.WithLabelValues(string(status))
	}
	running := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "uaol_jobs_running", Help: "Jobs that this process works on."}, func() float64 {
		e.mu.Lock()
		defer e.mu.Unlock()
		return float64(len(e.held))
	})
	room := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "uaol_jobs_concurrency", Help: "Jobs that this process may work on at a time."}, func() float64 { return float64(e.most) })
	registry.MustRegister(s.claimed, s.ended, s.steps, running, room, &depth{repository: e.repository})
	e.sight = s
	return e
}

func (s *sight) begun() {
	if s != nil {
		s.claimed.Inc()
	}
}

func (s *sight) end(status Status) {
	if s != nil {
		s.ended.WithLabelValues(string(status)).Inc()
	}
}

// work begins the span of a run.
func (s *sight) work(ctx context.Context, job *claimed) (context.Context, telemetry.Span) {
	if s == nil || !s.tracer.On() {
		return ctx, telemetry.Span{}
	}
	ctx, span := s.tracer.Job(ctx, job.ID)
	span.Number("uaol.job.fence", job.Fence)
	return ctx, span
}

// attempt begins the span of an attempt at a step; done tells what came of it.
func (s *sight) attempt(ctx context.Context, step *workflow.Step, u *unit) (context.Context, func(error)) {
	if s == nil {
		return ctx, func(error) {}
	}
	kind := kindOf(step)
	var span telemetry.Span
	if telemetry.On(ctx) {
		ctx, span = telemetry.Work(ctx, "step "+kind)
		span.Text("uaol.step.id", step.ID)
		span.Number("uaol.step.attempt", int64(u.attempt))
		if u.item != whole {
			span.Text("uaol.step.item", strconv.Itoa(u.item))
		}
	}
	return ctx, func(err error) {
		outcome := "ok"
		if err != nil {
			outcome = string(services.KindOf(err))
			if isTool(err) {
				outcome = "tool_error"
			}
		}
		s.steps.WithLabelValues(kind, outcome).Inc()
		if err != nil {
			span.Fail(outcome)
		}
		span.End(nil)
	}
}

// mostLinks bounds to how many jobs' traces a request that makes many points.
const mostLinks = 16

// pointTo links a request's trace to those of the jobs that it has made.
func pointTo(ctx context.Context, made []draft) {
	span := telemetry.Current(ctx)
	if !span.On() {
		return
	}
	for i := range made[:min(len(made), mostLinks)] {
		span.Link(telemetry.JobTrace(made[i].ID))
	}
}

func kindOf(step *workflow.Step) string {
	switch step.Kind {
	case workflow.LLM:
		return "llm"
	case workflow.Child:
		return "workflow"
	}
	return "tool"
}

// depth counts the queue when somebody looks, at most every few seconds and only up to
// a bound: the database would have to go through all of a long one.
type depth struct {
	repository *Repository

	mu     sync.Mutex
	looked time.Time
	ready  int64
	known  bool
}

const (
	mostCounted = 10_000
	countEvery  = 5 * time.Second
	countWithin = 2 * time.Second
)

var queueDepth = prometheus.NewDesc("uaol_jobs_queue_depth",
	"Jobs of the whole deployment that wait for a worker, 10000 standing for that many or more; missing while the database can't be asked.", nil, nil)

// Describe implements prometheus.Collector.
func (d *depth) Describe(out chan<- *prometheus.Desc) { out <- queueDepth }

// Collect implements prometheus.Collector.
func (d *depth) Collect(out chan<- prometheus.Metric) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if time.Since(d.looked) > countEvery {
		ctx, cancel := context.WithTimeout(context.Background(), countWithin)
		defer cancel()
		n, err := d.repository.waiting(ctx)
		d.ready, d.known, d.looked = n, err == nil, time.Now()
	}
	if d.known {
		out <- prometheus.MustNewConstMetric(queueDepth, prometheus.GaugeValue, float64(d.ready))
	}
}

func (r *Repository) waiting(ctx context.Context) (int64, error) {
	return postgres.Value[int64](ctx, r.pool, `
		SELECT count(*) FROM (SELECT 1 FROM uaol_jobs.queue WHERE wake_at IS NULL LIMIT $1) AS ready`, mostCounted)
}
