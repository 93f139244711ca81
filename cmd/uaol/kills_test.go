package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"uaol/providers/postgres/embedded"
)

// kills is how often TestKillsDuringCalls kills the program.
func kills(t testing.TB) int {
	t.Helper()
	text := os.Getenv("UAOL_TEST_KILLS")
	if text == "" {
		return 2
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err, "UAOL_TEST_KILLS")
	return n
}

// arrivals is what a tool server saw: the key that each call carries.
type arrivals struct {
	mu   sync.Mutex
	keys map[string]int
	all  atomic.Int64
}

func (a *arrivals) add(key string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.keys[key]++
	a.all.Add(1)
}

// countingTool is a tool server that answers with the key that it was called with.
func countingTool(t testing.TB) (url string, seen *arrivals) {
	t.Helper()
	seen = &arrivals{keys: map[string]int{}}
	server := mcp.NewServer(&mcp.Implementation{Name: "counting", Version: "1"}, nil)
	server.AddTool(&mcp.Tool{Name: "count", InputSchema: json.RawMessage(`{"type":"object"}`)},
		func(_ context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			key, _ := r.Params.Meta["idempotencyKey"].(string)
			seen.add(key)
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: key}}}, nil
		})
	tool := httptest.NewServer(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{Stateless: true}))
	t.Cleanup(func() { tool.CloseClientConnections(); tool.Close() })
	return tool.URL, seen
}

// buyer makes one priced call after the other, and remembers those that were
// acknowledged: answered with success.
type buyer struct {
	key          string
	acknowledged []string
	refused      []string // other answers
}

// buy goes on until the program is gone or stop is set.
func (b *buyer) buy(base, tool string, stop *atomic.Bool) {
	for !stop.Load() {
		request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, base+"/proxy/"+tool+"/call", strings.NewReader(`{"method":"count","params":{}}`))
		if err != nil {
			b.refused = append(b.refused, err.Error())
			return
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("X-API-Key", b.key)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return
		}
		text, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil {
			return
		}
		var answer struct {
			Data struct{ Content []struct{ Text string } }
		}
		if json.Unmarshal(text, &answer) == nil && response.StatusCode == http.StatusOK && len(answer.Data.Content) == 1 {
			b.acknowledged = append(b.acknowledged, answer.Data.Content[0].Text)
			continue
		}
		b.refused = append(b.refused, fmt.Sprint(response.StatusCode, " ", string(text)))
	}
}

const (
	buyers     = 16
	callsPrice = 3
)

// TestKillsDuringCalls kills the program again and again while 16 clients make
// priced calls. Whenever it dies: a call that reached the tool, or that a client
// was told has succeeded, is recorded and paid once; what is recorded is what is
// paid; nothing stays held; and the books add up.
func TestKillsDuringCalls(t *testing.T) {
	t.Parallel()
	url, seen := countingTool(t)
	dir := openDir(t)
	start := func() *program {
		return startProgram(t, dir, "TOOL_EGRESS_ALLOW="+strings.TrimPrefix(url, "http://"), "UAOL_SIGNUPS_PER_HOUR=0", "UAOL_CALL_HOLD_SECONDS=5",
			"UAOL_CALLS_PER_USER_MINUTE=0", "UAOL_CALLS_PER_ORGANIZATION_MINUTE=0", "UAOL_CALLS_PER_TOOL_MINUTE=0", "UAOL_CALLS_PER_USER_AND_TOOL_MINUTE=0")
	}
	p := start()
	var made struct {
		ID string `json:"tool_id"`
	}
	all := make([]*buyer, buyers)
	for i := range all {
		var user struct{ User struct{ APIKey string } }
		p.do(t, "", "POST", "/auth/register", fmt.Sprintf(`{"email":"buyer%d@example.com"}`, i), &user)
		all[i] = &buyer{key: user.User.APIKey}
	}
	p.do(t, all[0].key, "POST", "/tools", fmt.Sprintf(`{"name":"counting","gateway_url":%q,"credit_cost_per_call":%d}`, url, callsPrice), &made)
	p.do(t, adminKey, "POST", "/tools/"+made.ID+"/approve", "", nil)

	// round lets everybody buy until so many more calls have arrived.
	round := func(more int64, end func(stop *atomic.Bool)) {
		var stop atomic.Bool
		var clients sync.WaitGroup
		until := seen.all.Load() + more
		for _, b := range all {
			clients.Go(func() { b.buy(p.base, made.ID, &stop) })
		}
		require.Eventually(t, func() bool { return seen.all.Load() >= until }, time.Minute, time.Millisecond, "calls arrive")
		end(&stop)
		clients.Wait()
	}
	deaths := kills(t)
	for range deaths {
		round(100+rand.Int64N(300), func(*atomic.Bool) {
			require.NoError(t, p.Process.Signal(syscall.SIGKILL))
			_, _ = p.Process.Wait()
		})
		require.Eventually(t, func() bool { return len(postgresIn(t, dir)) == 0 }, 20*time.Second, 20*time.Millisecond, "no postgres is left")
		p = start()
	}
	round(100, func(stop *atomic.Bool) { stop.Store(true) })

	database, release, err := embedded.Join(t.Context(), embedded.Config{DataDir: dir}, zap.NewNop())
	require.NoError(t, err)
	defer func() { require.NoError(t, release()) }()
	pool, err := pgxpool.New(t.Context(), database)
	require.NoError(t, err)
	defer pool.Close()
	number := func(sql string) (n int64) {
		require.NoError(t, pool.QueryRow(t.Context(), sql).Scan(&n), sql)
		return n
	}
	require.Eventually(t, func() bool { return number(`SELECT count(*) FROM uaol_billing.holds WHERE state = 'open'`) == 0 },
		time.Minute, 50*time.Millisecond, "nothing stays held")

	rows, err := pool.Query(t.Context(), `SELECT call_id, outcome, credits FROM uaol_proxy.calls`)
	require.NoError(t, err)
	type record struct {
		ID      uuid.UUID
		Outcome string
		Credits int64
	}
	records, err := pgx.CollectRows(rows, pgx.RowToStructByPos[record])
	require.NoError(t, err)
	recorded, outcomes, missed := map[string]record{}, map[string]int{}, 0
	for _, r := range records {
		recorded[r.ID.String()] = r
		outcomes[r.Outcome]++
		if r.Outcome == "unknown" && seen.keys[r.ID.String()] == 0 {
			missed++
		}
		if r.Outcome == "success" {
			require.Equal(t, 1, seen.keys[r.ID.String()], "what is recorded as a success has reached the tool")
		}
	}
	for key, times := range seen.keys {
		require.Equal(t, 1, times, "a call is sent once")
		require.EqualValues(t, callsPrice, recorded[key].Credits, "a call that reached the tool is recorded, and paid: %s %q", key, recorded[key].Outcome)
	}
	acknowledged, refused := 0, 0
	for _, b := range all {
		for _, key := range b.acknowledged {
			require.EqualValues(t, callsPrice, recorded[key].Credits, "an acknowledged call is recorded, and paid: %s", key)
		}
		acknowledged, refused = acknowledged+len(b.acknowledged), refused+len(b.refused)
		require.Empty(t, b.refused)
	}
	require.Equal(t, len(seen.keys), outcomes["success"]+outcomes["unknown"]-missed, "arrived = successes + unknown ones but for those that never arrived")
	require.Zero(t, number(`
		SELECT count(*) FROM (SELECT call_id::text AS id, credits FROM uaol_proxy.calls WHERE credits > 0) r
		FULL JOIN (SELECT operation_id AS id, amount AS credits FROM uaol_billing.journal WHERE kind = 'settle') e ON e.id = r.id
		WHERE r.credits IS DISTINCT FROM e.credits`), "each record is paid, and each payment recorded")
	require.Zero(t, number(`
		SELECT count(*) FROM uaol_billing.accounts a WHERE (available, held) <> (
			SELECT coalesce(sum(CASE WHEN kind IN ('grant', 'purchase', 'release', 'refund', 'receive') THEN amount WHEN kind IN ('settle', 'owe') THEN 0 ELSE -amount END), 0)::bigint, coalesce(sum(CASE kind WHEN 'hold' THEN amount WHEN 'settle' THEN -amount WHEN 'release' THEN -amount ELSE 0 END), 0)::bigint
			FROM uaol_billing.journal e WHERE e.organization_id = a.organization_id)`), "an account is the sum of its entries")
	require.Zero(t, number(`SELECT count(*) FROM uaol_billing.accounts WHERE held <> 0 OR available < 0`))
	// The books as their own verifier sees them, with the heads that were published.
	self, err := os.Executable()
	require.NoError(t, err)
	verify := exec.Command(self, "ledger", "verify")
	verify.Env = p.Env
	report, err := verify.CombinedOutput()
	require.NoError(t, err, string(report))
	require.Contains(t, string(report), "Nothing is wrong.")
	t.Logf("%d kills: %d calls arrived, %d were acknowledged; recorded: %v, %d of the unknown ones never arrived; %d credits paid",
		deaths, len(seen.keys), acknowledged, outcomes, missed, number(`SELECT coalesce(sum(credits), 0)::bigint FROM uaol_proxy.calls`))
}
