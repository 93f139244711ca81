package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"
	"go.yaml.in/yaml/v4"

	"uaol/app"
	"uaol/providers/config"
	"uaol/providers/httpserver"
	"uaol/providers/metrics"
	"uaol/providers/postgres/pgtest"
)

// counted is a process that runs everything, and what it counts.
func counted(t *testing.T) (server, admin string, registry *prometheus.Registry) {
	t.Helper()
	values := settings(t, pgtest.URL(t))
	values["UAOL_ADMIN_ADDR"] = "127.0.0.1:0"
	var h *httpserver.Server
	var m *metrics.Server
	process := fxtest.New(t, app.Options(config.Of(values)), fx.Populate(&h, &m, &registry), fx.NopLogger)
	process.RequireStart()
	t.Cleanup(process.RequireStop)
	return "http://" + h.Addr().String(), "http://" + m.Addr().String(), registry
}

// TestRequestsAreCountedByRoute: a thousand paths are a handful of series.
func TestRequestsAreCountedByRoute(t *testing.T) {
	t.Parallel()
	server, admin, registry := counted(t)
	for i := range 50 {
		get(t, fmt.Sprintf("%s/tools/0199c0de-0000-7000-8000-%012d", server, i))
		get(t, fmt.Sprintf("%s/nothing/%d/here?key=secret", server, i))
		request, err := http.NewRequest(fmt.Sprintf("M%d", i), server+"/tools", nil)
		require.NoError(t, err)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
	}
	families, err := registry.Gather()
	require.NoError(t, err)
	series := 0
	for _, family := range families {
		if family.GetName() == "uaol_http_requests_total" {
			series = len(family.Metric)
		}
	}
	require.LessOrEqual(t, series, 6)
	status, text := get(t, admin+"/metrics")
	require.Equal(t, 200, status)
	require.Contains(t, text, `uaol_http_requests_total{method="GET",route="/tools/:toolId",status="404"} 50`)
	require.Contains(t, text, `uaol_http_requests_total{method="GET",route="none",status="404"} 50`)
	require.Contains(t, text, `uaol_http_requests_total{method="other",route="none",status="405"} 50`)
	require.Contains(t, text, `uaol_worker_running{worker="jobs-engine"} 1`)
	require.Contains(t, text, "uaol_jobs_queue_depth 0")
	require.NotContains(t, text, "key=")
	status, text = get(t, admin+"/debug/pprof/goroutine?debug=1")
	require.Equal(t, 200, status)
	require.Contains(t, text, "goroutine profile:")
}

var (
	nameForm  = regexp.MustCompile(`\b(uaol|go|process)_[a-z0-9_]+`)
	fqForm    = regexp.MustCompile(`fqName: "([^"]+)"`)
	labelForm = regexp.MustCompile(`variableLabels: \{([^}]*)\}`)
	usedForm  = regexp.MustCompile(`\b((?:uaol|go|process)_[a-z0-9_]+)\{([^}]*)\}`)
)

// expressions are all that the dashboard and the alerts ask.
func expressions(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	text, err := os.ReadFile("../deploy/grafana/uaol.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &dashboard))
	for _, panel := range dashboard.Panels {
		for i, target := range panel.Targets {
			all[fmt.Sprintf("panel %s, %d", panel.Title, i)] = target.Expr
		}
	}
	var rules struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	text, err = os.ReadFile("../deploy/prometheus/alerts.yaml")
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(text, &rules))
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			all["alert "+rule.Alert] = rule.Expr
		}
	}
	require.Greater(t, len(all), 40)
	return all
}

// TestDashboardsAskForWhatIsThere holds the names and labels in deploy/ against a
// running process.
func TestDashboardsAskForWhatIsThere(t *testing.T) {
	t.Parallel()
	_, _, registry := counted(t)
	labels := map[string]string{}
	descs := make(chan *prometheus.Desc, 1000)
	registry.Describe(descs)
	close(descs)
	for desc := range descs {
		name := fqForm.FindStringSubmatch(desc.String())[1]
		of := "instance,job,"
		if m := labelForm.FindStringSubmatch(desc.String()); m != nil {
			of += m[1]
		}
		for _, suffix := range []string{"", "_bucket", "_count", "_sum"} {
			labels[name+suffix] += of + ",le,"
		}
	}
	asked := map[string]bool{}
	for where, expr := range expressions(t) {
		for _, name := range nameForm.FindAllString(expr, -1) {
			require.Contains(t, labels, name, "%s asks for what nobody counts", where)
			asked[name] = true
		}
		for _, used := range usedForm.FindAllStringSubmatch(expr, -1) {
			for _, matcher := range regexp.MustCompile(`([a-z_]+)(=~|!~|!=|=)`).FindAllStringSubmatch(used[2], -1) {
				require.Contains(t, labels[used[1]], matcher[1], "%s asks %s for a label that it lacks", where, used[1])
			}
		}
	}
	for name := range labels {
		if base := strings.TrimSuffix(name, "_bucket"); base == name && strings.HasPrefix(name, "uaol_") &&
			!strings.HasSuffix(name, "_count") && !strings.HasSuffix(name, "_sum") {
			require.True(t, asked[name] || asked[name+"_bucket"], "no panel and no alert shows %s", name)
		}
	}
}

// TestPrometheusTakesTheExpressions has Prometheus's own tool read them all.
func TestPrometheusTakesTheExpressions(t *testing.T) {
	t.Parallel()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("promtool is missing; apt-get install prometheus")
		}
		t.Skip("promtool is not installed (apt-get install prometheus)")
	}
	type rule struct {
		Record string `yaml:"record"`
		Expr   string `yaml:"expr"`
	}
	var rules []rule
	for _, expr := range expressions(t) {
		expr = strings.NewReplacer("$__rate_interval", "5m", "$instance", ".*").Replace(expr)
		rules = append(rules, rule{fmt.Sprintf("panel:number:%d", len(rules)), expr})
	}
	text, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "panels", "rules": rules}}})
	require.NoError(t, err)
	panels := filepath.Join(t.TempDir(), "panels.yaml")
	require.NoError(t, os.WriteFile(panels, text, 0o600))
	said, err := exec.CommandContext(t.Context(), promtool, "check", "rules", "../deploy/prometheus/alerts.yaml", panels).CombinedOutput()
	require.NoError(t, err, string(said))
	said, err = exec.CommandContext(t.Context(), promtool, "test", "rules", "../deploy/prometheus/alerts_test.yaml").CombinedOutput()
	require.NoError(t, err, string(said))
}
