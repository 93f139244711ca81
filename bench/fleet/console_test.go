package fleet

import (
	"bufio"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"uaol/services"
)

// viewer is a browser, as far as the server can tell.
type viewer struct {
	http *http.Client
	base string
}

func view(t testing.TB, base, key string) *viewer {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 4, DisableCompression: true} // what comes is counted as it comes
	v := &viewer{base: base, http: &http.Client{Jar: jar, Transport: transport}}
	t.Cleanup(transport.CloseIdleConnections)
	answer, err := v.http.PostForm(base+"/console/sign-in", url.Values{"key": {key}})
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK || answer.Request.URL.Path != "/console" {
		t.Fatalf("nobody was signed in: %s %s", answer.Status, answer.Request.URL)
	}
	return v
}

// open asks for a page or what it needs, and tells how long that took and how many bytes came.
func (v *viewer) open(t testing.TB, path string) (text string, bytes int, took time.Duration) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, v.base+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept-Encoding", "gzip")
	begun := time.Now()
	answer, err := v.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	took = time.Since(begun)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v", path, answer.Status, err)
	}
	text = string(raw)
	if answer.Header.Get("Content-Encoding") == "gzip" {
		plain, err := gzip.NewReader(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		whole, err := io.ReadAll(plain)
		if err != nil {
			t.Fatal(err)
		}
		text = string(whole)
	}
	return text, len(raw), took
}

// TestConsole tells how long pages take at the server, one at a time, what the first one
// transfers with all that it needs, and what live pages cost: UAOL_FLEET_JOBS jobs are in
// the list, and UAOL_FLEET_PAGES pages are open.
func TestConsole(t *testing.T) {
	jobs, pages := int(Size(t, "UAOL_FLEET_JOBS", 2000)), int(Size(t, "UAOL_FLEET_PAGES", 50))
	f := Start(t, Options{Together: true, Env: map[string]string{"UAOL_MAX_CONNECTIONS": "20000"}})
	server := f.Members[0]
	c := NewClients(t, f.URLs(services.Gateway)[0], f.Tools)
	c.many(t, jobs)
	f.rest(t)
	v := view(t, c.base, c.keys[0])

	text, bytes, _ := v.open(t, "/console")
	for _, asset := range assetsOf(text) {
		_, more, _ := v.open(t, asset)
		bytes += more
	}
	fmt.Printf("the overview transfers %.1f kB in all, at the first visit\n", float64(bytes)/1000)
	if bytes >= 150_000 {
		t.Errorf("the overview transfers %d bytes", bytes)
	}
	v.times(t, "the overview", "/console")
	v.times(t, fmt.Sprintf("the first page of %d jobs", jobs), "/console/jobs")
	v.times(t, "its last page", v.last(t))
	v.times(t, "those that have failed", "/console/jobs?status=Failed")

	v.often(t, 1000) // so that the collector has let the heap grow as far as it does
	before := server.memory()
	ctx, cancel := context.WithCancel(t.Context())
	var open sync.WaitGroup
	defer open.Wait()
	defer cancel()
	var heard atomic.Int64
	for i := range pages {
		one := view(t, c.base, c.keys[i%len(c.keys)])
		open.Go(func() { one.watch(ctx, &heard) })
	}
	for deadline := time.Now().Add(2 * time.Minute); heard.Load() < int64(pages); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("only %d of %d pages are live", heard.Load(), pages)
		}
	}
	used := server.Used()
	const during = 15 * time.Second
	time.Sleep(during) // several rounds of every page
	after := server.memory()
	fmt.Printf("%d live pages: %d MB before, %d MB with all, %.0f KB each; %.2f of a processor\n", pages, before>>20, after>>20,
		float64(after-before)/1024/float64(pages), (server.Used()-used).Seconds()/during.Seconds())
	if grown := after - before; pages >= 500 && grown > 100<<20 {
		t.Errorf("%d live pages took %d MB", pages, grown>>20)
	}
}

// rest waits until next to nothing goes on: what many jobs leave to do, such as events to be
// told, entries to be sealed and rows to be vacuumed, is not what pages take.
func (f *Fleet) rest(t testing.TB) {
	t.Helper()
	const span = 3 * time.Second
	for deadline := time.Now().Add(5 * time.Minute); ; {
		used := f.Used(t)
		time.Sleep(span)
		busy := (f.Used(t) - used).Seconds() / span.Seconds()
		if busy < 0.1 {
			return
		}
		if time.Now().After(deadline) {
			fmt.Printf("%.2f of a processor are still at work\n", busy)
			return
		}
	}
}

// many makes so many jobs, and waits until all have ended. They call no tool: each account
// may call one only so often a minute.
func (c *Clients) many(t testing.TB, n int) {
	t.Helper()
	definition := map[string]any{"steps": []any{map[string]any{"id": "a", "kind": "sleep", "duration": "1ms"}}}
	for made := 0; made < n; {
		some := min(10_000, n-made)
		if _, err := c.ask(t.Context(), c.keys[0], http.MethodPost, "/jobs/batch", map[string]any{"workflow_definition": definition, "jobs": slices.Repeat([]any{map[string]any{}}, some)}, http.StatusCreated); err != nil {
			t.Fatal(err)
		}
		made += some
	}
	for deadline := time.Now().Add(10 * time.Minute); c.goesOn(t); time.Sleep(time.Second) {
		if time.Now().After(deadline) {
			t.Fatal("the jobs do not end")
		}
	}
}

// goesOn reports whether any job has not ended.
func (c *Clients) goesOn(t testing.TB) bool {
	t.Helper()
	for _, status := range []string{"Queued", "Running", "Retrying"} {
		answer, err := c.ask(t.Context(), c.keys[0], http.MethodGet, "/jobs?limit=1&status="+status, nil, http.StatusOK)
		if err != nil {
			t.Fatal(err)
		}
		if left, _ := at(answer, "data").([]any); len(left) > 0 {
			return true
		}
	}
	return false
}

// assetsOf lists what a page needs besides itself.
func assetsOf(text string) (assets []string) {
	for _, part := range strings.Split(text, `"`) {
		if strings.HasPrefix(part, "/console/assets/") {
			assets = append(assets, part)
			if dir, is := strings.CutSuffix(part, "console.js"); is { // which names it
				assets = append(assets, dir+"plots.js")
			}
		}
	}
	return assets
}

// last is the address of the page that ends the list of jobs.
func (v *viewer) last(t testing.TB) string {
	t.Helper()
	at := "/console/jobs"
	for range 20 { // far enough from the beginning
		text, _, _ := v.open(t, at)
		_, rest, more := strings.Cut(text, `<p class="more"><a href="`)
		if !more {
			return at
		}
		at, _, _ = strings.Cut(rest, `"`)
	}
	return at
}

// times opens a page again and again, and tells how long the server took.
func (v *viewer) times(t testing.TB, what, path string) {
	t.Helper()
	const rounds = 60
	took := make([]time.Duration, rounds)
	for i := range took {
		_, _, took[i] = v.open(t, path)
	}
	slices.Sort(took)
	fmt.Printf("%s: %v at the median, %v at the 95th percentile\n", what, took[rounds/2].Round(10*time.Microsecond), took[rounds*95/100].Round(10*time.Microsecond))
}

// often opens the overview so many times, four at once.
func (v *viewer) often(t testing.TB, times int) {
	t.Helper()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range times / 4 {
				answer, err := v.http.Get(v.base + "/console")
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, answer.Body) // what came is all there was
				_ = answer.Body.Close()
			}
		})
	}
	all.Wait()
}

// watch keeps the overview live, and counts it when it has been told something.
func (v *viewer) watch(ctx context.Context, heard *atomic.Int64) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, v.base+"/console", nil)
	if err != nil {
		return
	}
	r.Header.Set("Accept", "text/event-stream")
	answer, err := v.http.Do(r)
	if err != nil {
		return
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, 1<<20)
	for first := true; lines.Scan(); {
		if first && strings.HasPrefix(lines.Text(), "data:") {
			first = false
			heard.Add(1)
		}
	}
}
