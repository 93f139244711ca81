package llm

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"uaol/providers/config"
	"uaol/providers/egress"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const key = "sk-proj-Zq8vN3tR5wX7yB2cD4fG6hJ9"

// fake is a provider on loopback.
type fake struct {
	client *Client
	url    string
	waits  []time.Duration // between attempts, not really waited for

	mu       sync.Mutex
	requests []string // bodies
	headers  []http.Header
}

// serve answers the n-th request (from 0) of any provider.
func serve(t testing.TB, answer func(w http.ResponseWriter, r *http.Request, n int)) *fake {
	t.Helper()
	f := &fake{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		f.mu.Lock()
		n := len(f.requests)
		f.requests, f.headers = append(f.requests, string(body)), append(f.headers, r.Header)
		f.mu.Unlock()
		if r.Method != http.MethodPost || r.URL.Path != "/v1/chat/completions" {
			t.Errorf("%s %s is no chat completion", r.Method, r.URL)
		}
		answer(w, r, n)
	}))
	t.Cleanup(server.Close)
	f.url = server.URL
	f.client = client(t, map[string]string{
		"UAOL_OPENAI_URL": f.url + "/v1", "UAOL_GEMINI_URL": f.url + "/v1/", "UAOL_ANTHROPIC_URL": f.url + "/v1",
	})
	f.client.pause = func(_ context.Context, d time.Duration) error {
		f.waits = append(f.waits, d)
		return nil
	}
	return f
}

// count is for tests that do not wait for the server.
func (f *fake) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.requests)
}

// client is made from settings, as in a process; without exceptions to egress
// but what these give.
func client(t testing.TB, values map[string]string) *Client {
	t.Helper()
	cfg, err := config.Parse[Config](config.Of(values))
	require.NoError(t, err)
	policy, err := egress.New(egress.Config{})
	require.NoError(t, err)
	c, err := New(cfg, policy)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func ask(p Provider) Request {
	return Request{
		Access:   Access{Provider: p, Key: key, Model: "a-model"},
		Messages: []Message{{Role: User, Content: "Hello"}},
	}
}

// say answers with JSON.
func say(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// stream sends events and flushes each.
func stream(w http.ResponseWriter, events ...string) {
	w.Header().Set("Content-Type", "text/event-stream")
	for _, e := range events {
		_, _ = fmt.Fprintf(w, "%s\n\n", e)
		w.(http.Flusher).Flush()
	}
}

// chunk is a piece of a streamed answer.
func chunk(delta, finish string) string {
	if finish = strings.TrimSpace(finish); finish == "" {
		finish = "null"
	}
	return `data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"a-model-2026","choices":[{"index":0,"delta":` + delta + `,"logprobs":null,"finish_reason":` + finish + `}],"usage":null}`
}

// either runs a test over both ways of asking.
func either(t *testing.T, test func(t *testing.T, ask func(*Client, Request) (Answer, error))) {
	t.Helper()
	t.Run("complete", func(t *testing.T) {
		t.Parallel()
		test(t, func(c *Client, in Request) (Answer, error) { return c.Complete(t.Context(), in) })
	})
	t.Run("stream", func(t *testing.T) {
		t.Parallel()
		test(t, func(c *Client, in Request) (Answer, error) {
			return c.Stream(t.Context(), in, func(Delta) error { return nil })
		})
	})
}
