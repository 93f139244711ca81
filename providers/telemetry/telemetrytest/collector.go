// Package telemetrytest is a collector for tests: it takes what is exported over OTLP,
// as HTTP with protobuf, and keeps it.
package telemetrytest

import (
	"compress/gzip"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"

	metrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	traces "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	spans "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Span is one that was exported.
type Span struct {
	Service           string // service.name of the process
	Name              string
	Trace, ID, Parent string // in hexadecimal; no Parent at the top
	Kind              spans.Span_SpanKind
	Attributes        map[string]string
	Failed            bool
	Links             []string // traces that it points to
}

// Collector is an OTLP receiver.
type Collector struct {
	URL string

	mu      sync.Mutex
	spans   []Span
	metrics map[string]bool
	headers http.Header
	raw     [][]byte
	status  int
}

// Start runs a collector until the test ends.
func Start(t testing.TB) *Collector {
	t.Helper()
	c := &Collector{metrics: map[string]bool{}, status: http.StatusOK}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/traces", func(w http.ResponseWriter, r *http.Request) {
		take(c, w, r, &traces.ExportTraceServiceRequest{}, &traces.ExportTraceServiceResponse{}, c.addSpans)
	})
	mux.HandleFunc("POST /v1/metrics", func(w http.ResponseWriter, r *http.Request) {
		take(c, w, r, &metrics.ExportMetricsServiceRequest{}, &metrics.ExportMetricsServiceResponse{}, c.addMetrics)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	c.URL = server.URL
	return c
}

func take[In proto.Message](c *Collector, w http.ResponseWriter, r *http.Request, in In, out proto.Message, add func(In)) {
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		plain, err := gzip.NewReader(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		body = plain
	}
	raw, err := io.ReadAll(body)
	if err == nil {
		err = proto.Unmarshal(raw, in)
	}
	if err != nil || r.Header.Get("Content-Type") != "application/x-protobuf" {
		http.Error(w, "no OTLP", http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.status != http.StatusOK {
		w.WriteHeader(c.status)
		return
	}
	c.headers, c.raw = r.Header.Clone(), append(c.raw, raw)
	add(in)
	answer, _ := proto.Marshal(out)
	w.Header().Set("Content-Type", "application/x-protobuf")
	_, _ = w.Write(answer)
}

func (c *Collector) addSpans(in *traces.ExportTraceServiceRequest) {
	for _, resource := range in.ResourceSpans {
		service := textsOf(resource.Resource.Attributes)["service.name"]
		for _, scope := range resource.ScopeSpans {
			for _, s := range scope.Spans {
				span := Span{
					Service: service, Name: s.Name, Trace: hex.EncodeToString(s.TraceId), ID: hex.EncodeToString(s.SpanId),
					Parent: hex.EncodeToString(s.ParentSpanId), Kind: s.Kind, Attributes: textsOf(s.Attributes),
					Failed: s.Status.GetCode() == spans.Status_STATUS_CODE_ERROR,
				}
				for _, link := range s.Links {
					span.Links = append(span.Links, hex.EncodeToString(link.TraceId))
				}
				c.spans = append(c.spans, span)
			}
		}
	}
}

func (c *Collector) addMetrics(in *metrics.ExportMetricsServiceRequest) {
	for _, resource := range in.ResourceMetrics {
		for _, scope := range resource.ScopeMetrics {
			for _, m := range scope.Metrics {
				c.metrics[m.Name] = true
			}
		}
	}
}

func textsOf(attributes []*common.KeyValue) map[string]string {
	texts := map[string]string{}
	for _, a := range attributes {
		switch value := a.Value.Value.(type) {
		case *common.AnyValue_StringValue:
			texts[a.Key] = value.StringValue
		case *common.AnyValue_IntValue:
			texts[a.Key] = strconv.FormatInt(value.IntValue, 10)
		}
	}
	return texts
}

// Spans gives those that have come so far.
func (c *Collector) Spans() []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.spans)
}

// Trace gives the spans of one trace by their ids.
func (c *Collector) Trace(id string) map[string]Span {
	found := map[string]Span{}
	for _, s := range c.Spans() {
		if s.Trace == id {
			found[s.ID] = s
		}
	}
	return found
}

// Has reports whether a metric has come.
func (c *Collector) Has(metric string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.metrics[metric]
}

// Header gives a header of the latest request.
func (c *Collector) Header(name string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.headers.Get(name)
}

// Raw gives all that has come, as it came over the wire.
func (c *Collector) Raw() [][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.raw)
}

// Refuse lets the collector answer with a status from now on; 200 takes again.
func (c *Collector) Refuse(status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status = status
}
