package llm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"uaol/services"
)

const retryInfo = `{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"13s"}`

// gemini is an error as Google's endpoint writes it, a list of one.
func gemini(code int, status, message, details string) string {
	return fmt.Sprintf(`[{"error":{"code":%d,"message":%q,"status":%q,"details":[%s]}}]`, code, message, status, details)
}

func openAI(message, kind, code string) string {
	return fmt.Sprintf(`{"error":{"message":%q,"type":%q,"param":null,"code":%s}}`, message, kind, code)
}

func anthropic(kind, message string) string {
	return fmt.Sprintf(`{"type":"error","error":{"type":%q,"message":%q},"request_id":"req_1"}`, kind, message)
}

func TestFaults(t *testing.T) {
	t.Parallel()
	shown := "Incorrect API key provided: " + key[:8] + "****" + key[len(key)-4:] + ". Look at https://platform.openai.com/account/api-keys."
	either(t, func(t *testing.T, ask func(*Client, Request) (Answer, error)) {
		for name, test := range map[string]struct {
			provider Provider
			status   int
			body     string
			kind     services.Kind
			code     string
			message  string // a part
			attempts int    // 0 is 1
		}{
			"OpenAI's bad key":         {OpenAI, 401, openAI(shown, "invalid_request_error", `"invalid_api_key"`), services.Invalid, CodeKeyRefused, "store another with POST /api-keys", 0},
			"OpenAI's country":         {OpenAI, 403, openAI("Country, region, or territory not supported", "request_forbidden", `"unsupported_country_region_territory"`), services.Invalid, CodeKeyRefused, "refuses the API key or what it is used for", 0},
			"OpenAI's quota":           {OpenAI, 429, openAI("You exceeded your current quota, please check your plan and billing details.", "insufficient_quota", `"insufficient_quota"`), services.Invalid, CodeQuota, "see to its billing there", 0},
			"OpenAI's limit":           {OpenAI, 429, openAI("Rate limit reached for gpt-5", "tokens", `"rate_limit_exceeded"`), services.Limited, "", "takes no more requests for now", attempts},
			"OpenAI's context":         {OpenAI, 400, openAI("This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.", "invalid_request_error", `"context_length_exceeded"`), services.Invalid, CodeContext, "maximum context length is 8192", 0},
			"OpenAI's model":           {OpenAI, 404, openAI("The model `x` does not exist or you do not have access to it.", "invalid_request_error", `"model_not_found"`), services.Invalid, CodeUnknownModel, "has no model a-model for this key", 0},
			"OpenAI's request":         {OpenAI, 400, openAI("Invalid schema for function 'x'", "invalid_request_error", `"invalid_function_parameters"`), services.Invalid, CodeRequest, "does not take this request: Invalid schema for function 'x'", 0},
			"OpenAI's failure":         {OpenAI, 500, openAI("The server had an error", "server_error", "null"), services.Upstream, "", "failed: The server had an error", attempts},
			"OpenAI's overload":        {OpenAI, 503, openAI("Overloaded", "server_error", "null"), services.Unavailable, "", "is overloaded", attempts},
			"Gemini's bad key":         {Gemini, 400, gemini(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", `{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID","domain":"googleapis.com"}`), services.Invalid, CodeKeyRefused, "POST /api-keys", 0},
			"Gemini's bad key, bare":   {Gemini, 400, `{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT"}}`, services.Invalid, CodeKeyRefused, "POST /api-keys", 0},
			"Gemini's permission":      {Gemini, 403, gemini(403, "PERMISSION_DENIED", "Generative Language API has not been used", ""), services.Invalid, CodeKeyRefused, "", 0},
			"Gemini's limit":           {Gemini, 429, gemini(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota, please check your plan and billing details.", retryInfo), services.Limited, "", "", attempts},
			"Gemini's context":         {Gemini, 400, gemini(400, "INVALID_ARGUMENT", "The input token count (2000000) exceeds the maximum number of tokens allowed (1048576).", ""), services.Invalid, CodeContext, "", 0},
			"Gemini's model":           {Gemini, 404, gemini(404, "NOT_FOUND", "models/x is not found for API version v1main", ""), services.Invalid, CodeUnknownModel, "", 0},
			"Gemini's signature":       {Gemini, 400, gemini(400, "INVALID_ARGUMENT", "Function call is missing a thought_signature in functionCall parts.", ""), services.Invalid, CodeRequest, "thought_signature", 0},
			"Gemini's overload":        {Gemini, 503, gemini(503, "UNAVAILABLE", "The model is overloaded. Please try again later.", ""), services.Unavailable, "", "", attempts},
			"Anthropic's bad key":      {Anthropic, 401, anthropic("authentication_error", "invalid x-api-key"), services.Invalid, CodeKeyRefused, "", 0},
			"Anthropic's bad key too":  {Anthropic, 401, `{"error":{"code":"authentication_error","message":"Invalid bearer token","type":"authentication_error","param":null}}`, services.Invalid, CodeKeyRefused, "", 0},
			"Anthropic's permission":   {Anthropic, 403, anthropic("permission_error", "Your API key does not have permission"), services.Invalid, CodeKeyRefused, "", 0},
			"Anthropic's credit":       {Anthropic, 400, anthropic("invalid_request_error", "Your credit balance is too low to access the Anthropic API."), services.Invalid, CodeQuota, "", 0},
			"Anthropic's limit":        {Anthropic, 429, anthropic("rate_limit_error", "This request would exceed your rate limit"), services.Limited, "", "", attempts},
			"Anthropic's context":      {Anthropic, 400, anthropic("invalid_request_error", "prompt is too long: 205000 tokens > 200000 maximum"), services.Invalid, CodeContext, "", 0},
			"Anthropic's size":         {Anthropic, 413, anthropic("request_too_large", "Request exceeds the maximum allowed number of bytes."), services.Invalid, CodeContext, "", 0},
			"Anthropic's model":        {Anthropic, 404, anthropic("not_found_error", "model: x"), services.Invalid, CodeUnknownModel, "", 0},
			"Anthropic's overload":     {Anthropic, 529, anthropic("overloaded_error", "Overloaded"), services.Unavailable, "", "", attempts},
			"Anthropic's failure":      {Anthropic, 500, anthropic("api_error", "Internal server error"), services.Upstream, "", "", attempts},
			"Ollama's model":           {OpenAI, 404, `{"error":{"message":"model \"x\" not found, try pulling it first","type":"api_error","param":null,"code":null}}`, services.Invalid, CodeUnknownModel, "try pulling it first", 0},
			"Ollama's text":            {OpenAI, 400, `{"error":"x does not support tools"}`, services.Invalid, CodeRequest, "x does not support tools", 0},
			"vLLM's request":           {OpenAI, 400, `{"object":"error","message":"max_tokens must be at least 1","type":"BadRequestError","param":null,"code":400}`, services.Invalid, CodeRequest, "max_tokens must be", 0},
			"a bill":                   {OpenAI, 402, ``, services.Invalid, CodeQuota, "", 0},
			"another address":          {OpenAI, 404, `<html>nothing here</html>`, services.Upstream, "", "an operator sets UAOL_OPENAI_URL", 0},
			"another method":           {OpenAI, 405, ``, services.Upstream, "", "UAOL_OPENAI_URL", 0},
			"a gateway's page":         {OpenAI, 502, `<html>bad gateway</html>`, services.Upstream, "", "failed", attempts},
			"a gateway's time":         {OpenAI, 504, ``, services.Timeout, "", "did not answer in time", attempts},
			"a request's time":         {OpenAI, 408, ``, services.Timeout, "", "", attempts},
			"an unknown status":        {OpenAI, 418, `[]`, services.Invalid, CodeRequest, "", 0},
			"no answer":                {OpenAI, 204, ``, services.Upstream, "", "", -1},
			"an error with status 200": {OpenAI, 200, `{"error":{"message":"Provider returned error","code":502}}`, services.Upstream, "", "", -1},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				f := serve(t, func(w http.ResponseWriter, _ *http.Request, _ int) { say(w, test.status, test.body) })
				in := conversation(test.provider)
				_, err := ask(f.client, in)
				require.Equal(t, test.kind, services.KindOf(err), "%v", err)
				var e *services.Error
				require.ErrorAs(t, err, &e)
				if test.attempts >= 0 {
					require.Equal(t, test.code, e.Code)
					require.Contains(t, e.Message, test.message)
					require.Len(t, f.requests, max(test.attempts, 1))
					details, ok := e.Details.(Details)
					require.True(t, ok)
					require.Equal(t, test.provider, details.Provider)
					require.Equal(t, test.status, details.Status)
				}
				keyless(t, err)
			})
		}
	})
}

// keyless fails when any part of the key is in an error, its details or its cause.
func keyless(t *testing.T, err error) {
	t.Helper()
	text := fmt.Sprintf("%v %+v %#v", err, err, err)
	var e *services.Error
	if errors.As(err, &e) {
		details, _ := json.Marshal(e.Details)
		text += e.Message + string(details)
	}
	for i := 0; i+window <= len(key); i++ {
		require.NotContains(t, text, key[i:i+window])
	}
}

func TestPlatformKeyIsTheOperators(t *testing.T) {
	t.Parallel()
	f := serve(t, func(w http.ResponseWriter, _ *http.Request, _ int) { say(w, 401, `{}`) })
	in := ask(OpenAI)
	in.Platform = true
	_, err := f.client.Complete(t.Context(), in)
	require.ErrorContains(t, err, "store a key of your own with POST /api-keys, or ask an operator")
}

func TestLimitedSaysWhenToComeBack(t *testing.T) {
	t.Parallel()
	f := serve(t, func(w http.ResponseWriter, _ *http.Request, _ int) {
		w.Header().Set("Retry-After", time.Now().Add(90*time.Second).UTC().Format(http.TimeFormat))
		say(w, 429, `{}`)
	})
	_, err := f.client.Complete(t.Context(), ask(OpenAI))
	var e *services.Error
	require.ErrorAs(t, err, &e)
	require.InDelta(t, 90, e.Details.(Details).RetryAfter, 2)
	text, err := json.Marshal(e.Details)
	require.NoError(t, err)
	require.Contains(t, string(text), `"retryAfterSeconds":`, "which the API puts into a header")
	require.Empty(t, f.waits)
	for value, want := range map[string]time.Duration{"": 0, "x": 0, "-1": 0, "0.5": 500 * time.Millisecond, "1e300": 0, "NaN": 0, "Mon, 02 Jan 2006 15:04:05 GMT": 0} {
		require.Equal(t, want, retryAfter(http.Header{"Retry-After": {value}}, time.Now()), value)
	}
}

// TestFaultsInAStream come after its status was fine.
func TestFaultsInAStream(t *testing.T) {
	t.Parallel()
	word := chunk(`{"content":"Hel"}`, "")
	for name, test := range map[string]struct {
		events []string
		kind   services.Kind
		code   string
	}{
		"OpenAI's":        {[]string{word, `data: {"error":{"message":"Rate limit reached for ` + key + `","type":"tokens","code":"rate_limit_exceeded"}}`}, services.Limited, ""},
		"Anthropic's":     {[]string{word, "event: error\ndata: " + anthropic("overloaded_error", "Overloaded "+key)}, services.Unavailable, ""},
		"Gemini's":        {[]string{word, "data: " + gemini(503, "UNAVAILABLE", "overloaded", "")}, services.Unavailable, ""},
		"a defect's":      {[]string{word, `data: {"error":{"message":"` + key + ` failed","type":"server_error"}}`}, services.Upstream, ""},
		"garbage":         {[]string{word, `data: {"choices":[{"delta":{"content":`}, services.Upstream, ""},
		"another type":    {[]string{word, `data: {"choices":"x"}`}, services.Upstream, ""},
		"the end":         {[]string{word}, services.Upstream, CodeCut},
		"only [DONE]":     {[]string{word, done}, services.Upstream, CodeCut},
		"too many blanks": {[]string{word, strings.Repeat(":\n", 400)}, services.Unavailable, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := serve(t, func(w http.ResponseWriter, _ *http.Request, _ int) { stream(w, test.events...) })
			answer, err := f.client.Stream(t.Context(), ask(OpenAI), func(Delta) error { return nil })
			require.Equal(t, test.kind, services.KindOf(err), "%v", err)
			var e *services.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, test.code, e.Code)
			require.Equal(t, "Hel", answer.Text)
			require.Len(t, f.requests, 1)
			keyless(t, err)
		})
	}
}

func TestTooLarge(t *testing.T) {
	t.Parallel()
	word := strings.Repeat("x", 1<<20)
	piece := chunk(`{"content":"`+word+`"}`, "")
	call := chunk(`{"tool_calls":[{"index":0,"function":{"arguments":"`+word+`"}}]}`, "")
	calls := chunk(`{"tool_calls":[`+strings.TrimSuffix(strings.Repeat(`{"id":"","function":{"name":"x","arguments":"{}"}},`, maxCalls+1), ",")+`]}`, "")
	for name, events := range map[string][]string{
		"text": {piece, piece, piece, piece, piece}, "arguments": {call, call, call, call, call}, "calls": {calls},
		"one line": {"data: " + strings.Repeat(word, 33)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := serve(t, func(w http.ResponseWriter, _ *http.Request, _ int) { stream(w, events...) })
			_, err := f.client.Stream(t.Context(), ask(OpenAI), func(Delta) error { return nil })
			var e *services.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, CodeTooLarge, e.Code)
			require.Len(t, f.requests, 1)
		})
	}
	f := serve(t, func(w http.ResponseWriter, _ *http.Request, _ int) {
		say(w, 200, `{"choices":[{"message":{"content":"`+strings.Repeat(word, 5)+`"},"finish_reason":"stop"}]}`)
	})
	_, err := f.client.Complete(t.Context(), ask(OpenAI))
	require.ErrorContains(t, err, "too large")
}

// TestInternalAddresses: only an operator's setting leads to one. A caller can
// name no address; a provider's name that resolves inside, or its redirect, does
// not lead there either.
func TestInternalAddresses(t *testing.T) {
	t.Parallel()
	hits := 0
	trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits++ }))
	t.Cleanup(trap.Close)
	_, port, err := net.SplitHostPort(trap.Listener.Addr().String())
	require.NoError(t, err)

	c := client(t, map[string]string{"UAOL_GEMINI_URL": trap.URL})
	door := c.doors[OpenAI]
	door.URL = "http://localhost:" + port // as if the provider's name led there
	c.doors[OpenAI] = door
	either := []func(Request) error{
		func(in Request) error { _, err := c.Complete(t.Context(), in); return err },
		func(in Request) error {
			_, err := c.Stream(t.Context(), in, func(Delta) error { return nil })
			return err
		},
	}
	for _, ask1 := range either {
		err := ask1(ask(OpenAI))
		var e *services.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, services.Upstream, e.Kind)
		require.Equal(t, CodeAddressRefused, e.Code)
		require.NotContains(t, e.Message, port, "people learn nothing of addresses")
	}
	require.Zero(t, hits, "another provider's exception is not this one's")

	f := serve(t, func(w http.ResponseWriter, r *http.Request, _ int) {
		http.Redirect(w, r, trap.URL, http.StatusTemporaryRedirect)
	})
	_, err = f.client.Complete(t.Context(), ask(OpenAI))
	require.Equal(t, services.Upstream, services.KindOf(err))
	require.Zero(t, hits, "the key goes nowhere else")
	_, err = c.Complete(t.Context(), ask(Gemini))
	require.Error(t, err)
	require.Equal(t, 1, hits, "what an operator set is called")

	f = serve(t, func(w http.ResponseWriter, r *http.Request, _ int) {
		http.Redirect(w, r, f.url+"/v1/chat/completions", http.StatusTemporaryRedirect)
	})
	_, err = f.client.Complete(t.Context(), ask(OpenAI))
	require.ErrorContains(t, err, "an operator sets UAOL_OPENAI_URL")
	require.Len(t, f.requests, 1, "not even on the same host")
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	f := serve(t, func(http.ResponseWriter, *http.Request, int) {})
	c := client(t, map[string]string{"UAOL_OPENAI_URL": "http://" + listener.Addr().String()})
	c.pause = f.client.pause
	_, err = c.Complete(t.Context(), ask(OpenAI))
	require.Equal(t, services.Unavailable, services.KindOf(err))
	require.ErrorContains(t, err, "can't be reached: connection refused")
	require.Len(t, f.waits, attempts-1)
}

// TestKeysAreNotPrinted whoever prints a request, and with what.
func TestKeysAreNotPrinted(t *testing.T) {
	t.Parallel()
	in := ask(OpenAI)
	text := fmt.Sprint(in.Access, &in.Access, in.Key)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		text += fmt.Sprintf(verb, in) + fmt.Sprintf(verb, in.Key)
	}
	var log bytes.Buffer
	logger := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(&log), zap.DebugLevel))
	logger.Info("x", zap.Any("access", in.Access), zap.Any("request", in), zap.Any("key", in.Key), zap.Stringer("p", stringer{in}))
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "access", in.Access, "key", in.Key)
	text += log.String()
	require.Contains(t, text, "[secret]")
	require.NotContains(t, text, key)
	require.NotContains(t, text, fmt.Sprintf("%x", key))
	wire, err := json.Marshal(in.Access)
	require.NoError(t, err)
	var back Access
	require.NoError(t, json.Unmarshal(wire, &back))
	require.Equal(t, in.Access, back, "between services it has to be there")
}

type stringer struct{ in Request }

func (s stringer) String() string { return fmt.Sprint(s.in) }

func TestWordsOfOthers(t *testing.T) {
	t.Parallel()
	w := newWire(door{}, ask(OpenAI), 0)
	for text, want := range map[string]string{
		"":                                 "",
		"a task-based\n\tplan\x00\u202e x": ": a task-based plan x",
		"key " + key[3:12] + "… is bad":    ": key [secret] is bad",
		"sk-other and AIzaSyX and ab***cd": ": [secret] and [secret] and [secret]",
		strings.Repeat("y ", 400):          ": " + strings.Repeat("y ", 150) + "…",
		"\xff\xfe":                         "",
	} {
		require.Equal(t, want, w.words(text))
	}
	w.in.Key = "x"
	require.Equal(t, ": [secret] fox", w.words(`"x" fox`), "a key of a local server may be short")
}

// reads answers a request with what is read from it, until the request ends.
type reads struct{ from io.Reader }

func (a reads) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: body{r.Context(), a.from}, Request: r}, nil
}

type body struct {
	ctx  context.Context
	from io.Reader
}

func (b body) Read(p []byte) (int, error) {
	if b.ctx.Err() != nil {
		return 0, b.ctx.Err()
	}
	return b.from.Read(p)
}

func (body) Close() error { return nil }

// FuzzAnswer: whatever a provider sends, there is an answer or an error with a
// kind that is not our defect, and neither has the key unless it was said as text.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		chunk(`{"content":"Hel"}`, "") + "\n\n" + chunk(`{}`, `"stop"`) + "\n\n" + usage + "\n\n" + done + "\n",
		chunk(`{"tool_calls":[{"index":0,"id":"a","function":{"name":"x","arguments":"{"}}]}`, "") + "\n" + chunk(`{"tool_calls":[{"index":0,"function":{"arguments":"}"}}]}`, `"tool_calls"`) + "\n",
		"data: " + gemini(503, "UNAVAILABLE", "overloaded "+key, retryInfo) + "\n\n",
		"event: error\ndata: " + anthropic("overloaded_error", key) + "\n\n",
		`{"choices":[{"message":{"content":"x","tool_calls":[{"extra_content":{"google":{"thought_signature":"U2ln"}}}]}}]}`,
		openAI("x", "y", "1"), "data: {\"error\":\n\n", "data: [DONE]\n", "",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		c := client(t, nil)
		c.pause = func(context.Context, time.Duration) error { return nil }
		in, said := conversation(Gemini), 0
		c.doors[Gemini].http.Transport = reads{strings.NewReader(body)}
		a, errA := c.Complete(t.Context(), in)
		c.doors[Gemini].http.Transport = reads{strings.NewReader(body)}
		b, errB := c.Stream(t.Context(), in, func(d Delta) error { said += len(d.Text); return nil })
		if said != len(b.Text) {
			t.Fatalf("%d bytes were handed on, %d are in the answer", said, len(b.Text))
		}
		for i, err := range []error{errA, errB} {
			if err != nil {
				if services.KindOf(err) == services.Internal {
					t.Fatalf("a defect: %v", err)
				}
				keyless(t, err)
				continue
			}
			for _, call := range []Answer{a, b}[i].ToolCalls {
				if call.ID == "" {
					t.Fatal("a call without an id")
				}
			}
		}
	})
}
