package speech

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"sync"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"uaol/providers/api"
	"uaol/providers/config"
	"uaol/providers/egress"
	"uaol/providers/llm"
	"uaol/providers/postgres/pgtest"
	"uaol/services"
	"uaol/services/auth/modelkeys"
	"uaol/services/billing"
	"uaol/services/billing/billingtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const (
	ownKey   = "sk-own-Zq8vN3tR5wX7yB2cD4fG6hJ9"
	platform = "sk-platform-Lp0hG6fDs3Ew9Kx5Cn1By"
)

// keys are auth's word about keys.
type keys struct{ access *llm.Access }

func (k keys) ModelAccess(_ context.Context, in modelkeys.AccessRequest) (llm.Access, error) {
	if k.access == nil || in.Provider != "openai" {
		return llm.Access{}, services.Errorf(services.Invalid, "There is no API key for the model provider openai: store one with POST /api-keys").WithCode(modelkeys.CodeMissing)
	}
	return *k.access, nil
}

var (
	own   = keys{&llm.Access{Provider: llm.OpenAI, Key: ownKey, Model: "a-chat-model"}}
	ours  = keys{&llm.Access{Provider: llm.OpenAI, Key: platform, Model: "a-chat-model", Platform: true}}
	noKey = keys{}
)

// request is what reached the provider.
type request struct {
	path, authorization string
	length              int64
	fields              map[string]string // of a form or of JSON
	file                []byte
}

// bench is the operations before a provider on loopback, with the real ledger behind.
type bench struct {
	server   *httptest.Server
	ledger   *billing.Service
	caller   services.Caller
	mu       sync.Mutex
	requests []request
}

func (b *bench) asked() []request {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.requests
}

// setup answers the n-th request (from 0) to the provider.
func setup(t testing.TB, k keys, settings map[string]string, reply func(w http.ResponseWriter, r *http.Request, n int)) *bench {
	t.Helper()
	b := &bench{ledger: billingtest.New(t, pgtest.New(t))}
	b.caller = services.Caller{Account: uuid.New(), Organization: uuid.New(), Role: services.RoleUser, OrgRole: services.OrgOwner, Personal: true}
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := read(t, r)
		b.mu.Lock()
		n := len(b.requests)
		b.requests = append(b.requests, got)
		b.mu.Unlock()
		reply(w, r, n)
	}))
	t.Cleanup(provider.Close)
	b.serve(t, k, provider.URL, settings)
	return b
}

// serve mounts the operations before a provider.
func (b *bench) serve(t testing.TB, k keys, provider string, settings map[string]string) {
	t.Helper()
	all := map[string]string{"UAOL_OPENAI_URL": provider + "/v1"}
	for name, value := range settings {
		if value == "here" {
			value = provider + "/other"
		}
		all[name] = value
	}
	cfg, err := config.Parse[Config](config.Of(all))
	require.NoError(t, err)
	policy, err := egress.New(egress.Config{})
	require.NoError(t, err)
	s, err := NewService(cfg, k, b.ledger, policy, zap.NewNop())
	require.NoError(t, err)
	t.Cleanup(s.Close)
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	api.Mount(engine, api.Guards{Authenticator: b}, false, NewHandler(s).Operations()...)
	b.server = httptest.NewServer(engine)
	t.Cleanup(b.server.Close)
}

// Authenticate is for requests of the one caller.
func (b *bench) Authenticate(context.Context, services.Credentials) (services.Caller, string, error) {
	return b.caller, "", nil
}

// read takes a request apart as OpenAI does.
func read(t testing.TB, r *http.Request) request {
	got := request{path: r.URL.Path, authorization: r.Header.Get("Authorization"), length: r.ContentLength, fields: map[string]string{}}
	form, err := r.MultipartReader()
	if err != nil {
		if err := json.NewDecoder(r.Body).Decode(&got.fields); err != nil {
			t.Errorf("%s is neither a form nor JSON: %v", r.URL, err)
		}
		return got
	}
	for {
		part, err := form.NextPart()
		if err == io.EOF {
			return got
		}
		if err != nil {
			t.Error(err)
			return got
		}
		if part.FileName() == "" {
			text, _ := io.ReadAll(part)
			got.fields[part.FormName()] = string(text)
			continue
		}
		got.fields[part.FormName()] = part.FileName()
		got.file, _ = io.ReadAll(part)
	}
}

// recording is a form with a file.
func recording(t testing.TB, field, content string) (string, []byte) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	require.NoError(t, w.WriteField("note", "comes first"))
	part, err := w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {`form-data; name="` + field + `"; filename="../a.exe"`}, "Content-Type": {"application/x-lies"}})
	require.NoError(t, err)
	_, _ = io.WriteString(part, content)
	require.NoError(t, w.Close())
	return w.FormDataContentType(), b.Bytes()
}

type answer struct {
	Status  int
	Header  http.Header
	Text    string
	Success bool
	Data    struct {
		Text      string
		Timestamp string
	}
	Error struct {
		Code, Message string
		Details       json.RawMessage
	}
}

func (b *bench) post(t testing.TB, path, kind string, body io.Reader) (a answer) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.server.URL+path, body)
	require.NoError(t, err)
	request.Header.Set("Content-Type", kind)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	a.Status, a.Header, a.Text = response.StatusCode, response.Header, string(raw)
	if response.Header.Get("Content-Type") != "audio/mpeg" {
		require.NoError(t, json.Unmarshal(raw, &a), a.Text)
	}
	return a
}

func (b *bench) transcribe(t testing.TB, content string) answer {
	t.Helper()
	kind, body := recording(t, "audio", content)
	return b.post(t, "/chat/transcribe", kind, bytes.NewReader(body))
}

// spent is what the caller has paid; nothing may be held any more.
func (b *bench) spent(t testing.TB) int64 {
	t.Helper()
	balance, err := b.ledger.Balance(context.WithoutCancel(t.Context()), billing.BalanceRequest{Caller: b.caller})
	require.NoError(t, err)
	require.Zero(t, balance.Held, "nothing stays held")
	return 10_000 - balance.Available
}

func say(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}
