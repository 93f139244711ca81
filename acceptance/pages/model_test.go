package pages

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// model is a server that speaks OpenAI's protocol, and says what a test tells it to.
type model struct {
	url  string
	left atomic.Int64 // answers that were not heard to their end

	mu     sync.Mutex
	answer func(asked) []piece
	heard  []asked
}

// asked is a request to a model.
type asked struct {
	N        int `json:"-"` // of requests before this one, since the answer was set
	Model    string
	Stream   bool
	Messages []struct{ Role, Content string }
	Tools    []struct{ Function struct{ Name string } }
}

// piece is a part of an answer: a text, calls of tools, or a pause until the test goes on.
type piece struct {
	text  string
	calls []wish
	pause <-chan struct{}
	cut   bool // the connection is
}

// wish is a call that the model asks for.
type wish struct{ name, arguments string }

const modelKey = "sk-test-1234567890abcdefghijklmnopqrstuvwxyz"

func startModel(t *testing.T) *model {
	t.Helper()
	m := &model{answer: func(asked) []piece { return []piece{{text: "Hello."}} }}
	server := httptest.NewServer(http.HandlerFunc(m.serve))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	m.url = server.URL + "/v1"
	return m
}

// says sets what is answered from now on.
func (m *model) says(answer func(asked) []piece) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answer, m.heard = answer, nil
}

func (m *model) requests() []asked {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.heard
}

func (m *model) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var in asked
	if err != nil || json.Unmarshal(body, &in) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	m.mu.Lock()
	in.N = len(m.heard)
	m.heard = append(m.heard, in)
	answer := m.answer
	m.mu.Unlock()
	const usage = `"usage":{"prompt_tokens":1200,"completion_tokens":340,"total_tokens":1540}`
	delta, message, finish := w.Write, strings.Builder{}, "stop"
	w.Header().Set("Content-Type", "application/json")
	if in.Stream {
		w.Header().Set("Content-Type", "text/event-stream")
	}
	send := func(event string) {
		if in.Stream {
			_, _ = delta([]byte("data: " + event + "\n\n"))
			w.(http.Flusher).Flush()
		}
	}
	list := "[]"
	for _, p := range answer(in) {
		switch {
		case p.pause != nil:
			select {
			case <-p.pause:
			case <-r.Context().Done():
				m.left.Add(1)
				return
			}
		case p.cut:
			panic(http.ErrAbortHandler)
		case p.calls != nil:
			var all []string
			for i, c := range p.calls {
				all = append(all, fmt.Sprintf(`{"index":%d,"id":"call_%d","type":"function","function":{"name":%q,"arguments":%q}}`, i, i, c.name, c.arguments))
			}
			list, finish = "["+strings.Join(all, ",")+"]", "tool_calls"
			send(`{"id":"1","object":"chat.completion.chunk","model":"` + in.Model + `","choices":[{"index":0,"delta":{"tool_calls":` + list + `},"finish_reason":null}]}`)
		default:
			text, _ := json.Marshal(p.text) // a text
			message.WriteString(p.text)
			send(`{"id":"1","object":"chat.completion.chunk","model":"` + in.Model + `","choices":[{"index":0,"delta":{"content":` + string(text) + `},"finish_reason":null}]}`)
		}
	}
	if in.Stream {
		send(`{"id":"1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"` + finish + `"}]}`)
		send(`{"id":"1","object":"chat.completion.chunk","choices":[],` + usage + `}`)
		send("[DONE]")
		return
	}
	text, _ := json.Marshal(message.String()) // a text
	_, _ = fmt.Fprintf(w, `{"id":"1","object":"chat.completion","model":%q,"choices":[{"index":0,"message":{"role":"assistant","content":%s,"tool_calls":%s},"finish_reason":%q}],%s}`, in.Model, text, list, finish, usage)
}

// keyed lets p ask the model with a key of p's own.
func (p person) keyed(t *testing.T) person {
	t.Helper()
	stored := p.Do(t, http.MethodPost, "/api-keys", object{"provider": "openai", "apiKey": modelKey, "isDefault": true})
	require.Less(t, stored.Status, 300, stored)
	return p
}
