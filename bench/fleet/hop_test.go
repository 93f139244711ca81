package fleet

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/gin-gonic/gin"

	"uaol/services"
)

// bareOf is the address on which this program is to be a bare gin handler instead of
// tests: one that answers with a tool out of a map.
const bareOf = "UAOL_FLEET_BARE"

// serveBare never returns but with an error.
func serveBare(address string) error {
	gin.SetMode(gin.ReleaseMode)
	text, err := os.ReadFile(os.Getenv(bareOf + "_TOOL"))
	if err != nil {
		return err
	}
	var tool map[string]any
	if err := json.Unmarshal(text, &tool); err != nil {
		return err
	}
	id, _ := at(tool, "data", "tool_id").(string)
	tools := map[string]map[string]any{id: tool}
	engine := gin.New()
	engine.GET("/readyz", func(c *gin.Context) { c.Status(http.StatusOK) })
	engine.GET("/tools/:id", func(c *gin.Context) {
		if found, ok := tools[c.Param("id")]; ok {
			c.JSON(http.StatusOK, found)
			return
		}
		c.Status(http.StatusNotFound)
	})
	return http.ListenAndServe(address, engine) //nolint:gosec // of a benchmark
}

type side struct {
	name    string
	raw     Raw
	members []*Process // whose processor time it takes
	rates   []float64
	p50     []time.Duration
	p95     []time.Duration
	cpu     []time.Duration // for each request
}

// TestHop holds a look-up of a tool through the gateway to another process against the
// same in one process, the registry's own process, and a bare gin handler with a map.
// They take turns, so that a busy machine slows all alike; medians are printed.
func TestHop(t *testing.T) {
	apart, together := Start(t, Options{}), Start(t, Options{Together: true})
	ask := func(f *Fleet) (key, path string) {
		c := NewClients(t, f.URLs(services.Gateway)[0], f.Tools)
		return c.keys[1], "/tools/" + c.tool // of an account that may not change it
	}
	keyApart, pathApart := ask(apart)
	keyTogether, pathTogether := ask(together)
	bare := bareHandler(t, apart.URLs(services.Registry)[0]+pathApart, keyApart)
	member := func(f *Fleet, service services.Name) *Member {
		return f.Members[slices.IndexFunc(f.Members, func(m *Member) bool { return m.Service == service })]
	}
	gateway, registry, whole := member(apart, services.Gateway), member(apart, services.Registry), member(together, services.Gateway)
	sides := []*side{
		{name: "bare gin handler with a map", raw: NewRaw(bare.ready[len("http://"):len(bare.ready)-len("/readyz")], pathApart, ""), members: []*Process{bare}},
		{name: "registry's own process", raw: NewRaw(registry.Address, pathApart, keyApart), members: []*Process{registry.Process}},
		{name: "all in one process", raw: NewRaw(whole.Address, pathTogether, keyTogether), members: []*Process{whole.Process}},
		{name: "gateway to the registry's process", raw: NewRaw(gateway.Address, pathApart, keyApart), members: []*Process{gateway.Process, registry.Process}},
	}
	turn := time.Duration(Size(t, "UAOL_FLEET_TURN", 0.3) * float64(time.Second))
	rounds := int(Size(t, "UAOL_FLEET_ROUNDS", 2))
	for _, connections := range []int{1, 32} {
		for range rounds {
			for _, s := range sides {
				before := used(s.members)
				m, err := s.raw.Run(connections, turn)
				if err != nil {
					t.Fatalf("%s: %v", s.name, err)
				}
				s.rates, s.p50, s.p95 = append(s.rates, m.Rate()), append(s.p50, m.P50), append(s.p95, m.P95)
				s.cpu = append(s.cpu, (used(s.members)-before)/time.Duration(m.Number))
			}
		}
		for _, s := range sides {
			profile(t, fmt.Sprint(strings.ReplaceAll(s.name, " ", "-"), "-", connections), s.members, turn, func() error {
				_, err := s.raw.Run(connections, turn)
				return err
			})
		}
		fmt.Printf("\nGET /tools/{id}, %d connections, medians of %d\n", connections, rounds)
		table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "\ta second\tby bare gin\tp50\tp95\tprocessor time a request")
		bare := sides[0].rates
		for _, s := range sides {
			ratios := make([]float64, rounds)
			for i := range ratios {
				ratios[i] = s.rates[i] / bare[i]
			}
			fmt.Fprintf(table, "%s\t%.0f\t%.2f\t%s\t%s\t%d µs\n", s.name, median(s.rates), median(ratios), ms(median(s.p50)), ms(median(s.p95)), median(s.cpu).Microseconds())
			s.rates, s.p50, s.p95, s.cpu = nil, nil, nil, nil
		}
		_ = table.Flush()
	}
}

// bareHandler is a process of its own with what one look-up answered.
func bareHandler(t testing.TB, url, key string) *Process {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-API-Key", key)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	file := filepath.Join(t.TempDir(), "tool.json")
	out, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := out.ReadFrom(answer.Body); err != nil {
		t.Fatal(err)
	}
	_ = out.Close()
	at := address(freePort(t))
	p := &Process{Name: "bare", program: os.Args[0], ready: "http://" + at + "/readyz", log: filepath.Join(workDir(t), "bare.log"),
		env: []string{bareOf + "=" + at, bareOf + "_TOOL=" + file}}
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Kill() })
	return p
}

func used(processes []*Process) (total time.Duration) {
	for _, p := range processes {
		total += p.cpu()
	}
	return total
}

func median[T float64 | time.Duration](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// TestFootprint tells how long the start takes and what memory is resident, of all in
// one process and of seven, idle and after some load.
func TestFootprint(t *testing.T) {
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\tstart until ready\tresident, idle\tafter load")
	for _, o := range []Options{{Together: true}, {}} {
		f := Start(t, o)
		if err := f.each(func(m *Member) error { _, err := m.Stop(); return err }); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		if err := f.each(func(m *Member) error { return m.Start(t.Context()) }); err != nil {
			t.Fatal(err)
		}
		took, idle := time.Since(begun), f.memory()
		c := NewClients(t, f.URLs(services.Gateway)[0], f.Tools)
		capacity(t, c)
		name := "all in one process"
		if !o.Together {
			name = fmt.Sprintf("%d processes", len(f.Members))
		}
		fmt.Fprintf(table, "%s\t%.2f s\t%d MB\t%d MB\n", name, took.Seconds(), idle>>20, f.memory()>>20)
	}
	fmt.Println()
	_ = table.Flush()
}

func (f *Fleet) memory() (total int64) {
	for _, m := range f.Members {
		total += m.memory()
	}
	return total
}
