package httpserver

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"

	"uaol/providers/api"
	"uaol/providers/telemetry"
	"uaol/services"
)

// observer counts and times requests, and begins their spans. Routes go by their
// templates: paths have ids in them, and what nobody serves is one route.
type observer struct {
	tracer   telemetry.Tracer
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	inFlight prometheus.Gauge

	mu     sync.RWMutex
	series map[answered]counted
}

// answered is a kind of request and what came of it.
type answered struct {
	method, route string
	status        int
}

type counted struct {
	requests prometheus.Counter
	seconds  prometheus.Observer
}

// noRoute stands for all paths that nobody serves.
const noRoute = "none"

func newObserver(tracer telemetry.Tracer, registry prometheus.Registerer) *observer {
	o := &observer{
		tracer: tracer, series: map[answered]counted{},
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "uaol_http_requests_total", Help: "Requests that were answered.",
		}, []string{"method", "route", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "uaol_http_request_duration_seconds", Help: "How long requests took, streams to their end.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .2, .5, 1, 2.5, 10, 60},
		}, []string{"method", "route"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "uaol_http_requests_in_flight", Help: "Requests that are being answered.",
		}),
	}
	registry.MustRegister(o.requests, o.seconds, o.inFlight)
	return o
}

// observe is the first of all handlers.
func (o *observer) observe(c *gin.Context) {
	route := c.FullPath()
	if route == "" {
		route = noRoute
	}
	method := methodOf(c.Request.Method)
	begun := time.Now()
	o.inFlight.Inc()
	var span telemetry.Span
	if o.tracer.On() && !probe(route) {
		span = o.begin(c, method, route)
	}
	// Deferred, because a handler may end the connection with a panic.
	defer func() {
		status := c.Writer.Status()
		o.inFlight.Dec()
		to := o.to(answered{method, route, status})
		to.requests.Inc()
		to.seconds.Observe(time.Since(begun).Seconds())
		if span.On() {
			finish(c, span, status)
		}
	}()
	c.Next()
}

func (o *observer) begin(c *gin.Context, method, route string) telemetry.Span {
	ctx, span := o.tracer.Serve(c.Request.Context(), c.Request.Header, method+" "+route,
		attribute.String("http.request.method", method), attribute.String("http.route", route))
	c.Request = c.Request.WithContext(ctx)
	return span
}

func finish(c *gin.Context, span telemetry.Span, status int) {
	span.Text("uaol.request.id", services.RequestID(c.Request.Context()))
	span.Number("http.response.status_code", int64(status))
	if status >= http.StatusInternalServerError {
		kind := strconv.Itoa(status)
		if last := c.Errors.Last(); last != nil && api.CodeOf(last.Err) != "" {
			kind = api.CodeOf(last.Err)
		}
		span.Fail(kind)
	}
	span.End(nil)
}

// to finds the series of an answer without making anything once they are there.
func (o *observer) to(key answered) counted {
	o.mu.RLock()
	known, ok := o.series[key]
	o.mu.RUnlock()
	if ok {
		return known
	}
	known = counted{o.requests.WithLabelValues(key.method, key.route, strconv.Itoa(key.status)), o.seconds.WithLabelValues(key.method, key.route)}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.series[key] = known
	return known
}

// methodOf keeps methods that somebody made up from becoming series.
func methodOf(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}

// probe reports a route that balancers ask all the time. Events are read several
// times a second; each look as a trace of its own would hide all others.
func probe(route string) bool {
	return route == "/health" || route == "/livez" || route == "/readyz" ||
		strings.HasPrefix(route, "/internal/") && (strings.HasSuffix(route, "/recent") || strings.HasSuffix(route, "/events"))
}
