package embeddings

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
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
	"uaol/services"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const key = "sk-proj-Zq8vN3tR5wX7yB2cD4fG6hJ9"

// asked is a request as OpenAI reads it.
type asked struct {
	Model      string   `json:"model"`
	Input      []string `json:"input"`
	Dimensions *int     `json:"dimensions"`
}

// fake is an endpoint on loopback.
type fake struct {
	client *Client
	mu     sync.Mutex
	asked  []asked
}

// serve answers the n-th request (from 0).
func serve(t testing.TB, settings map[string]string, reply func(w http.ResponseWriter, in asked, n int)) *fake {
	t.Helper()
	f := &fake{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != "/v1/embeddings" || r.Header.Get("Content-Type") != "application/json" || r.Header.Get("Authorization") != "Bearer "+key {
			t.Errorf("%s %s is no request for vectors", r.Method, r.URL)
		}
		var in asked
		if body, err := io.ReadAll(r.Body); err != nil || json.Unmarshal(body, &in) != nil {
			t.Errorf("%v: %s", err, body)
		}
		f.mu.Lock()
		n := len(f.asked)
		f.asked = append(f.asked, in)
		f.mu.Unlock()
		reply(w, in, n)
	}))
	t.Cleanup(server.Close)
	all := map[string]string{"UAOL_EMBEDDINGS_URL": server.URL + "/v1", "UAOL_EMBEDDINGS_MODEL": "a-model", "UAOL_EMBEDDINGS_KEY": key}
	for name, value := range settings {
		all[name] = value
	}
	f.client = client(t, all)
	return f
}

func client(t testing.TB, settings map[string]string) *Client {
	t.Helper()
	cfg, err := config.Parse[Config](config.Of(settings))
	require.NoError(t, err)
	policy, err := egress.New(egress.Config{})
	require.NoError(t, err)
	c, err := New(cfg, policy)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// number is what the fake makes of a text: its first two numbers.
func number(text string) []float32 {
	var a, b float32
	_, _ = fmt.Sscanf(text, "%g %g", &a, &b)
	return []float32{a, b, 1}
}

// item is a vector as OpenAI writes it.
func item(index int, vector string) string {
	return fmt.Sprintf(`{"object":"embedding","index":%d,"embedding":%s}`, index, vector)
}

func items(all ...string) string {
	return `{"object":"list","data":[` + strings.Join(all, ",") + `],"model":"a-model","usage":{"prompt_tokens":8,"total_tokens":8}}`
}

// answers are the vectors of a request, the last one first: the index says which is which.
func answers(in asked) string {
	var all []string
	for i := len(in.Input) - 1; i >= 0; i-- {
		v, _ := json.Marshal(number(in.Input[i]))
		all = append(all, item(i, string(v)))
	}
	return items(all...)
}

func say(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

func TestOrderAndPortions(t *testing.T) {
	t.Parallel()
	f := serve(t, nil, func(w http.ResponseWriter, in asked, _ int) { say(w, 200, answers(in)) })
	var texts []string
	for i := range 250 {
		texts = append(texts, fmt.Sprintf("%d %g", i, float64(i)/3))
	}
	vectors, err := f.client.Embed(t.Context(), texts)
	require.NoError(t, err)
	require.Len(t, vectors, len(texts))
	for i, v := range vectors {
		require.Equal(t, number(texts[i]), v)
	}
	var sizes []int
	for _, in := range f.asked {
		require.Equal(t, "a-model", in.Model)
		require.Nil(t, in.Dimensions)
		sizes = append(sizes, len(in.Input))
	}
	require.Equal(t, []int{96, 96, 58}, sizes)
	require.Equal(t, "custom/a-model", f.client.Model())

	long := "7 8 " + strings.Repeat("x", 90_000)
	vectors, err = f.client.Embed(t.Context(), []string{long, long, long, long + long + long, "1 2"})
	require.NoError(t, err)
	require.Equal(t, [][]float32{{7, 8, 1}, {7, 8, 1}, {7, 8, 1}, {7, 8, 1}, {1, 2, 1}}, vectors)
	sizes = nil
	for _, in := range f.asked[3:] {
		sizes = append(sizes, len(in.Input))
	}
	require.Equal(t, []int{2, 1, 1, 1}, sizes, "bytes are bounded too, but one text is always sent")

	none, err := f.client.Embed(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, none)
	_, err = f.client.Embed(t.Context(), []string{"1", " \n"})
	require.Equal(t, services.Invalid, services.KindOf(err))
	require.Len(t, f.asked, 7, "nothing was asked for that")
}

func TestDimension(t *testing.T) {
	t.Parallel()
	f := serve(t, map[string]string{"UAOL_EMBEDDINGS_DIMENSION": "3"}, func(w http.ResponseWriter, in asked, n int) {
		if n == 0 {
			say(w, 200, answers(in))
			return
		}
		say(w, 200, items(item(0, "[1,2]")))
	})
	require.Equal(t, "custom/a-model/3", f.client.Model())
	_, err := f.client.Embed(t.Context(), []string{"1"})
	require.NoError(t, err)
	require.Equal(t, 3, *f.asked[0].Dimensions)
	_, err = f.client.Embed(t.Context(), []string{"1"})
	require.ErrorContains(t, err, "2 numbers in a vector, and not 3")
}

func TestWhatPassesIsTriedAgain(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(w http.ResponseWriter){
		"429": func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", "2")
			say(w, 429, `{"error":{"message":"Rate limit reached","type":"tokens","param":null,"code":"rate_limit_exceeded"}}`)
		},
		"500": func(w http.ResponseWriter) {
			say(w, 500, `{"error":{"message":"The server had an error","type":"server_error","param":null,"code":null}}`)
		},
		"503": func(w http.ResponseWriter) { say(w, 503, "") },
		"cut": func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "1000")
			say(w, 200, `{"object":"list","data":[`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := serve(t, nil, func(w http.ResponseWriter, in asked, n int) {
				if n == 0 {
					fail(w)
					return
				}
				say(w, 200, answers(in))
			})
			begun := time.Now()
			vectors, err := f.client.Embed(t.Context(), []string{"1 2"})
			require.NoError(t, err)
			require.Equal(t, [][]float32{{1, 2, 1}}, vectors)
			require.Len(t, f.asked, 2)
			if name == "429" {
				require.GreaterOrEqual(t, time.Since(begun), 2*time.Second, "it waits as long as it is told")
			}
		})
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	good := item(0, "[1,2]")
	for name, test := range map[string]struct {
		status int
		body   string
		kind   services.Kind
		says   string
	}{
		"too few":         {200, items(good), services.Upstream, "1 vectors for 2 texts"},
		"too many":        {200, items(good, item(1, "[1,2]"), item(2, "[1,2]")), services.Upstream, "3 vectors for 2 texts"},
		"one twice":       {200, items(good, good), services.Upstream, "of a text 0"},
		"of no text":      {200, items(good, item(2, "[1,2]")), services.Upstream, "of a text 2"},
		"negative":        {200, items(good, item(-1, "[1,2]")), services.Upstream, "of a text -1"},
		"lengths":         {200, items(good, item(1, "[1,2,3]")), services.Upstream, "3 numbers in a vector, and not 2"},
		"zero":            {200, items(good, item(1, "[0,-0.0]")), services.Upstream, "all zero"},
		"empty":           {200, items(good, item(1, "[]")), services.Upstream, "numbers are missing"},
		"null":            {200, items(good, item(1, "null")), services.Upstream, "all zero"},
		"null among them": {200, items(good, item(1, "[1,null]")), services.Upstream, "numbers are missing"},
		"NaN":             {200, items(good, item(1, "[1,NaN]")), services.Upstream, "not understood"},
		"infinite":        {200, items(good, item(1, "[1,1e39]")), services.Upstream, "too large"},
		"a text":          {200, items(good, item(1, `"AAAA"`)), services.Upstream, "numbers are missing"},
		"huge vector":     {200, items(good, item(1, "["+strings.Repeat("1,", mostNumbers)+"1]")), services.Upstream, "too large"},
		"huge answer":     {200, items(good, item(1, "[1,"+strings.Repeat(" ", 33<<20)+"2]")), services.Upstream, "too large"},
		"no list":         {200, `{"data":7}`, services.Upstream, "not understood"},
		"nothing":         {200, ``, services.Upstream, "without an answer"},
		"status 200":      {200, `{"error":{"message":"Provider returned error","code":502}}`, services.Upstream, "Provider returned error"},
		"refused key":     {401, `{"error":{"message":"Incorrect API key provided: ` + key + `.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}`, services.Invalid, "an operator sets UAOL_EMBEDDINGS_KEY"},
		"key in words":    {400, `{"error":{"message":"what is ` + key + `?"}}`, services.Invalid, "[secret]"},
		"unknown model":   {404, `{"error":{"message":"The model 'a-model' does not exist","type":"invalid_request_error","param":null,"code":"model_not_found"}}`, services.Invalid, "has no model a-model"},
		"too long a text": {400, `{"error":{"message":"This model's maximum context length is 8192 tokens, however you requested 9000 tokens","type":"invalid_request_error","param":null,"code":null}}`, services.Invalid, "more than the model"},
		"come back later": {429, `{"error":{"message":"Rate limit reached","code":"rate_limit_exceeded"}}`, services.Limited, "no more requests"},
		"another address": {404, `<html>`, services.Upstream, "an operator sets UAOL_EMBEDDINGS_URL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := serve(t, nil, func(w http.ResponseWriter, _ asked, _ int) {
				w.Header().Set("Retry-After", "3600")
				say(w, test.status, test.body)
			})
			vectors, err := f.client.Embed(t.Context(), []string{"1", "2"})
			require.Nil(t, vectors)
			require.Equal(t, test.kind, services.KindOf(err), "%v", err)
			require.ErrorContains(t, err, test.says)
			if test.status != 200 {
				require.Len(t, f.asked, 1, "it would have to wait for an hour")
			}
			keyless(t, f.client, err)
		})
	}
}

// keyless fails when a part of the key can be read anywhere.
func keyless(t *testing.T, client *Client, err error) {
	t.Helper()
	text := fmt.Sprintf("%v %+v %#v %v %+v %#v", err, err, err, client, client, client)
	var e *services.Error
	if errors.As(err, &e) {
		details, _ := json.Marshal(e.Details)
		text += e.Message + string(details)
	}
	require.NotContains(t, text, key[3:11])
	require.NotContains(t, text, key[len(key)-8:])
}

// TestLaterPortions: vectors of two lengths are never handed out together, and what
// fails in the end fails as a whole.
func TestLaterPortions(t *testing.T) {
	t.Parallel()
	texts := make([]string, mostTexts+1)
	for i := range texts {
		texts[i] = "1 2"
	}
	for body, says := range map[string]string{
		items(item(0, "[1,2]")): "3 numbers in one vector and 2 in another",
		items():                 "0 vectors for 1 texts",
	} {
		f := serve(t, nil, func(w http.ResponseWriter, in asked, n int) {
			if n == 0 {
				say(w, 200, answers(in))
				return
			}
			say(w, 200, body)
		})
		vectors, err := f.client.Embed(t.Context(), texts)
		require.ErrorContains(t, err, says)
		require.Nil(t, vectors)
	}
}

func TestTime(t *testing.T) {
	t.Parallel()
	over := make(chan struct{})
	f := serve(t, map[string]string{"UAOL_EMBEDDINGS_TIMEOUT": "1s"}, func(w http.ResponseWriter, _ asked, _ int) {
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
		<-over
	})
	_, err := f.client.Embed(t.Context(), []string{"1"})
	close(over)
	require.Equal(t, services.Timeout, services.KindOf(err), "%v", err)
}

func TestWithoutAModel(t *testing.T) {
	t.Parallel()
	for _, settings := range []map[string]string{{}, {"EMBEDDINGS_PROVIDER": "none", "UAOL_EMBEDDINGS_URL": "http://localhost:1"}} {
		c := client(t, settings)
		require.Empty(t, c.Model())
		_, err := c.Embed(t.Context(), []string{"1"})
		require.Equal(t, services.Unconfigured, services.KindOf(err))
	}
}

// TestPrivateAddresses: only an operator's own word opens one.
func TestPrivateAddresses(t *testing.T) {
	t.Parallel()
	f := serve(t, map[string]string{"UAOL_EMBEDDINGS_URL": "", "UAOL_OPENAI_URL": "", "EMBEDDINGS_PROVIDER": "openai"}, nil)
	require.Equal(t, "openai/a-model", f.client.Model())

	closed, err := egress.New(egress.Config{Deny: []string{"127.0.0.1"}})
	require.NoError(t, err)
	cfg, err := config.Parse[Config](config.Of(map[string]string{"UAOL_EMBEDDINGS_URL": "http://127.0.0.1:1/v1", "UAOL_EMBEDDINGS_MODEL": "m"}))
	require.NoError(t, err)
	c, err := New(cfg, closed)
	require.NoError(t, err)
	_, err = c.Embed(t.Context(), []string{"1"})
	require.ErrorContains(t, err, "its address is closed to this server")
}

func TestNumbersAreFloats(t *testing.T) {
	t.Parallel()
	var v vector
	require.NoError(t, json.Unmarshal([]byte(" [ 1, -2.5e-3 ,3.4028234e38, 1e-50 ] "), &v))
	require.Equal(t, vector{1, -2.5e-3, math.MaxFloat32, 0}, v)
}
