package auth

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"uaol/providers/api"
	"uaol/providers/egress"
	"uaol/providers/events"
	"uaol/providers/keyring"
	"uaol/providers/mail"
	"uaol/providers/peers/peerstest"
	"uaol/providers/postgres/pgtest"
	"uaol/services/auth/modelkeys"
	"uaol/services/auth/oauth"
	"uaol/services/auth/oidc"
	"uaol/services/billing/billingtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const jwtSecret = "a JWT secret of a test, 32 characters or more"

const encryptionSecret = "an encryption secret of a test, 32 characters or more"

const platformKey = "AIza-a-key-of-the-platform-itself"

// bench is what a test of this package works with.
type bench struct {
	pool          *pgxpool.Pool
	repository    *Repository
	service       *Service
	authenticator *Authenticator
	audit         *AuditLog
	bus           *events.Bus
	ring          *keyring.Ring
	signIns       *SignIns
	profiles      *ProfileHandler
	oauth         *oauth.Service
	oauthConfig   oauth.Config
	public        string          // UAOL_PUBLIC_URL
	transport     *http.Transport // with which programs' documents are fetched
	modelKeys     *modelkeys.Service
	engine        *gin.Engine // the routes, as in a process without the gateway

	mu       sync.Mutex
	happened []events.Event
}

func setup(t testing.TB, changes ...func(*Config)) *bench {
	t.Helper()
	b := &bench{pool: pgtest.New(t)}
	b.repository = NewRepository(b.pool)
	bus := events.NewBus()
	bus.Subscribe(func(e events.Event) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.happened = append(b.happened, e)
	})
	cfg := Config{JWTSecret: jwtSecret, Lifetime: Lifetime(time.Hour), Guests: "on"}
	for _, change := range changes {
		change(&cfg)
	}
	b.bus = bus
	var err error
	b.ring, err = keyring.New(keyring.Config{Secret: encryptionSecret}, zap.NewNop())
	require.NoError(t, err)
	b.modelKeys = modelkeys.NewService(modelkeys.Config{GeminiKey: platformKey, GeminiModel: "gemini-x", OpenAIModel: "gpt-x", AnthropicModel: "claude-x"}, modelkeys.NewRepository(b.pool), b.ring)
	b.service, err = NewService(
		cfg, b.repository, billingtest.New(t, b.pool), bus, zap.NewNop())
	require.NoError(t, err)
	b.audit = NewAuditLog(b.repository)
	policy, err := egress.New(egress.Config{})
	require.NoError(t, err)
	b.transport, b.oauthConfig = policy.Transport(), oauth.Config{Access: 15 * time.Minute, Refresh: 720 * time.Hour, Registration: "on"}
	b.authenticator = NewAuthenticator(b.service, bus)
	t.Cleanup(b.authenticator.Close)
	b.writeWith(t, mail.Config{})
	b.signInWith(t, oidc.Config{Frontend: "http://localhost:8080"})
	return b
}

// signInWith sets providers up, and mounts the routes with them.
func (b *bench) signInWith(t testing.TB, cfg oidc.Config) {
	t.Helper()
	providers := oidc.New(cfg)
	t.Cleanup(providers.Close)
	var err error
	b.signIns, err = NewSignIns(cfg, providers, b.service, b.repository, b.ring)
	require.NoError(t, err)
	b.oauth = oauth.NewService(b.oauthConfig, b.public, oauth.NewRepository(b.pool), NewOAuthHost(b.service, providers), b.bus, b.ring, b.transport)
	t.Cleanup(b.oauth.Close)
	gin.SetMode(gin.ReleaseMode)
	b.engine = gin.New()
	out := routes(b.routes())
	guards := api.Guards{Authenticator: b.authenticator, Service: peerstest.Tokens(t), Auditor: b.audit, Public: b.public}
	api.Mount(b.engine, guards, true, append(out.Routes.Operations, protected()...)...)
}

type answer struct {
	Status int
	Header http.Header
	Text   string
	Body   struct {
		Success bool
		Message string
		Data    struct {
			Token                      string
			ID, Email, Credits, APIKey string
			SubscriptionTier           string
			User                       struct{ ID, Email, SubscriptionTier, Credits, APIKey string }
		}
		Error struct {
			Code, Message string
			Details       json.RawMessage
		}
	}
}

// do sends one request; headers come in pairs.
func (b *bench) do(t testing.TB, method, path, body string, headers ...string) answer {
	t.Helper()
	request := httptest.NewRequest(method, path, strings.NewReader(body))
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	recorder := httptest.NewRecorder()
	b.engine.ServeHTTP(recorder, request)
	a := answer{Status: recorder.Code, Header: recorder.Header(), Text: recorder.Body.String()}
	require.True(t, json.Valid(recorder.Body.Bytes()), a.Text)
	_ = json.Unmarshal(recorder.Body.Bytes(), &a.Body) // a list's data does not fit, its Text does
	return a
}

// count is a number out of the database.
func (b *bench) count(t testing.TB, sql string, args ...any) (n int) {
	t.Helper()
	require.NoError(t, b.pool.QueryRow(t.Context(), sql, args...).Scan(&n))
	return n
}

// text is a text out of the database.
func (b *bench) text(t testing.TB, sql string, args ...any) (text string) {
	t.Helper()
	require.NoError(t, b.pool.QueryRow(t.Context(), sql, args...).Scan(&text))
	return text
}

// routes are what the module would mount.
func (b *bench) routes() routesParams {
	return routesParams{
		Handler: NewHandler(b.service, b.audit, b.signIns, b.oauth), Pool: b.pool,
		ModelKeys: modelkeys.NewHandler(b.modelKeys),
		Profiles:  b.profiles,
		OAuth:     oauth.NewHandler(b.oauth),
	}
}

// raw sends a request without a body whose answer need not be JSON.
func (b *bench) raw(t testing.TB, method, path string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	request := httptest.NewRequest(method, path, nil)
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	recorder := httptest.NewRecorder()
	b.engine.ServeHTTP(recorder, request)
	return recorder
}
