package acceptance

import (
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/acceptance/world"
	"uaol/providers/telemetry"
	"uaol/providers/telemetry/telemetrytest"
)

const collectorKey = "the-collectors-own-key"

// watched is a suite in seven processes that export to a collector.
func watched(t *testing.T) (*suite, *telemetrytest.Collector) {
	t.Helper()
	if os.Getenv("UAOL_TEST_URL") != "" {
		t.Skip("another UAOL is asked")
	}
	collector := telemetrytest.Start(t)
	tools := world.StartTools(t, "127.0.0.1")
	return &suite{tools: tools, start: world.Apart, world: world.Apart(t, world.Settings{
		"TOOL_EGRESS_ALLOW": tools.Host(), "LOG_LEVEL": "debug",
		"OTEL_EXPORTER_OTLP_ENDPOINT": collector.URL, "OTEL_EXPORTER_OTLP_HEADERS": "api-key=" + collectorKey,
	})}, collector
}

// TestOneTrace follows one request through the gateway, the proxy, billing's database
// and a tool: its spans are one trace, each below the one that called it.
func TestOneTrace(t *testing.T) {
	s, collector := watched(t)
	answer := s.nobody().Do(t, http.MethodPost, "/auth/register", object{"email": email()})
	alice := s.nobody().As(answer.Text("data.token"))
	tool := s.tool(t, alice, "/mcp", 3)

	const trace, client = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	said := call(t, alice.With("Traceparent", "00-"+trace+"-"+client+"-01").With("X-Request-Id", "the-request"), tool, "echo", object{"text": "hello"})
	require.Equal(t, http.StatusOK, said.Status, said)

	var spans map[string]telemetrytest.Span
	find := func(service, name string) (found telemetrytest.Span) {
		for _, span := range spans {
			if span.Service == service && strings.HasPrefix(span.Name, name) {
				found = span
			}
		}
		return found
	}
	world.Until(t, "all spans have come", func() bool {
		spans = collector.Trace(trace)
		return find("uaol-gateway", "POST ").ID != "" && find("uaol-proxy", "tools/call").ID != "" && find("uaol-billing", "WITH ").ID != ""
	})
	// path is the way of a span from the top, as services and what they do.
	path := func(span telemetrytest.Span) (way []string) {
		for span.ID != "" {
			way = append([]string{strings.TrimPrefix(span.Service, "uaol-") + ": " + span.Name}, way...)
			if span.Parent == client {
				return append([]string{"client"}, way...)
			}
			span = spans[span.Parent]
		}
		return append([]string{"(broken)"}, way...)
	}
	const route = "POST /proxy/:toolId/call"
	require.Equal(t, []string{"client", "gateway: " + route, "gateway: forward to proxy", "proxy: " + route, "proxy: tools/call"}, path(find("uaol-proxy", "tools/call")))
	held := path(find("uaol-billing", "WITH "))
	require.Equal(t, []string{"client", "gateway: " + route, "gateway: forward to proxy", "proxy: " + route}, held[:4], held)
	require.Contains(t, strings.Join(held[4:], " < "), "proxy: billing hold", held)
	require.Contains(t, strings.Join(held[4:], " < "), "billing: POST /internal/billing/hold", held)
	require.Equal(t, "00-"+trace+"-"+find("uaol-proxy", "tools/call").ID+"-01", s.tools.Traceparent(), "the tool may go on with the trace")
	for _, span := range spans {
		if strings.HasPrefix(span.Name, "POST /proxy") {
			require.Equal(t, "the-request", span.Attributes["uaol.request.id"])
			require.Equal(t, "/proxy/:toolId/call", span.Attributes["http.route"])
		}
	}

	// Lines of the log stand beside their trace.
	world.Until(t, "both processes have logged the request", func() bool {
		lines := 0
		for line := range strings.Lines(s.world.Log.String()) {
			var said struct{ TraceID, SpanID, Request, Path string }
			text := strings.NewReplacer("trace_id", "TraceID", "span_id", "SpanID").Replace(line)
			if json.Unmarshal([]byte(text), &said) == nil && said.TraceID == trace && said.Request == "the-request" && strings.HasPrefix(said.Path, "/proxy/") && spans[said.SpanID].ID != "" {
				lines++
			}
		}
		return lines == 2
	})

	// A job has a trace of its own, which the request that made it points to.
	made := alice.Do(t, http.MethodPost, "/jobs", workflow(step("a", tool, "echo", object{"text": "hello"})))
	require.Equal(t, http.StatusCreated, made.Status, made)
	id := uuid.MustParse(made.Text("data.job_id"))
	ended(t, alice, id.String())
	of := telemetry.JobTrace(id).TraceID().String()
	world.Until(t, "the job's spans have come", func() bool {
		spans = collector.Trace(of)
		linked := false
		for _, span := range collector.Spans() {
			linked = linked || span.Service == "uaol-jobs" && span.Name == "POST /jobs" && len(span.Links) == 1 && span.Links[0] == of
		}
		return linked && find("uaol-jobs", "job").ID != "" && find("uaol-proxy", "tools/call").ID != ""
	})
	require.Equal(t, id.String(), find("uaol-jobs", "job").Attributes["uaol.job.id"])
	at := find("uaol-proxy", "tools/call")
	var way []string
	for ; at.ID != ""; at = spans[at.Parent] {
		way = append(way, strings.TrimPrefix(at.Service, "uaol-")+": "+at.Name)
	}
	require.Equal(t, []string{"proxy: tools/call", "proxy: POST /internal/proxy/call", "jobs: proxy call", "jobs: step tool", "jobs: job"}, way)
	require.Equal(t, collectorKey, collector.Header("Api-Key"))
}

// TestSightTellsNoSecrets looks for all secrets that the scenario has, in all that is
// exported, counted and logged.
func TestSightTellsNoSecrets(t *testing.T) {
	s, collector := watched(t)
	scenario(t, s)
	registered := s.nobody().Do(t, http.MethodPost, "/auth/register", object{"email": email()})
	alice := s.nobody().As(registered.Text("data.token"))
	made := alice.Do(t, http.MethodPost, "/tools", object{"name": "Guarded", "gateway_url": s.tools.URL + "/mcp", "credit_cost_per_call": 3,
		"inject": object{"headers": object{"X-Key": "{{secret.KEY}}"}}})
	require.Equal(t, http.StatusCreated, made.Status, made)
	tool := made.Text("data.tool_id")
	const words, given = "what only alice and the tool may read", "a secret that only the tool may read"
	put := alice.Do(t, http.MethodPut, "/tools/"+tool+"/secrets/KEY", object{"value": given})
	require.Equal(t, http.StatusOK, put.Status, put)
	approved := s.admin().Do(t, http.MethodPost, "/tools/"+tool+"/approve", object{"unpinned": true})
	require.Equal(t, http.StatusOK, approved.Status, approved)
	require.Equal(t, http.StatusOK, call(t, alice, tool, "echo", object{"text": words}).Status)
	key := alice.Do(t, http.MethodPost, "/auth/api-keys", object{"name": "k"})
	stranger := s.nobody().With("X-API-Key", "uaol_a_key_that_nobody_has_given").Do(t, http.MethodGet, "/auth/me?token=in-the-query", nil)
	require.Equal(t, http.StatusUnauthorized, stranger.Status)
	const calls = 6 // one by the proxy and four steps in the scenario, and the one above
	world.Until(t, "what all processes have to say has come", func() bool {
		last, tools, services := false, 0, map[string]bool{}
		for _, span := range collector.Spans() {
			last = last || span.Name == "GET /auth/me" && span.Attributes["http.response.status_code"] == "401"
			if span.Name == "tools/call" {
				tools++
			}
			services[span.Service] = true
		}
		return last && tools >= calls && len(services) >= 6
	})
	secrets := []string{
		s.world.AdminKey, "a secret that the processes of one world share", "a secret that signs the tokens of one world",
		"a secret that encrypts the keys of one world", collectorKey, registered.Text("data.token"), registered.Text("data.user.apiKey"),
		words, given, "uaol_a_key_that_nobody_has_given", "in-the-query", key.Text("data.apiKey"), key.Text("data.key"),
	}
	told := map[string]string{"log": s.world.Log.String()}
	var exported strings.Builder
	for _, raw := range collector.Raw() {
		exported.Write(raw)
	}
	told["exported"] = exported.String()
	ids := regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-|@|https?:|127\.0`)
	for _, registry := range s.world.Metrics() {
		families, err := registry.Gather()
		require.NoError(t, err)
		for _, family := range families {
			require.Less(t, len(family.Metric), 500, "%s has a series for each of something", family.GetName())
			for _, m := range family.Metric {
				for _, label := range m.Label {
					require.NotRegexp(t, ids, label.GetValue(), "%s tells of somebody in %s", family.GetName(), label.GetName())
					told["counted"] += label.GetValue() + "\n"
				}
			}
		}
	}
	for where, text := range told {
		require.NotEmpty(t, text, where)
		for _, secret := range secrets {
			if secret != "" {
				require.False(t, strings.Contains(text, secret), "%s tells %.6s…", where, secret)
			}
		}
	}
	require.Contains(t, told["exported"], "tools/call")
	require.Contains(t, told["counted"], "/proxy/:toolId/call")
}
