package llm

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"uaol/providers/config"
	"uaol/services"
)

const (
	done  = "data: [DONE]"
	usage = `data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"a-model-2026","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":12,"total_tokens":21}}`
)

// conversation has everything that a request can hold.
func conversation(p Provider) Request {
	zero := 0.0
	in := ask(p)
	in.System, in.MaxTokens, in.Temperature = "Be brief.", 100, &zero
	in.Messages = []Message{
		{Role: User, Content: "What is the weather?"},
		{Role: Assistant, ToolCalls: []ToolCall{{ID: "call_1", Name: "weather", Arguments: `{"city":"Oslo"}`}, {ID: "call_2", Name: "weather", Arguments: `{"city":"Os`}}},
		{Role: ToolRole, ToolCallID: "call_1", Content: "rain"},
		{Role: ToolRole, ToolCallID: "call_2"},
	}
	in.Tools = []Tool{{Name: "weather", Description: "Tells it", Schema: json.RawMessage(`{"type":"object","properties":{"city":{"type":"string"}}}`)}, {Name: "now"}}
	return in
}

func TestRequestOnTheWire(t *testing.T) {
	t.Parallel()
	f := serve(t, func(w http.ResponseWriter, _ *http.Request, _ int) {
		say(w, 200, `{"choices":[{"message":{"role":"assistant","content":"ok"},"finish_reason":"stop"}]}`)
	})
	answer, err := f.client.Complete(t.Context(), conversation(Anthropic))
	require.NoError(t, err)
	require.Equal(t, Answer{Text: "ok", Model: "a-model", StopReason: Stopped}, answer, "a provider that says the least")
	require.Equal(t, "Bearer "+key, f.headers[0].Get("Authorization"))
	require.JSONEq(t, `{"model":"a-model","stream":false,"max_tokens":100,"temperature":1e-45,"messages":[
		{"role":"system","content":"Be brief."},
		{"role":"user","content":"What is the weather?"},
		{"role":"assistant","tool_calls":[
			{"id":"call_1","type":"function","function":{"name":"weather","arguments":"{\"city\":\"Oslo\"}"}},
			{"id":"call_2","type":"function","function":{"name":"weather","arguments":"{}"}}]},
		{"role":"tool","content":"rain","tool_call_id":"call_1"},
		{"role":"tool","content":"\"\"","tool_call_id":"call_2"}],
		"tools":[
		{"type":"function","function":{"name":"weather","description":"Tells it","parameters":{"type":"object","properties":{"city":{"type":"string"}}}}},
		{"type":"function","function":{"name":"now","parameters":{"type":"object","properties":{}}}}]}`, f.requests[0])
}

// TestNewerModels take the answer's length under another name.
func TestNewerModels(t *testing.T) {
	t.Parallel()
	f := serve(t, func(w http.ResponseWriter, _ *http.Request, _ int) {
		say(w, 200, `{"choices":[{"message":{"content":"ok"},"finish_reason":"stop"}]}`)
	})
	in := ask(OpenAI)
	in.MaxTokens = 7
	for model, want := range map[string]string{"gpt-5.4-mini": "max_completion_tokens", "o3": "max_completion_tokens", "llama3": "max_tokens"} {
		in.Model = model
		_, err := f.client.Complete(t.Context(), in)
		require.NoError(t, err, model)
		require.Contains(t, f.requests[len(f.requests)-1], `"`+want+`":7`)
	}
	in.Model = "a-model"
	own := client(t, nil)
	require.True(t, newWire(own.doors[OpenAI], in, 0).newer(), "at OpenAI's own address all do")
	require.False(t, newWire(own.doors[Gemini], in, 0).newer())
}

func TestComplete(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		body string
		want Answer
	}{
		"text": {`{"id":"c","object":"chat.completion","created":1,"model":"a-model-2026","choices":[{"index":0,"message":{"role":"assistant","content":"Hello!","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":12,"total_tokens":21,"completion_tokens_details":{"reasoning_tokens":3}}}`,
			Answer{Text: "Hello!", Model: "a-model-2026", StopReason: Stopped, Usage: Usage{9, 12}}},
		"thoughts are output too": {`{"model":"m","choices":[{"message":{"content":"Hi"},"finish_reason":"length"}],"usage":{"prompt_tokens":9,"completion_tokens":12,"total_tokens":121}}`,
			Answer{Text: "Hi", Model: "m", StopReason: TooShort, Usage: Usage{9, 112}}},
		"tools": {`{"model":"m","choices":[{"message":{"role":"assistant","content":null,"tool_calls":[{"id":"call_a","type":"function","function":{"name":"weather","arguments":"{\"city\":\"Oslo\"}"}},{"id":"call_b","type":"function","function":{"name":"now","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}`,
			Answer{Model: "m", StopReason: CallsTool, ToolCalls: []ToolCall{{ID: "call_a", Name: "weather", Arguments: `{"city":"Oslo"}`}, {ID: "call_b", Name: "now", Arguments: "{}"}}}},
		"tools without ids, as stopped": {`{"model":"m","choices":[{"message":{"tool_calls":[{"id":"","function":{"name":"now","arguments":"{}"}},{"function":{"name":"now","arguments":"{}"}}]},"finish_reason":"stop"}]}`,
			Answer{Model: "m", StopReason: CallsTool, ToolCalls: []ToolCall{{ID: "call_0", Name: "now", Arguments: "{}"}, {ID: "call_1", Name: "now", Arguments: "{}"}}}},
		"a refusal":   {`{"model":"m","choices":[{"message":{"content":null,"refusal":"I won't"},"finish_reason":"stop"}]}`, Answer{Text: "I won't", Model: "m", StopReason: Stopped}},
		"parts":       {`{"model":"m","choices":[{"message":{"content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},"finish_reason":"stop"}]}`, Answer{Text: "ab", Model: "m", StopReason: Stopped}},
		"a filter":    {`{"model":"m","choices":[{"message":{"content":""},"finish_reason":"content_filter"}]}`, Answer{Model: "m", StopReason: Filtered}},
		"a signature": {`{"model":"m","choices":[{"message":{"tool_calls":[{"extra_content":{"google":{"thought_signature":"U2ln"}},"id":"f1","function":{"name":"now","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}`, Answer{Model: "m", StopReason: CallsTool, ToolCalls: []ToolCall{{ID: "f1", Name: "now", Arguments: "{}", Signature: "U2ln"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := serve(t, func(w http.ResponseWriter, _ *http.Request, _ int) { say(w, 200, test.body) })
			got, err := f.client.Complete(t.Context(), ask(Gemini))
			require.NoError(t, err)
			require.Equal(t, test.want, got)
		})
	}
}

func TestStream(t *testing.T) {
	t.Parallel()
	weather := ToolCall{ID: "call_a", Name: "weather", Arguments: `{"city":"Oslo"}`}
	for name, test := range map[string]struct {
		events []string
		deltas []string
		want   Answer
	}{
		"text": {[]string{": a comment", chunk(`{"role":"assistant","content":"","refusal":null}`, ""), chunk(`{"content":"Hel"}`, ""), chunk(`{"content":"lo"}`, ""), chunk(`{}`, `"stop"`), usage, done},
			[]string{"Hel", "lo"}, Answer{Text: "Hello", Usage: Usage{9, 12}, StopReason: Stopped}},
		"usage with the last piece, no [DONE]": {[]string{chunk(`{"content":"Hi"}`, ""), `data:{"choices":[{"delta":{},"finish_reason":"length"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}`},
			[]string{"Hi"}, Answer{Text: "Hi", Usage: Usage{1, 2}, StopReason: TooShort}},
		"OpenAI's tools": {[]string{
			chunk(`{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"call_a","type":"function","function":{"name":"weather","arguments":""}}]}`, ""),
			chunk(`{"tool_calls":[{"index":0,"function":{"arguments":"{\"ci"}}]}`, ""),
			chunk(`{"tool_calls":[{"index":1,"id":"call_b","type":"function","function":{"name":"weather","arguments":"{\"city\":"}}]}`, ""),
			chunk(`{"tool_calls":[{"index":0,"function":{"arguments":"ty\":\"Oslo\"}"}},{"index":1,"function":{"arguments":"\"Rome\"}"}}]}`, ""),
			chunk(`{}`, `"tool_calls"`), done},
			nil, Answer{StopReason: CallsTool, ToolCalls: []ToolCall{weather, {ID: "call_b", Name: "weather", Arguments: `{"city":"Rome"}`}}}},
		"Gemini's tools, all of one index, signed once": {[]string{
			chunk(`{"role":"assistant","tool_calls":[{"extra_content":{"google":{"thought_signature":"U2ln"}},"function":{"arguments":"{\"city\":\"Oslo\"}","name":"weather"},"id":"call_a","index":0,"type":"function"}]}`, ""),
			chunk(`{"role":"assistant","tool_calls":[{"function":{"arguments":"{}","name":"now"},"id":"call_b","index":0,"type":"function"}]}`, ""),
			chunk(`{"role":"assistant","tool_calls":[{"function":{"arguments":"{}","name":"now"},"id":"","index":0,"type":"function"}]}`, `"stop"`), done},
			nil, Answer{StopReason: CallsTool, ToolCalls: []ToolCall{{"call_a", "weather", `{"city":"Oslo"}`, "U2ln"}, {ID: "call_b", Name: "now", Arguments: "{}"}, {ID: "call_2", Name: "now", Arguments: "{}"}}}},
		"tools whose id and name are repeated": {[]string{
			chunk(`{"tool_calls":[{"index":0,"id":"call_a","function":{"name":"weather","arguments":"{\"city\":"}}]}`, ""),
			chunk(`{"tool_calls":[{"index":0,"id":"call_a","function":{"name":"weather","arguments":"\"Oslo\"}"}}]}`, ""), chunk(`{}`, `"tool_calls"`), done},
			nil, Answer{StopReason: CallsTool, ToolCalls: []ToolCall{weather}}},
		"tools without an index": {[]string{
			chunk(`{"tool_calls":[{"id":"call_a","function":{"name":"weather","arguments":"{\"city\":"}}]}`, ""),
			chunk(`{"tool_calls":[{"function":{"arguments":"\"Oslo\"}"}}]}`, ""), chunk(`{}`, `"tool_calls"`), done},
			nil, Answer{StopReason: CallsTool, ToolCalls: []ToolCall{weather}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := serve(t, func(w http.ResponseWriter, _ *http.Request, _ int) { stream(w, test.events...) })
			var deltas []string
			got, err := f.client.Stream(t.Context(), ask(OpenAI), func(d Delta) error { deltas = append(deltas, d.Text); return nil })
			require.NoError(t, err)
			test.want.Model = "a-model-2026"
			require.Equal(t, test.want, got)
			require.Equal(t, test.deltas, deltas)
			require.Contains(t, f.requests[0], `"stream":true`)
			require.Contains(t, f.requests[0], `"stream_options":{"include_usage":true}`)
		})
	}
}

// TestSignaturesGoBack: Gemini refuses a conversation whose calls lost theirs.
func TestSignaturesGoBack(t *testing.T) {
	t.Parallel()
	either(t, func(t *testing.T, ask func(*Client, Request) (Answer, error)) {
		f := serve(t, func(w http.ResponseWriter, _ *http.Request, _ int) { say(w, 500, "") })
		in := conversation(Gemini)
		signed := []ToolCall{{ID: "c", Name: "now", Arguments: "{}", Signature: "U2ln"}, {ID: "d", Name: "now", Arguments: "{}"}}
		in.Messages = append(in.Messages, Answer{Text: "Wait", ToolCalls: signed}.Message(),
			Message{Role: ToolRole, ToolCallID: "c", Content: "x"}, Message{Role: ToolRole, ToolCallID: "d", Content: "y"})
		_, err := ask(f.client, in)
		require.Error(t, err)
		var sent struct {
			Messages []struct {
				ToolCalls []struct {
					Extra json.RawMessage `json:"extra_content"`
				} `json:"tool_calls"`
			}
			Tools []any
		}
		require.Len(t, f.requests, attempts)
		for _, body := range f.requests {
			require.NoError(t, json.Unmarshal([]byte(body), &sent))
			require.Len(t, sent.Tools, 2)
			require.JSONEq(t, `{"google":{"thought_signature":"skip_thought_signature_validator"}}`, string(sent.Messages[2].ToolCalls[0].Extra), "made by another model")
			require.Empty(t, sent.Messages[2].ToolCalls[1].Extra)
			require.JSONEq(t, `{"google":{"thought_signature":"U2ln"}}`, string(sent.Messages[5].ToolCalls[0].Extra))
			require.Empty(t, sent.Messages[5].ToolCalls[1].Extra)
		}
		in.Provider = OpenAI
		_, err = ask(f.client, in)
		require.Error(t, err)
		require.NotContains(t, f.requests[attempts], "extra_content", "nobody else knows them")
	})
}

func TestRequestsAreChecked(t *testing.T) {
	t.Parallel()
	c := client(t, nil) // nobody is called
	for name, change := range map[string]func(*Request){
		"a provider":    func(r *Request) { r.Provider = "claude" },
		"no model":      func(r *Request) { r.Model = "" },
		"no messages":   func(r *Request) { r.Messages = nil },
		"no content":    func(r *Request) { r.Messages[0].Content = "" },
		"a role":        func(r *Request) { r.Messages[0].Role = "system" },
		"a lost result": func(r *Request) { r.Messages[0].Role = ToolRole },
		"what the library knows better": func(r *Request) {
			r.Model, r.Tools = "gpt-6-astra", []Tool{{Name: "now"}}
		},
	} {
		in := ask(OpenAI)
		change(&in)
		_, err := c.Complete(t.Context(), in)
		require.Equal(t, services.Invalid, services.KindOf(err), "%s: %v", name, err)
	}
}

// TestRetries are made while nothing was handed on, and wait as they are told.
func TestRetries(t *testing.T) {
	t.Parallel()
	hello := []string{chunk(`{"content":"Hello"}`, ""), chunk(`{}`, `"stop"`), done}
	for name, test := range map[string]struct {
		first func(w http.ResponseWriter)
		waits []time.Duration // nil for no second attempt
	}{
		"a header":        {func(w http.ResponseWriter) { w.Header().Set("Retry-After", "7"); say(w, 429, `{}`) }, []time.Duration{7 * time.Second}},
		"milliseconds":    {func(w http.ResponseWriter) { w.Header().Set("Retry-After-Ms", "1500"); say(w, 503, `{}`) }, []time.Duration{1500 * time.Millisecond}},
		"Google's delay":  {func(w http.ResponseWriter) { say(w, 429, gemini(429, "RESOURCE_EXHAUSTED", "slow down", retryInfo)) }, []time.Duration{13 * time.Second}},
		"too long a wait": {func(w http.ResponseWriter) { w.Header().Set("Retry-After", "21"); say(w, 429, `{}`) }, nil},
		"an error at first": {func(w http.ResponseWriter) {
			stream(w, `data: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`)
		}, []time.Duration{0}},
		"no end at first":   {func(w http.ResponseWriter) { stream(w, chunk(`{"role":"assistant"}`, "")) }, []time.Duration{0}},
		"a lost connection": {func(http.ResponseWriter) { panic(http.ErrAbortHandler) }, []time.Duration{0}},
		"a bad request":     {func(w http.ResponseWriter) { say(w, 400, `{}`) }, nil},
		"what was begun":    {func(w http.ResponseWriter) { stream(w, hello[0]); panic(http.ErrAbortHandler) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := serve(t, func(w http.ResponseWriter, _ *http.Request, n int) {
				if n == 0 {
					test.first(w)
					return
				}
				stream(w, hello...)
			})
			answer, err := f.client.Stream(t.Context(), ask(OpenAI), func(Delta) error { return nil })
			require.Len(t, f.waits, len(test.waits))
			require.Len(t, f.requests, 1+len(test.waits))
			if test.waits == nil {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, "Hello", answer.Text)
			if test.waits[0] != 0 {
				require.Equal(t, test.waits, f.waits)
			} else {
				require.InDelta(t, firstPause, f.waits[0], float64(firstPause/4))
			}
		})
	}
}

// TestCancelled: who leaves takes the stream along, also while waiting for
// another attempt; goleak looks at what stays behind.
func TestCancelled(t *testing.T) {
	t.Parallel()
	gone := make(chan struct{})
	f := serve(t, func(w http.ResponseWriter, r *http.Request, _ int) {
		stream(w, chunk(`{"content":"Hel"}`, ""))
		<-r.Context().Done()
		close(gone)
	})
	ctx, cancel := context.WithCancel(t.Context())
	answer, err := f.client.Stream(ctx, ask(OpenAI), func(Delta) error { cancel(); return nil })
	require.Equal(t, services.Unavailable, services.KindOf(err))
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, "Hel", answer.Text, "what came until then")
	<-gone

	busy := serve(t, func(w http.ResponseWriter, _ *http.Request, _ int) { say(w, 503, `{}`) })
	ctx, cancel = context.WithCancel(t.Context())
	busy.client.pause = func(ctx context.Context, _ time.Duration) error {
		cancel()
		return pause(ctx, time.Hour)
	}
	_, err = busy.client.Complete(ctx, ask(OpenAI))
	require.Equal(t, services.Unavailable, services.KindOf(err))
	require.Len(t, busy.requests, 1)
}

func TestTheListenersErrorIsReturned(t *testing.T) {
	t.Parallel()
	f := serve(t, func(w http.ResponseWriter, r *http.Request, _ int) {
		stream(w, chunk(`{"content":"Hel"}`, ""))
		<-r.Context().Done()
	})
	full := errors.New("the disk is full")
	_, err := f.client.Stream(t.Context(), ask(OpenAI), func(Delta) error { return full })
	require.Equal(t, full, err)
}

// TestTimeouts of all kinds; each is the first that comes.
func TestTimeouts(t *testing.T) {
	t.Parallel()
	mute := func(w http.ResponseWriter, r *http.Request, _ int) { <-r.Context().Done() }
	halting := func(w http.ResponseWriter, r *http.Request, _ int) {
		stream(w, chunk(`{"content":"Hel"}`, ""))
		<-r.Context().Done()
	}
	for name, test := range map[string]struct {
		answer  func(w http.ResponseWriter, r *http.Request, n int)
		change  func(*Client)
		message string
	}{
		"silent from the first": {mute, func(c *Client) { c.silence = time.Millisecond }, "The model sent nothing for too long"},
		"silent after a word":   {halting, func(c *Client) { c.silence = 50 * time.Millisecond }, "The model sent nothing for too long"},
		"the whole":             {halting, func(c *Client) { c.timeout = 50 * time.Millisecond }, "The model did not finish its answer in time"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := serve(t, test.answer)
			test.change(f.client)
			_, err := f.client.Stream(t.Context(), ask(OpenAI), func(Delta) error { return nil })
			require.Equal(t, services.Timeout, services.KindOf(err))
			require.ErrorContains(t, err, test.message)
			require.LessOrEqual(t, f.count(), 1, "what is slow is not asked again")
		})
	}
	f := serve(t, mute)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, err := f.client.Complete(ctx, ask(OpenAI))
	require.Equal(t, services.Timeout, services.KindOf(err))
}

// slowly gives one of its lines a minute.
type slowly struct{ lines []string }

func (s *slowly) Read(p []byte) (int, error) {
	if len(s.lines) == 0 {
		return 0, io.EOF
	}
	time.Sleep(time.Minute) // of a bubble
	n := copy(p, s.lines[0]+"\n")
	s.lines = s.lines[1:]
	return n, nil
}

// TestPatience: a server that says that it is alive is waited for, and a listener
// may take as long as they like; both within the whole.
func TestPatience(t *testing.T) {
	t.Parallel()
	lines := []string{": working", ": working", chunk(`{"content":"Hel"}`, ""), "", ": working", ": working", chunk(`{"content":"lo"}`, `"stop"`), ""}
	synctest.Test(t, func(t *testing.T) {
		c := &Client{silence: 90 * time.Second, timeout: time.Hour, pause: pause, doors: map[Provider]door{
			OpenAI: {Endpoint{OpenAI, "", "http://x", ""}, &http.Client{Transport: reads{&slowly{lines}}}},
		}}
		answer, err := c.Stream(t.Context(), ask(OpenAI), func(Delta) error { time.Sleep(10 * time.Minute); return nil })
		require.NoError(t, err)
		require.Equal(t, "Hello", answer.Text)
		c.timeout = 5 * time.Minute
		c.doors[OpenAI].http.Transport = reads{&slowly{lines}}
		_, err = c.Stream(t.Context(), ask(OpenAI), func(Delta) error { time.Sleep(10 * time.Minute); return nil })
		require.ErrorContains(t, err, "did not finish its answer in time")
	})
}

func TestSettings(t *testing.T) {
	t.Parallel()
	cfg, err := config.Parse[Config](config.Of(nil))
	require.NoError(t, err)
	for _, e := range cfg.endpoints() {
		require.Equal(t, e.own, e.URL)
		require.Empty(t, e.exceptions())
	}
	for url, want := range map[string]string{
		"http://localhost:11434/v1": "localhost:11434", "https://models.example.com/v1/": "models.example.com:443",
		"http://10.0.0.1": "10.0.0.1:80", "http://[::1]:8000/v1": "[::1]:8000",
	} {
		cfg, err := config.Parse[Config](config.Of(map[string]string{"UAOL_OPENAI_URL": url}))
		require.NoError(t, err, url)
		require.Equal(t, []string{want}, cfg.endpoints()[0].exceptions())
		client(t, map[string]string{"UAOL_OPENAI_URL": url})
	}
	for variable, values := range map[string][]string{
		"UAOL_OPENAI_URL":    {"localhost:11434", "ftp://x", "http://", "https://u:p@example.com", "https://example.com?key=x", "https://example.com#x"},
		"UAOL_GEMINI_URL":    {"x"},
		"UAOL_ANTHROPIC_URL": {"x"},
		"UAOL_MODEL_SILENCE": {"0s", "999ms", "-1s", "x"},
		"UAOL_MODEL_TIMEOUT": {"0s", "x"},
	} {
		for _, value := range values {
			_, err := config.Parse[Config](config.Of(map[string]string{variable: value}))
			var fault *config.Fault
			require.ErrorAs(t, err, &fault, value)
			require.Equal(t, variable, fault.Variable)
			require.NotContains(t, err.Error(), ":p@")
		}
	}
	for name, want := range map[string]Provider{"openai": OpenAI, "gemini": Gemini, "anthropic": Anthropic, "claude": Anthropic} {
		got, known := Named(name)
		require.True(t, known)
		require.Equal(t, want, got)
	}
	_, known := Named("OpenAI")
	require.False(t, known)
}
