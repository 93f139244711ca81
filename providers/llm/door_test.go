package llm

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"uaol/providers/config"
	"uaol/providers/egress"
	"uaol/services"
)

// doorTo is a Door to an address that an operator set; pauses are not waited for.
func doorTo(t testing.TB, url string, timeout time.Duration) *Door {
	t.Helper()
	policy, err := egress.New(egress.Config{})
	require.NoError(t, err)
	cfg, err := config.Parse[Config](config.Of(nil))
	require.NoError(t, err)
	at := cfg.Endpoint(OpenAI).At("UAOL_TEST_URL", url)
	require.NoError(t, at.Check())
	d, err := NewDoor(at, policy, timeout)
	require.NoError(t, err)
	d.pause = func(context.Context, time.Duration) error { return nil }
	t.Cleanup(d.Close)
	return d
}

func called(text string) Call {
	return Call{
		Access: Access{Provider: OpenAI, Key: key, Model: "a-model"}, Path: "things", Type: "application/json", Length: int64(len(text)),
		Body: func() (io.Reader, error) { return strings.NewReader(text), nil },
	}
}

func TestDoor(t *testing.T) {
	t.Parallel()
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, r.Method+" "+r.URL.Path+" "+r.Header.Get("Content-Type")+" "+r.Header.Get("Authorization")+" "+string(body))
		if len(got) == 1 {
			say(w, 503, `{"error":{"message":"Overloaded"}}`)
			return
		}
		say(w, 200, `{"a":1}`)
	}))
	t.Cleanup(server.Close)
	var answer struct{ A int }
	require.NoError(t, doorTo(t, server.URL+"/v1/", time.Minute).JSON(t.Context(), called(`{"b":2}`), &answer))
	require.Equal(t, 1, answer.A)
	want := "POST /v1/things application/json Bearer " + key + ` {"b":2}`
	require.Equal(t, []string{want, want}, got, "the body is sent anew")
}

func TestDoorsFaults(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a key was carried on") }))
	t.Cleanup(elsewhere.Close)
	for name, test := range map[string]struct {
		answer  http.HandlerFunc
		kind    services.Kind
		message string
	}{
		"refused key": {func(w http.ResponseWriter, _ *http.Request) {
			say(w, 401, openAI("Incorrect "+key, "x", `"invalid_api_key"`))
		}, services.Invalid, "set MY_KEY"},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		}, services.Upstream, "an operator sets UAOL_TEST_URL"},
		"status 200": {func(w http.ResponseWriter, _ *http.Request) { say(w, 200, `{"error":{"message":"no","code":502}}`) }, services.Upstream, "failed: no"},
		"garbage":    {func(w http.ResponseWriter, _ *http.Request) { say(w, 200, `{"a":`) }, services.Upstream, "not understood"},
		"nothing":    {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) }, services.Upstream, "without an answer"},
		"too much":   {func(w http.ResponseWriter, _ *http.Request) { say(w, 200, strings.Repeat(" ", maxWire+1)) }, services.Upstream, "too large"},
		"cut": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			say(w, 200, `{"a":1`)
		}, services.Upstream, "cut off"},
		"slow": {func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // or the server does not notice that nobody waits
			<-r.Context().Done()
		}, services.Timeout, "in time"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(test.answer)
			t.Cleanup(server.Close)
			timeout := time.Minute
			if name == "slow" {
				timeout = 50 * time.Millisecond
			}
			call := called("{}")
			call.Fix = "set MY_KEY"
			var answer struct{ A int }
			err := doorTo(t, server.URL, timeout).JSON(t.Context(), call, &answer)
			require.Equal(t, test.kind, services.KindOf(err), "%v", err)
			require.ErrorContains(t, err, test.message)
			keyless(t, err)
		})
	}
}

func TestDoorsBodies(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	t.Cleanup(server.Close)
	mine := errors.New("mine")
	for name, body := range map[string]func() (io.Reader, error){
		"none":   func() (io.Reader, error) { return nil, mine },
		"broken": func() (io.Reader, error) { return io.MultiReader(strings.NewReader("{"), broken{mine}), nil },
	} {
		call := called("{}")
		call.Body, call.Length = body, 0
		require.Equal(t, mine, doorTo(t, server.URL, time.Minute).JSON(t.Context(), call, nil), name)
	}
}

type broken struct{ error }

func (b broken) Read([]byte) (int, error) { return 0, b.error }
