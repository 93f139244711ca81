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
	"uaol/providers/events"
	"uaol/providers/peers/peerstest"
	"uaol/providers/postgres/pgtest"
	"uaol/services/billing"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const jwtSecret = "a JWT secret of a test, 32 characters or more"

// bench is what a test of this package works with.
type bench struct {
	pool          *pgxpool.Pool
	repository    *Repository
	service       *Service
	authenticator *Authenticator
	engine        *gin.Engine // the routes, as in a process without the gateway

	mu       sync.Mutex
	happened []events.Event
}

func setup(t testing.TB) *bench {
	t.Helper()
	b := &bench{pool: pgtest.New(t)}
	b.repository = NewRepository(b.pool)
	bus := events.NewBus()
	bus.Subscribe(func(e events.Event) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.happened = append(b.happened, e)
	})
	var err error
	b.service, err = NewService(
		Config{JWTSecret: jwtSecret, EncryptionSecret: jwtSecret, Lifetime: Lifetime(time.Hour)},
		b.repository, billing.NewService(billing.NewRepository(b.pool)), bus, zap.NewNop())
	require.NoError(t, err)
	b.authenticator = NewAuthenticator(b.service)
	t.Cleanup(b.authenticator.Close)
	gin.SetMode(gin.ReleaseMode)
	b.engine = gin.New()
	out := routes(routesParams{Handler: NewHandler(b.service, b.authenticator), Pool: b.pool})
	api.Mount(b.engine, api.Guards{Authenticator: b.authenticator, Service: peerstest.Tokens(t)}, true, out.Routes.Operations...)
	return b
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
	require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &a.Body), a.Text)
	return a
}

// count is a number out of the database.
func (b *bench) count(t testing.TB, sql string, args ...any) (n int) {
	t.Helper()
	require.NoError(t, b.pool.QueryRow(t.Context(), sql, args...).Scan(&n))
	return n
}
