package ocr

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"uaol/providers/config"
	"uaol/providers/egress"
	"uaol/services/storage/documents"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var _ documents.Reader = (*Reader)(nil)

const (
	key     = "sk-proj-Zq8vN3tR5wX7yB2cD4fG6hJ9"
	picture = "\x89PNG\r\n\x1a\n of words"
)

// reader asks a server on loopback; "here" in settings is its address.
func reader(t testing.TB, settings map[string]string, reply http.HandlerFunc) *Reader {
	t.Helper()
	server := httptest.NewServer(reply)
	t.Cleanup(server.Close)
	for name, value := range settings {
		settings[name] = strings.ReplaceAll(value, "here", server.URL)
	}
	cfg, err := config.Parse[Config](config.Of(settings))
	require.NoError(t, err)
	policy, err := egress.New(egress.Config{})
	require.NoError(t, err)
	r, err := New(cfg, policy)
	require.NoError(t, err)
	t.Cleanup(r.Close)
	return r
}

func say(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// completion is an answer as OpenAI writes it.
func completion(text, reason string) string {
	content, _ := json.Marshal(text)
	return fmt.Sprintf(`{"id":"c","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":%s,"refusal":null},"finish_reason":%q}],"usage":{"prompt_tokens":1,"completion_tokens":1}}`, content, reason)
}

func TestModel(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]string{
		"Invoice 17\nTotal: 4 EUR\n":             "Invoice 17\nTotal: 4 EUR",
		"```\nInvoice 17\n```":                   "Invoice 17",
		"```text\nInvoice 17\n\nTotal\n```\n":    "Invoice 17\n\nTotal",
		"[no text]":                              "",
		"":                                       "",
		"```go\nfunc main() {}\n```\nis Go code": "```go\nfunc main() {}\n```\nis Go code",
	} {
		r := reader(t, map[string]string{"UAOL_OCR_MODEL": "sees", "UAOL_OCR_URL": "here/v1", "UAOL_OCR_KEY": key}, func(w http.ResponseWriter, r *http.Request) {
			var in struct {
				Model    string
				Messages []struct {
					Role    string
					Content []struct {
						Type, Text string
						Image      struct{ URL string } `json:"image_url"`
					}
				}
			}
			if err := json.NewDecoder(r.Body).Decode(&in); err != nil || r.URL.Path != "/v1/chat/completions" || r.Header.Get("Authorization") != "Bearer "+key ||
				in.Model != "sees" || len(in.Messages) != 1 || in.Messages[0].Role != "user" || len(in.Messages[0].Content) != 2 || in.Messages[0].Content[0].Type != "text" || in.Messages[0].Content[1].Type != "image_url" {
				t.Errorf("%s: %v: %+v", r.URL, err, in)
			}
			image, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(in.Messages[0].Content[1].Image.URL, "data:image/png;base64,"))
			if err != nil || string(image) != picture {
				t.Errorf("%v: %q", err, image)
			}
			say(w, 200, completion(said, "stop"))
		})
		text, err := r.Read(t.Context(), []byte(picture))
		require.NoError(t, err)
		require.Equal(t, want, text)
	}
}

func TestVision(t *testing.T) {
	t.Parallel()
	answer := `{"responses":[{"textAnnotations":[{"locale":"de","description":"Rechnung"}],"fullTextAnnotation":{"pages":[],"text":"Rechnung 17\n"}}]}`
	r := reader(t, map[string]string{"GOOGLE_CLOUD_VISION_API_KEY": key, "UAOL_VISION_URL": "here/v1"}, func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Requests []struct {
				Image    struct{ Content []byte }
				Features []struct{ Type string }
			}
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || r.URL.Path != "/v1/images:annotate" || r.URL.RawQuery != "" || r.Header.Get("X-Goog-Api-Key") != key || r.Header.Get("Authorization") != "" ||
			len(in.Requests) != 1 || string(in.Requests[0].Image.Content) != picture || len(in.Requests[0].Features) != 1 || in.Requests[0].Features[0].Type != "DOCUMENT_TEXT_DETECTION" {
			t.Errorf("%s: %v: %+v", r.URL, err, in)
		}
		say(w, 200, answer)
	})
	text, err := r.Read(t.Context(), []byte(picture))
	require.NoError(t, err)
	require.Equal(t, "Rechnung 17", text)
	answer = `{"responses":[{}]}`
	text, err = r.Read(t.Context(), []byte(picture))
	require.NoError(t, err)
	require.Empty(t, text)
}

func TestFaults(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status int
		body   string
		model  string // what is said of a model; "" when it is not asked
		vision string
	}{
		"refused key":   {403, `{"error":{"code":403,"message":"Permission denied for ` + key + `","status":"PERMISSION_DENIED"}}`, "an operator sets UAOL_OCR_KEY", "an operator sets GOOGLE_CLOUD_VISION_API_KEY"},
		"key not valid": {400, `{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT"}}`, "an operator sets UAOL_OCR_KEY", "an operator sets GOOGLE_CLOUD_VISION_API_KEY"},
		"limits":        {429, `{"error":{"code":429,"message":"Quota exceeded","status":"RESOURCE_EXHAUSTED"}}`, "no more requests", "no more requests"},
		"too long":      {200, completion("x", "length"), "more text than it writes", ""},
		"filtered":      {200, completion("x", "content_filter"), "does not read this image", ""},
		"refused":       {200, `{"choices":[{"message":{"content":null,"refusal":"I can't."},"finish_reason":"stop"}]}`, "does not read this image", ""},
		"no content":    {200, `{"choices":[{"message":{"content":null},"finish_reason":"stop"}]}`, "not understood", ""},
		"no choices":    {200, `{"choices":[]}`, "not understood", "not understood"},
		"garbage":       {200, `<html>`, "not understood", "not understood"},
		"an image's":    {200, `{"responses":[{"error":{"code":3,"message":"Bad image\n data."}}]}`, "", "does not read this image: Bad image data."},
		"two answers":   {200, `{"responses":[{},{}]}`, "", "not understood"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reply := func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "3600")
				say(w, test.status, test.body)
			}
			for says, settings := range map[string]map[string]string{
				test.model:  {"UAOL_OCR_MODEL": "sees", "UAOL_OCR_URL": "here/v1", "UAOL_OCR_KEY": key, "GOOGLE_CLOUD_VISION_API_KEY": key},
				test.vision: {"GOOGLE_CLOUD_VISION_API_KEY": key, "UAOL_VISION_URL": "here"},
			} {
				if says == "" {
					continue
				}
				r := reader(t, settings, reply)
				text, err := r.Read(t.Context(), []byte(picture))
				require.Empty(t, text)
				require.ErrorContains(t, err, says)
				shown := fmt.Sprintf("%v %+v %#v %v %+v %#v", err, err, err, r, r, r)
				require.NotContains(t, shown, key[3:11])
				require.NotContains(t, shown, "127.0.0.1")
			}
		})
	}
	// Who can't be reached: no address is shown either.
	r := reader(t, map[string]string{"UAOL_OCR_MODEL": "sees", "UAOL_OCR_URL": "http://127.0.0.1:1/v1"}, nil)
	_, err := r.Read(t.Context(), []byte(picture))
	require.ErrorContains(t, err, "connection refused")
	require.NotContains(t, err.Error(), "127.0.0.1")
}

func TestSettings(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		set  map[string]string
		want string // of whoever reads
		bad  string
	}{
		"none":              {map[string]string{"OPENAI_API_KEY": "k"}, "", ""},
		"Google":            {map[string]string{"GOOGLE_CLOUD_VISION_API_KEY": "k"}, "OCR by DOCUMENT_TEXT_DETECTION", ""},
		"a model":           {map[string]string{"UAOL_OCR_MODEL": "m", "OPENAI_API_KEY": "k", "GOOGLE_CLOUD_VISION_API_KEY": "k"}, "OCR by m", ""},
		"a model of Ollama": {map[string]string{"UAOL_OCR_MODEL": "m", "UAOL_OPENAI_URL": "http://localhost:11434/v1"}, "OCR by m", ""},
		"no key":            {map[string]string{"UAOL_OCR_MODEL": "m"}, "", "OPENAI_API_KEY is not set; want an API key, because UAOL_OCR_MODEL is set"},
		"bad key":           {map[string]string{"GOOGLE_CLOUD_VISION_API_KEY": "two words"}, "", "GOOGLE_CLOUD_VISION_API_KEY holds a text of 9 characters"},
		"bad address":       {map[string]string{"UAOL_OCR_MODEL": "m", "UAOL_OCR_URL": "localhost"}, "", `UAOL_OCR_URL holds "localhost"`},
	} {
		cfg, err := config.Parse[Config](config.Of(test.set))
		if test.bad != "" {
			require.ErrorContains(t, err, test.bad, name)
			continue
		}
		require.NoError(t, err, name)
		policy, err := egress.New(egress.Config{})
		require.NoError(t, err)
		r, err := New(cfg, policy)
		require.NoError(t, err)
		if test.want == "" {
			require.Nil(t, r, name)
			continue
		}
		require.Equal(t, test.want, fmt.Sprint(r), name)
		r.Close()
	}
}
