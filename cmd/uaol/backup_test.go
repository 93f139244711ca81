package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"uaol/providers/postgres/embedded"
)

// keyedTool is a tool server with two methods that only look: look answers with the digest of
// the secret that the call carried, hold does so once it is let go.
func keyedTool(t testing.TB) (url string, reached <-chan struct{}, release func()) {
	t.Helper()
	held, gate := make(chan struct{}, 100), make(chan struct{})
	server := mcp.NewServer(&mcp.Implementation{Name: "keyed", Version: "1"}, nil)
	for _, name := range []string{"look", "hold"} {
		server.AddTool(&mcp.Tool{Name: name, InputSchema: json.RawMessage(`{"type":"object"}`), Annotations: &mcp.ToolAnnotations{ReadOnlyHint: true}},
			func(ctx context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
				if name == "hold" {
					held <- struct{}{}
					select {
					case <-gate:
					case <-ctx.Done():
					}
				}
				return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: digested(r.Extra.Header.Get("X-Key"))}}}, nil
			})
	}
	tool := httptest.NewServer(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{Stateless: true}))
	t.Cleanup(func() { tool.CloseClientConnections(); tool.Close() })
	return tool.URL, held, sync.OnceFunc(func() { close(gate) })
}

func digested(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// try is do for goroutines.
func (p *program) try(key, method, path, body string, out any) error {
	request, err := http.NewRequest(method, p.base+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-API-Key", key)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %d %s %w", method, path, response.StatusCode, text, err)
	}
	return json.Unmarshal(text, out)
}

// command runs uaol beside a program, on a data directory.
func (p *program) command(t testing.TB, dir string, args ...string) (string, error) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	command := exec.Command(self, args...)
	command.Env = append(append([]string{}, p.Env...), "UAOL_DATA_DIR="+dir, "UAOL_BACKUP_PASSPHRASE=correct horse battery staple")
	output, err := command.CombinedOutput()
	return string(output), err
}

const lookPrice = 2

// TestBackupUnderLoad backs a server up while jobs run, calls are made, files come and go
// and secrets change, and restores that in another directory: what was acknowledged before
// is there, secrets open, jobs come to their end, and the books add up.
func TestBackupUnderLoad(t *testing.T) {
	t.Parallel()
	url, reached, release := keyedTool(t)
	defer release()
	settings := []string{"TOOL_EGRESS_ALLOW=" + strings.TrimPrefix(url, "http://"), "UAOL_SIGNUPS_PER_HOUR=0", "UAOL_CALL_HOLD_SECONDS=5", "UAOL_CALLS_PER_USER_MINUTE=0",
		"UAOL_CALLS_PER_ORGANIZATION_MINUTE=0", "UAOL_CALLS_PER_TOOL_MINUTE=0", "UAOL_CALLS_PER_USER_AND_TOOL_MINUTE=0"}
	dir := openDir(t)
	p := startProgram(t, dir, settings...)
	var user struct {
		Token string
		User  struct{ APIKey string }
	}
	p.do(t, "", "POST", "/auth/register", `{"email":"ada@example.com"}`, &user)
	key := user.User.APIKey
	var tool struct {
		ID string `json:"tool_id"`
	}
	p.do(t, key, "POST", "/tools", fmt.Sprintf(`{"name":"keyed","gateway_url":%q,"credit_cost_per_call":%d,"inject":{"headers":{"X-Key":"{{secret.KEY}}","X-Other":"{{secret.OTHER}}"}}}`, url, lookPrice), &tool)
	p.do(t, key, "PUT", "/tools/"+tool.ID+"/secrets/KEY", `{"value":"the-secret-of-before","scope":"tool"}`, nil)
	p.do(t, key, "PUT", "/tools/"+tool.ID+"/secrets/OTHER", `{"value":"another-secret","scope":"tool"}`, nil)
	p.do(t, adminKey, "POST", "/tools/"+tool.ID+"/approve", "", nil)
	p.do(t, key, "POST", "/api-keys", `{"provider":"openai","apiKey":"sk-a-key-that-nobody-uses-0123456789","isDefault":true}`, nil)
	definition := func(first string) string {
		return fmt.Sprintf(`{"workflow_definition":{"steps":[{"id":"a","tool_id":%[1]q,"action":%[2]q,"parameters":{}},
			{"id":"b","tool_id":%[1]q,"action":"look","parameters":{},"depends_on":["a"]}]}}`, tool.ID, first)
	}
	type job struct {
		ID     string `json:"job_id"`
		Status string
	}
	jobs, files := map[string]bool{}, map[string]string{} // acknowledged; files with their digests
	for range 3 {
		var j job
		p.do(t, key, "POST", "/jobs", definition("hold"), &j)
		jobs[j.ID] = true
		<-reached
	}

	var mu sync.Mutex
	var stop atomic.Bool
	var load sync.WaitGroup
	var made, stored, called atomic.Int64
	again := func(f func(n int) error) {
		load.Go(func() {
			for n := 0; !stop.Load() && n < 400; n++ {
				if err := f(n); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	again(func(int) error {
		var answer struct{ Data job }
		err := p.try(key, "POST", "/jobs", definition("look"), &answer)
		mu.Lock()
		defer mu.Unlock()
		jobs[answer.Data.ID] = true
		made.Add(1)
		return err
	})
	again(func(int) error {
		called.Add(1)
		return p.try(key, "POST", "/proxy/"+tool.ID+"/call", `{"method":"look","params":{}}`, &struct{}{})
	})
	again(func(n int) error {
		return p.try(key, "PUT", "/tools/"+tool.ID+"/secrets/OTHER", fmt.Sprintf(`{"value":"secret number %d"}`, n), &struct{}{})
	})
	again(func(n int) error {
		content := fmt.Sprintf("file %d\n", n) + strings.Repeat("of some length\n", n*500)
		status, body, err := p.send(key, fmt.Sprintf("%d.txt", n), strings.NewReader(content))
		var answer struct {
			Data struct {
				ID string `json:"fileId"`
			}
		}
		if err != nil || status != http.StatusOK || json.Unmarshal(body, &answer) != nil {
			return fmt.Errorf("%d %s %w", status, body, err)
		}
		if n%2 == 1 { // gone again, perhaps while it is copied
			return p.try(key, "DELETE", "/storage/files/"+answer.Data.ID, "", &struct{}{})
		}
		mu.Lock()
		defer mu.Unlock()
		files[answer.Data.ID] = digested(content)
		stored.Add(1)
		return nil
	})
	require.Eventually(t, func() bool { return t.Failed() || made.Load() >= 20 && stored.Load() >= 10 && called.Load() >= 20 }, 3*time.Minute, 10*time.Millisecond)
	mu.Lock()
	jobsBefore, filesBefore := map[string]bool{}, map[string]string{}
	for id := range jobs {
		jobsBefore[id] = true
	}
	for id, sum := range files {
		filesBefore[id] = sum
	}
	mu.Unlock()
	before := made.Load() + stored.Load() + called.Load()
	file := filepath.Join(t.TempDir(), "all.backup")
	said, err := p.command(t, dir, "backup", file)
	require.NoError(t, err, said)
	t.Logf("%d requests were answered meanwhile: %s", made.Load()+stored.Load()+called.Load()-before, said)
	require.Greater(t, made.Load()+stored.Load()+called.Load(), before, "the load goes on meanwhile")
	stop.Store(true)
	load.Wait()
	require.False(t, t.Failed())
	require.NoError(t, p.Process.Signal(syscall.SIGKILL))
	_, _ = p.Process.Wait()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NotContains(t, string(text), "example.com")

	other := openDir(t)
	said, err = p.command(t, other, "restore", file)
	require.NoError(t, err, said)
	require.Contains(t, said, "Nothing is wrong.")
	release()
	q := startProgram(t, other, settings...)
	var everyone struct{ Data []job }
	require.Eventually(t, func() bool {
		everyone.Data = nil
		for id := range jobsBefore {
			var j job
			q.do(t, key, "GET", "/jobs/"+id, "", &j)
			if j.Status == "Queued" || j.Status == "Running" {
				return false
			}
			everyone.Data = append(everyone.Data, j)
		}
		return true
	}, 3*time.Minute, 200*time.Millisecond, "jobs go on")
	for _, j := range everyone.Data {
		require.Equal(t, "Success", j.Status, j.ID)
	}
	for id, sum := range filesBefore {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, q.base+"/uploads/"+id, nil)
		require.NoError(t, err)
		request.Header.Set("Authorization", "Bearer "+user.Token) // signed by the server before
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		digest := sha256.New()
		_, err = io.Copy(digest, response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, sum, hex.EncodeToString(digest.Sum(nil)), "%s %s", id, response.Status)
	}
	var answer struct{ Content []struct{ Text string } }
	q.do(t, key, "POST", "/proxy/"+tool.ID+"/call", `{"method":"look","params":{}}`, &answer)
	require.Equal(t, digested("the-secret-of-before"), answer.Content[0].Text)

	database, leave, err := embedded.Join(t.Context(), embedded.Config{DataDir: other}, zap.NewNop())
	require.NoError(t, err)
	defer func() { require.NoError(t, leave()) }()
	pool, err := pgxpool.New(t.Context(), database)
	require.NoError(t, err)
	defer pool.Close()
	number := func(sql string) (n int64) {
		require.NoError(t, pool.QueryRow(t.Context(), sql).Scan(&n), sql)
		return n
	}
	require.Eventually(t, func() bool {
		return number(`SELECT (SELECT count(*) FROM uaol_jobs.queue) + (SELECT count(*) FROM uaol_jobs.runs)`) == 0
	}, 3*time.Minute, 200*time.Millisecond, "nothing is left undone")
	// A request that was under way at the backup's moment may have held credits for a job
	// that never came to be: they are given back when their time is up, here at once.
	_, err = pool.Exec(t.Context(), `
		UPDATE uaol_billing.holds h SET expires_at = now() WHERE state = 'open' AND owner = 'job'
			AND NOT EXISTS (SELECT 1 FROM uaol_jobs.jobs j WHERE j.job_id = coalesce(h.job_id, h.hold_id))`)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return number(`SELECT count(*) FROM uaol_billing.holds WHERE state = 'open'`) == 0 },
		3*time.Minute, 200*time.Millisecond, "nothing stays held")
	require.Equal(t, lookPrice*number(`SELECT count(*) FROM uaol_jobs.steps WHERE status = 'Success'`),
		number(`SELECT coalesce(sum(amount), 0)::bigint FROM uaol_billing.journal WHERE kind = 'settle' AND job_id IS NOT NULL`), "each step is paid once")
	require.Zero(t, number(`
		SELECT count(*) FROM (SELECT call_id::text AS id, credits FROM uaol_proxy.calls WHERE credits > 0) r
		FULL JOIN (SELECT operation_id AS id, amount AS credits FROM uaol_billing.journal WHERE kind = 'settle' AND job_id IS NULL) e ON e.id = r.id
		WHERE r.credits IS DISTINCT FROM e.credits`), "each call is paid once")
	said, err = q.command(t, other, "ledger", "verify")
	require.NoError(t, err, said)
	require.Contains(t, said, "Nothing is wrong.")
	t.Logf("%d jobs, %d files", len(jobsBefore), len(filesBefore))
}
