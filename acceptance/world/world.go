// Package world starts UAOL for black-box tests: all services in one process,
// or each in a process of its own, as far as HTTP can tell: every process is an
// Fx application of the test binary, with its own configuration, pool and port.
package world

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/fx"

	"uaol/app"
	"uaol/providers/config"
	"uaol/providers/postgres/pgtest"
	"uaol/services"
)

// World is a running UAOL.
type World struct {
	Gateway  string                   // the gateway's base URL
	URLs     map[services.Name]string // each service's own; the gateway's for those in its process
	AdminKey string
	Database string   // its URL; of Divided the first one's
	Replicas []string // base URLs of processes that each run everything, when there are several
	Log      Log      // all that its processes log

	mu      sync.Mutex
	metrics []*prometheus.Registry
}

// Settings are variables to set besides those that a World needs itself. With a
// LOG_LEVEL the World keeps what is logged at that level and above; it logs
// nothing else.
type Settings map[string]string

// AdminKey is the API key of every World's admin.
const AdminKey = "uaol_the_admin_of_a_world_for_tests_only"

const starting = time.Minute // of one process on a busy machine

// urlVariables say where a service is, for processes that do not run it.
var urlVariables = map[services.Name]string{
	services.Auth: "UAOL_AUTH_URL", services.Registry: "UAOL_REGISTRY_URL", services.Proxy: "UAOL_PROXY_URL",
	services.Jobs: "UAOL_JOBS_URL", services.Billing: "UAOL_BILLING_URL", services.Storage: "UAOL_STORAGE_URL",
}

// Together runs all services in one process.
func Together(t testing.TB, settings Settings) *World {
	t.Helper()
	return start(t, settings, oneDatabase, app.Services())
}

// Replicas runs everything in each of so many processes, with nothing in common
// but the database.
func Replicas(t testing.TB, settings Settings, n int) *World {
	t.Helper()
	return start(t, settings, oneDatabase, slices.Repeat([][]services.Name{app.Services()}, n)...)
}

// Apart runs each service in a process of its own.
func Apart(t testing.TB, settings Settings) *World {
	t.Helper()
	return start(t, settings, oneDatabase, each()...)
}

// Divided runs each service in a process of its own on a database of its own.
func Divided(t testing.TB, settings Settings) *World {
	t.Helper()
	return start(t, settings, aDatabaseEach, each()...)
}

func each() (sets [][]services.Name) {
	for _, name := range app.Services() {
		sets = append(sets, []services.Name{name})
	}
	return sets
}

// oneDatabase gives the URL of the same one for all of n processes.
func oneDatabase(t testing.TB, n int) []string {
	t.Helper()
	return slices.Repeat([]string{pgtest.URL(t)}, n)
}

func aDatabaseEach(t testing.TB, n int) []string {
	t.Helper()
	urls := make([]string, n)
	for i := range urls {
		urls[i] = pgtest.URL(t)
	}
	return urls
}

// start runs one process for each set.
func start(t testing.TB, settings Settings, databases func(testing.TB, int) []string, sets ...[]services.Name) *World {
	t.Helper()
	urls := databases(t, len(sets))
	// A port that was free may be somebody else's by the time it is used.
	for attempt := 1; ; attempt++ {
		w := &World{URLs: map[services.Name]string{}, AdminKey: AdminKey, Database: urls[0]}
		addresses := make([]string, len(sets))
		for i, set := range sets {
			addresses[i] = freeAddress(t)
			for _, name := range set {
				w.URLs[name] = "http://" + addresses[i]
			}
			if len(set) == len(app.Services()) {
				w.Replicas = append(w.Replicas, "http://"+addresses[i])
			}
		}
		w.Gateway = w.URLs[services.Gateway]
		err := w.run(t, urls, settings, sets, addresses)
		if err == nil {
			return w
		}
		if attempt == 3 || !strings.Contains(err.Error(), "is taken by another process") {
			t.Fatalf("world: %v", err)
		}
	}
}

func (w *World) run(t testing.TB, databases []string, settings Settings, sets [][]services.Name, addresses []string) error {
	t.Helper()
	var running []*fx.App
	t.Cleanup(func() { stop(t, running) })
	for i, set := range sets {
		process, err := w.begin(w.values(t, databases[i], addresses[i], settings), set)
		if err != nil {
			return err
		}
		running = append(running, process)
	}
	for _, url := range append(slices.Collect(maps.Values(w.URLs)), w.Replicas...) {
		Until(t, url+" is ready", func() bool { return New(url).Do(t, http.MethodGet, "/readyz", nil).Status == http.StatusOK })
	}
	return nil
}

// ServiceSecret is what the processes of a world share.
const ServiceSecret = "a secret that the processes of one world share"

// values are the settings of a process.
func (w *World) values(t testing.TB, database, address string, settings Settings) map[string]string {
	values := map[string]string{
		"DATABASE_URL": database, "UAOL_MIGRATE": "false", "DATABASE_POOL_MIN": "0", "DATABASE_POOL_MAX": "10",
		"UAOL_DATA_DIR": t.TempDir(), "UAOL_ADDR": address, "LOG_LEVEL": "fatal", "UAOL_DRAIN_DELAY": "0s",
		"UAOL_DOCUMENT_MEMORY_MB": "2048", // the race detector takes several times of what is needed
		"UAOL_SERVICE_SECRET":     ServiceSecret,
		"JWT_SECRET":              "a secret that signs the tokens of one world",
		"ENCRYPTION_SECRET":       "a secret that encrypts the keys of one world",
		"UAOL_ADMIN_EMAIL":        "admin@example.com", "UAOL_ADMIN_API_KEY": w.AdminKey,
		"RATE_LIMIT_PER_MINUTE": "1000000", "UAOL_SIGNUPS_PER_HOUR": "0",
	}
	for name, variable := range urlVariables {
		values[variable] = w.URLs[name]
	}
	maps.Copy(values, settings)
	return values
}

// begin starts a process.
func (w *World) begin(values map[string]string, set []services.Name) (*fx.App, error) {
	var registry *prometheus.Registry
	process := fx.New(app.Options(config.Of(values), set...), w.Log.keep(values["LOG_LEVEL"]), fx.Populate(&registry), collected(), fx.StartTimeout(starting), fx.StopTimeout(starting))
	if err := process.Err(); err != nil {
		return nil, app.Explain(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), starting)
	defer cancel()
	if err := process.Start(ctx); err != nil {
		return nil, app.Explain(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.metrics = append(w.metrics, registry)
	return process, nil
}

// collected hands the processes' statements to whoever collects them (make statements).
func collected() fx.Option {
	options := []fx.Option{}
	for _, tracer := range pgtest.Tracers() {
		options = append(options, fx.Provide(fx.Annotate(func() pgx.QueryTracer { return tracer }, fx.ResultTags(`group:"statements"`))))
	}
	return fx.Options(options...)
}

// stop ends all processes at once, as a machine that goes down does.
func stop(t testing.TB, running []*fx.App) {
	HTTP.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(context.Background(), starting)
	defer cancel()
	var group sync.WaitGroup
	for _, process := range running {
		group.Go(func() {
			if err := process.Stop(ctx); err != nil {
				t.Errorf("world: stopping: %v", err)
			}
		})
	}
	group.Wait()
}

// Until waits for something to become true, asking often.
func Until(t testing.TB, what string, done func() bool) {
	t.Helper()
	deadline := time.NewTimer(starting)
	defer deadline.Stop()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for !done() {
		select {
		case <-ticker.C:
		case <-deadline.C:
			t.Fatalf("world: still not: %s", what)
		}
	}
}

// Metrics are what each of its processes counts.
func (w *World) Metrics() []*prometheus.Registry {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.metrics)
}

// String names the gateway, for messages.
func (w *World) String() string { return fmt.Sprintf("UAOL at %s", w.Gateway) }
