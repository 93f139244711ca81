package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const adminKey = "an-admins-key-for-tests-of-the-program-only"

// program is uaol running as a process of its own.
type program struct {
	*exec.Cmd
	base string
	log  *bytes.Buffer // until it listens
	said *saying       // since then
}

// startProgram serves everything from a data directory until the test ends.
func startProgram(t testing.TB, dir string, variables ...string) *program {
	t.Helper()
	p, err := launch(dir, variables...)
	require.NoError(t, err)
	t.Cleanup(p.kill)
	return p
}

func (p *program) kill() { _ = p.Process.Kill(); _ = p.Wait() }

func launch(dir string, variables ...string) (*program, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &program{Cmd: exec.Command(self, "serve"), log: &bytes.Buffer{}, said: &saying{}}
	p.Env = append([]string{
		asUAOL + "=1", "PATH=" + os.Getenv("PATH"), "HOME=" + dir, "UAOL_DATA_DIR=" + dir, "UAOL_ADDR=127.0.0.1:0", "LOG_FORMAT=json",
		"UAOL_ADMIN_EMAIL=admin@example.com", "UAOL_ADMIN_API_KEY=" + adminKey,
	}, variables...)
	if !slices.ContainsFunc(variables, func(v string) bool { return strings.HasPrefix(v, "UAOL_ENV_FILE=") }) {
		p.Env = append(p.Env, "RATE_LIMIT_PER_MINUTE=100000")
	}
	stderr, err := p.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := p.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		p.log.WriteString(lines.Text() + "\n")
		var line struct{ Message, Address string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Message == "listening" {
			p.base = "http://" + line.Address
			go func() { // ends with the process
				for lines.Scan() {
					_, _ = p.said.Write(append(lines.Bytes(), '\n'))
				}
				_, _ = io.Copy(io.Discard, stderr)
			}()
			return p, nil
		}
	}
	p.kill()
	return nil, fmt.Errorf("the program did not start:\n%s", p.log)
}

// do sends one request as the program's user and reads data into out.
func (p *program) do(t testing.TB, key, method, path, body string, out any) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, p.base+path, strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	if key != "" {
		request.Header.Set("X-API-Key", key)
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Less(t, response.StatusCode, 300, "%s %s: %s", method, path, text)
	if out != nil {
		var envelope struct{ Data json.RawMessage }
		require.NoError(t, json.Unmarshal(text, &envelope))
		require.NoError(t, json.Unmarshal(envelope.Data, out))
	}
}

// openDir is a directory that PostgreSQL gets to as another user.
func openDir(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for d := dir; len(d) > len(os.TempDir()); d = filepath.Dir(d) {
		require.NoError(t, os.Chmod(d, 0o755))
	}
	return filepath.Join(dir, "data")
}

// postgresIn lists processes whose command line names the directory.
func postgresIn(t testing.TB, dir string) (found []string) {
	t.Helper()
	entries, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range entries {
		line, err := os.ReadFile(path)
		if err == nil && bytes.Contains(line, []byte(dir)) && bytes.Contains(line, []byte("postgres")) {
			found = append(found, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}

// TestJobSurvivesKill kills the program while a job's call is at its tool.
func TestJobSurvivesKill(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	reached, release := make(chan struct{}, 10), make(chan struct{})
	server := mcp.NewServer(&mcp.Implementation{Name: "held", Version: "1"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "look", Annotations: &mcp.ToolAnnotations{ReadOnlyHint: true}},
		func(ctx context.Context, _ *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
			calls.Add(1)
			reached <- struct{}{}
			select {
			case <-release:
			case <-ctx.Done():
			}
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "seen"}}}, nil, nil
		})
	tool := httptest.NewServer(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil))
	defer tool.Close()
	defer tool.CloseClientConnections()
	allow := "TOOL_EGRESS_ALLOW=" + strings.TrimPrefix(tool.URL, "http://")

	dir := openDir(t)
	first := startProgram(t, dir, allow)
	var user struct{ User struct{ APIKey string } }
	first.do(t, "", "POST", "/auth/register", `{"email":"ada@example.com"}`, &user)
	key := user.User.APIKey
	var made struct {
		ID string `json:"tool_id"`
	}
	first.do(t, key, "POST", "/tools", `{"name":"held","gateway_url":"`+tool.URL+`","credit_cost_per_call":7}`, &made)
	first.do(t, adminKey, "POST", "/tools/"+made.ID+"/approve", "", nil)
	var job struct {
		ID     string `json:"job_id"`
		Status string
	}
	first.do(t, key, "POST", "/jobs", `{"workflow_definition":{"steps":[
		{"id":"a","tool_id":"`+made.ID+`","action":"look","parameters":{}},
		{"id":"b","tool_id":"`+made.ID+`","action":"look","parameters":{},"depends_on":["a"]}]}}`, &job)
	<-reached
	require.NoError(t, first.Process.Signal(syscall.SIGKILL))
	_, _ = first.Process.Wait()
	require.Eventually(t, func() bool { return len(postgresIn(t, dir)) == 0 }, 5*time.Second, 20*time.Millisecond, "no postgres is left")
	close(release)

	second := startProgram(t, dir, allow)
	require.Eventually(t, func() bool {
		second.do(t, key, "GET", "/jobs/"+job.ID, "", &job)
		return job.Status != "Queued" && job.Status != "Running"
	}, 40*time.Second, 50*time.Millisecond)
	assert.Equal(t, "Success", job.Status)
	assert.EqualValues(t, 3, calls.Load(), "the step in flight once more, the other once")
	var balance struct{ Credits string }
	second.do(t, key, "GET", "/credits/balance", "", &balance)
	assert.Equal(t, "9986", balance.Credits, "two steps of 7, charged once")

	require.NoError(t, second.Process.Signal(syscall.SIGTERM))
	state, err := second.Process.Wait()
	require.NoError(t, err)
	assert.Zero(t, state.ExitCode(), "SIGTERM is an orderly end")
	assert.Empty(t, postgresIn(t, dir))
}

func TestSecondProgramOnADataDirectoryIsRefused(t *testing.T) {
	t.Parallel()
	dir := openDir(t)
	first := startProgram(t, dir)
	self, err := os.Executable()
	require.NoError(t, err)
	second := exec.Command(self, "serve")
	second.Env = first.Env
	output, err := second.CombinedOutput()
	require.Error(t, err)
	assert.Contains(t, string(output), "uaol: another uaol")
	assert.Contains(t, string(output), "UAOL_DATA_DIR")
}

// BenchmarkStart measures a start with data present: from the process to
// /readyz, embedded PostgreSQL included, and what uaol itself keeps resident.
func BenchmarkStart(b *testing.B) {
	dir := openDir(b)
	end := func(p *program) {
		require.NoError(b, p.Process.Signal(syscall.SIGTERM))
		_, _ = p.Process.Wait()
	}
	end(startProgram(b, dir))
	b.ResetTimer()
	for b.Loop() {
		p := startProgram(b, dir)
		p.do(b, "", "GET", "/readyz", "", nil)
		b.StopTimer()
		status, err := os.ReadFile(filepath.Join("/proc", pid(p), "status"))
		require.NoError(b, err)
		b.ReportMetric(residentMB(string(status)), "MB-resident")
		end(p)
		b.StartTimer()
	}
}
