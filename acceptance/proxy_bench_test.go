package acceptance

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"uaol/acceptance/world"
)

// BenchmarkProxy holds calls through UAOL, free and charged, with
// authentication, schema validation, limits and call records on, against the
// same call made to the tool itself and through net/http/httputil.ReverseProxy.
// All take turns, so that a busy machine slows all alike. The database is as
// careful as in production with UAOL_TEST_DURABLE=1; how careful is printed.
//
//	added/x   what UAOL adds to the median, by what the ReverseProxy adds
//	through/x UAOL's calls a second by the ReverseProxy's
//	allocs    of UAOL in one call: of all less those of a direct call
//
// With UAOL_TEST_PEER=1 ToolHive takes turns too.
func BenchmarkProxy(b *testing.B) {
	tool := fastTool(b)
	at, err := url.Parse(tool)
	require.NoError(b, err)
	const many = "100000000"
	w := world.Together(b, world.Settings{
		"TOOL_EGRESS_ALLOW": at.Host, "DATABASE_POOL_MAX": "20", "RATE_LIMIT_PER_MINUTE": many,
		"UAOL_CALLS_PER_USER_MINUTE": many, "UAOL_CALLS_PER_ORGANIZATION_MINUTE": many,
		"UAOL_CALLS_PER_TOOL_MINUTE": many, "UAOL_CALLS_PER_USER_AND_TOOL_MINUTE": many,
	})
	durability(b, w.Database)
	made := world.New(w.Gateway).Do(b, http.MethodPost, "/auth/register", object{"email": email()})
	require.Equal(b, http.StatusCreated, made.Status, made)
	token := made.Text("data.token")
	enrich(b, w.Database)
	free, charged := benchTool(b, w, token, tool, 0), benchTool(b, w, token, tool, 1)
	const direct = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo","arguments":{"text":"hello","times":3}}}`
	const through = `{"method":"echo","params":{"text":"hello","times":3}}`
	ways := []way{
		{name: "direct", url: tool, body: direct},
		{name: "reverse", url: reverseProxy(b, tool), body: direct},
		{name: "free", url: w.Gateway + "/proxy/" + free + "/call", body: through, token: token},
		{name: "charged", url: w.Gateway + "/proxy/" + charged + "/call", body: through, token: token},
	}
	if peer, runs := toolhive(b, tool); runs {
		ways = append(ways, way{name: "toolhive", url: peer, body: direct})
	}
	paid := whenPaid(b, w.Database)
	for _, connections := range []int{1, 32} {
		b.Run(fmt.Sprintf("connections=%d", connections), func(b *testing.B) { compare(b, ways, connections, paid) })
	}
}

// way is one of the ways to the tool.
type way struct {
	name, url, body, token string
	header                 http.Header // besides the usual ones
}

// round is how many calls one way makes before the next one's turn: so many that what is
// written behind them is mostly written in the same turn.
func round(connections int) int64 { return 400 * min(int64(connections), 8) }

// race lets all ways take turns, and gives what was measured by their names. What one
// leaves to be paid is none of the next one's, which waits for it.
func race(b *testing.B, ways []way, connections int, paid func()) map[string]*measured {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections, DisableCompression: true}, Timeout: time.Minute}
	defer client.CloseIdleConnections()
	results := make([]measured, len(ways))
	for i := range ways {
		ways[i].turn(b, client, connections, &measured{}) // what is made once is made here
		paid()
	}
	for b.Loop() {
		for i := range ways {
			ways[i].turn(b, client, connections, &results[i])
			paid()
		}
	}
	b.ReportMetric(0, "ns/op") // of all ways together it says nothing
	by := map[string]*measured{}
	for i, w := range ways {
		r := &results[i]
		slices.Sort(r.latencies)
		by[w.name] = r
		b.ReportMetric(float64(r.at(0.5).Microseconds()), w.name+"-p50-us")
		b.ReportMetric(float64(r.at(0.99).Microseconds()), w.name+"-p99-us")
		b.ReportMetric(r.rate(), w.name+"/s")
	}
	return by
}

func compare(b *testing.B, ways []way, connections int, paid func()) {
	by := race(b, ways, connections, paid)
	added := func(name string) float64 { return float64(by[name].at(0.5) - by["direct"].at(0.5)) }
	allocs := func(name string) float64 {
		return by[name].each(by[name].allocs) - by["direct"].each(by["direct"].allocs)
	}
	b.ReportMetric(allocs("reverse"), "reverse-allocs")
	if by["toolhive"] != nil {
		b.ReportMetric(by["free"].rate()/by["toolhive"].rate(), "free-through-toolhive/x")
	}
	for _, name := range []string{"free", "charged"} {
		b.ReportMetric(added(name)/added("reverse"), name+"-added/x")
		b.ReportMetric(by[name].rate()/by["reverse"].rate(), name+"-through/x")
		b.ReportMetric(allocs(name), name+"-allocs")
	}
}

type measured struct {
	latencies     []time.Duration
	took          time.Duration
	allocs, bytes uint64 // of the whole process
}

// rate is calls a second.
func (m *measured) rate() float64 { return float64(len(m.latencies)) / m.took.Seconds() }

// each is a total's part in one call.
func (m *measured) each(total uint64) float64 { return float64(total) / float64(len(m.latencies)) }

func (m *measured) at(share float64) time.Duration {
	return m.latencies[min(int(share*float64(len(m.latencies))), len(m.latencies)-1)]
}

// turn makes a round of calls over so many connections at once.
func (w way) turn(b *testing.B, client *http.Client, connections int, into *measured) {
	header := http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}}
	if w.token != "" {
		header.Set("Authorization", "Bearer "+w.token)
	}
	maps.Copy(header, w.header)
	round := round(connections)
	latencies := make([]time.Duration, round)
	var next atomic.Int64
	var group sync.WaitGroup
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begun := time.Now()
	for range connections {
		group.Go(func() {
			for i := next.Add(1) - 1; i < round; i = next.Add(1) - 1 {
				sent := time.Now()
				w.call(b, client, header, i)
				latencies[i] = time.Since(sent)
			}
		})
	}
	group.Wait()
	into.took += time.Since(begun)
	runtime.ReadMemStats(&after)
	into.allocs += after.Mallocs - before.Mallocs
	into.bytes += after.TotalAlloc - before.TotalAlloc
	into.latencies = append(into.latencies, latencies...)
}

func (w way) call(b *testing.B, client *http.Client, header http.Header, id int64) {
	body := strings.Replace(w.body, `"id":7`, `"id":`+strconv.FormatInt(id, 10), 1) // a session's requests have different ones
	request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, w.url, strings.NewReader(body))
	if err != nil {
		b.Error(err)
		return
	}
	request.Header = header
	response, err := client.Do(request)
	if err != nil {
		b.Error(err)
		return
	}
	text, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil || response.StatusCode != http.StatusOK || !bytes.Contains(text, []byte(`"text":"hello hello hello"`)) {
		b.Errorf("%s: %d %s %v", w.name, response.StatusCode, text, err)
	}
}

// fastTool is an MCP server of the stateless protocol that does as little as one
// can, so that what is between is measured.
func fastTool(b *testing.B) (url string) {
	const tools = `{"resultType":"complete","tools":[{"name":"echo","description":"says it again","annotations":{"readOnlyHint":true},"inputSchema":{"type":"object","required":["text"],"additionalProperties":false,"properties":{"text":{"type":"string","maxLength":1000},"times":{"type":"integer","minimum":1,"maximum":10}}}}]}`
	const result = `{"resultType":"complete","content":[{"type":"text","text":"hello hello hello"}],"isError":false}`
	const about = `{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"serverInfo":{"name":"fast","version":"1"}}`
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var message struct {
			ID     json.RawMessage `json:"id"`
			Method string          `json:"method"`
		}
		if err != nil || json.Unmarshal(body, &message) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		answer := map[string]string{"tools/call": result, "tools/list": tools, "server/discover": about}[message.Method]
		if answer == "" {
			w.WriteHeader(http.StatusAccepted)
			return
		}
		whole := make([]byte, 0, 512)
		whole = append(append(append(whole, `{"jsonrpc":"2.0","id":`...), message.ID...), `,"result":`...)
		whole = append(append(whole, answer...), '}')
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(whole)))
		_, _ = w.Write(whole)
	})
	return listen(b, handler)
}

func reverseProxy(b *testing.B, target string) (to string) {
	at, err := url.Parse(target)
	require.NoError(b, err)
	proxy := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(at) },
		Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true},
	}
	return listen(b, proxy)
}

func listen(b *testing.B, handler http.Handler) (url string) {
	listener, err := (&net.ListenConfig{}).Listen(b.Context(), "tcp", "127.0.0.1:0")
	require.NoError(b, err)
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	b.Cleanup(func() { _ = server.Close() })
	return "http://" + listener.Addr().String() + "/"
}

// benchTool registers the tool at a price.
func benchTool(b *testing.B, w *world.World, token, at string, price int) (id string) {
	answer := world.New(w.Gateway).As(token).Do(b, http.MethodPost, "/tools", object{"name": "fast", "gateway_url": at, "credit_cost_per_call": price})
	require.Equal(b, http.StatusCreated, answer.Status, answer)
	id = answer.Text("data.tool_id")
	answer = world.New(w.Gateway).As(w.AdminKey).Do(b, http.MethodPost, "/tools/"+id+"/approve", nil)
	require.Equal(b, http.StatusOK, answer.Status, answer)
	return id
}

// durability prints how careful the database is while the benchmark runs.
func durability(b *testing.B, database string) {
	pool, err := pgxpool.New(b.Context(), database)
	require.NoError(b, err)
	defer pool.Close()
	var settings string
	require.NoError(b, pool.QueryRow(b.Context(), `
		SELECT string_agg(name || ' = ' || setting, ', ' ORDER BY name) FROM pg_settings
		WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes', 'commit_delay')`).Scan(&settings))
	fmt.Println("durability:", settings)
}

// whenPaid waits until no call is on its way to the ledger.
func whenPaid(b *testing.B, database string) func() {
	pool, err := pgxpool.New(b.Context(), database)
	require.NoError(b, err)
	b.Cleanup(pool.Close)
	return func() {
		world.Until(b, "all calls are paid", func() bool {
			var open int64
			require.NoError(b, pool.QueryRow(b.Context(), `SELECT count(*) FROM uaol_billing.holds WHERE state = 'open'`).Scan(&open))
			return open == 0
		})
	}
}

// enrich gives all accounts more credits than a benchmark can spend.
func enrich(b *testing.B, database string) {
	pool, err := pgxpool.New(b.Context(), database)
	require.NoError(b, err)
	defer pool.Close()
	_, err = pool.Exec(b.Context(), `UPDATE uaol_billing.accounts SET available = available + 1000000000, grants = grants + 1000000000`)
	require.NoError(b, err)
}
