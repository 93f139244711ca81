package jobs

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/providers/config"
	"uaol/providers/llm"
	"uaol/services"
	"uaol/services/auth/modelkeys"
)

// keysOf is whoever has a key; platform is whose it is.
type keysOf struct{ platform bool }

func (k keysOf) ModelAccess(_ context.Context, in modelkeys.AccessRequest) (llm.Access, error) {
	if in.Provider == "gemini" {
		return llm.Access{}, services.Errorf(services.Invalid, "There is no API key").WithCode(modelkeys.CodeMissing)
	}
	return llm.Access{Provider: llm.OpenAI, Key: "sk-of-a-test", Model: "usual", Platform: k.platform}, nil
}

// model lets b's engines ask a server that speaks OpenAI's protocol.
func (b *bench) model(t testing.TB, answer http.HandlerFunc) {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	cfg, err := config.Parse[llm.Config](config.Of(map[string]string{"UAOL_OPENAI_URL": server.URL + "/v1"}))
	require.NoError(t, err)
	client, err := llm.New(cfg, b.policy)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	b.models = Models{Keys: keysOf{}, Client: client}
}

func TestAModelIsAsked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var asked atomic.Pointer[string]
	var times atomic.Int64
	b.model(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		text := string(body)
		asked.Store(&text)
		if times.Add(1) == 1 {
			http.Error(w, `{"error":{"message":"no"}}`, http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"id":"x","object":"chat.completion","model":"m-1","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"four"}}],
			"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}`)
	})
	b.start(t)
	definition := json.RawMessage(`{"steps":[{"id":"ask","kind":"llm","provider":"openai","model":"m-1","system":"Be brief.","prompt":"What is {{input.q}}?","max_tokens":50,"temperature":0.5}],
		"output":"{{ask.result.text}}"}`)
	job := b.request(t, Request{Definition: definition, Input: json.RawMessage(`{"q":"2+2"}`)})
	require.Contains(t, failureOf(t, b.ended(t, job.ID)), "MODEL_REQUEST_REFUSED")

	job = b.request(t, Request{Definition: definition, Input: json.RawMessage(`{"q":"2+2"}`)})
	got := b.ended(t, job.ID)
	require.Equal(t, Success, got.Status, "%v", got.ErrorMessage)
	require.Equal(t, `"four"`, string(got.FinalOutput))
	require.JSONEq(t, `{"text":"four","model":"m-1","provider":"openai","stop_reason":"stop","usage":{"input_tokens":7,"output_tokens":2}}`, string(b.steps(t, job.ID)["ask"].Result))
	sent := object(t, *asked.Load())
	require.Equal(t, "m-1", sent["model"])
	require.Contains(t, *asked.Load(), "What is 2+2?")
	require.Contains(t, *asked.Load(), "Be brief.")
	require.Zero(t, b.number(t, `SELECT count(*) FROM uaol_billing.journal`), "it is paid to the provider")
	require.NotContains(t, b.snapshot(t), "sk-of-a-test")
}

func TestAModelIsAskedWithOnesOwnKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.model(t, func(http.ResponseWriter, *http.Request) { t.Error("asked") })
	b.models.Keys = keysOf{platform: true}
	b.start(t)
	for _, provider := range []string{"openai", "gemini"} {
		job := b.request(t, Request{Definition: json.RawMessage(`{"steps":[{"id":"ask","kind":"llm","provider":"` + provider + `","prompt":"Hello"}]}`)})
		require.Contains(t, failureOf(t, b.ended(t, job.ID)), "PROVIDER_KEY_MISSING")
	}
}
