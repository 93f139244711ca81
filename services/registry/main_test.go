package registry

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"uaol/providers/api"
	"uaol/providers/egress"
	"uaol/providers/events"
	"uaol/providers/postgres/pgtest"
	"uaol/services"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// bench is what a test of this package works with.
type bench struct {
	pool    *pgxpool.Pool
	service *Service
	engine  *gin.Engine

	mu       sync.Mutex
	happened []events.Event // what the process was told
}

func setup(t testing.TB) *bench {
	t.Helper()
	b := &bench{pool: pgtest.New(t)}
	policy, err := egress.New(egress.Config{})
	require.NoError(t, err)
	bus := events.NewBus()
	bus.Subscribe(func(e events.Event) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.happened = append(b.happened, e)
	})
	b.service = NewService(NewRepository(b.pool), policy, nil, nil, bus)
	gin.SetMode(gin.ReleaseMode)
	b.engine = gin.New()
	api.Mount(b.engine, api.Guards{Authenticator: header{}, Auditor: header{}}, false, NewHandler(b.service).operations()...)
	return b
}

// header takes a Caller as JSON from X-API-Key.
type header struct{}

func (header) Authenticate(_ context.Context, c services.Credentials) (caller services.Caller, _ string, err error) {
	if c.APIKey == "" {
		return caller, "", nil
	}
	return caller, "", json.Unmarshal([]byte(c.APIKey), &caller)
}

func user() services.Caller {
	return services.Caller{Account: uuid.New(), Organization: uuid.New(), Role: services.RoleUser, OrgRole: services.OrgOwner, Personal: true}
}

// Record implements services.Auditor; what is recorded is auth's to test.
func (header) Record(context.Context, services.Act) error { return nil }

func admin() services.Caller {
	return services.Caller{Account: uuid.New(), Organization: uuid.New(), Role: services.RoleAdmin, OrgRole: services.OrgOwner, Personal: true}
}

type answer struct {
	Status int
	Text   string
	Error  struct{ Code, Message string }
}

// do sends one request as the caller and reads data into out unless it is nil.
func (b *bench) do(t testing.TB, caller services.Caller, method, path, body string, out any) answer {
	t.Helper()
	request := httptest.NewRequest(method, path, strings.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	if caller.Known() {
		text, err := json.Marshal(caller)
		require.NoError(t, err)
		request.Header.Set("X-API-Key", string(text))
	}
	recorder := httptest.NewRecorder()
	b.engine.ServeHTTP(recorder, request)
	a := answer{Status: recorder.Code, Text: recorder.Body.String()}
	require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &a), a.Text)
	if out != nil {
		require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &struct{ Data any }{out}), a.Text)
	}
	return a
}

func (b *bench) register(t testing.TB, caller services.Caller, name string) Tool {
	t.Helper()
	url := "https://tools.example.com/mcp"
	tool, err := b.service.Register(t.Context(), caller, Change{Name: &name, GatewayURL: &url})
	require.NoError(t, err)
	return tool
}

// outbox is the types of the events of one tool, in order.
func (b *bench) outbox(t testing.TB, tool uuid.UUID) (types []string) {
	t.Helper()
	rows, err := b.pool.Query(t.Context(), `SELECT type FROM uaol_registry.outbox WHERE subject = $1 ORDER BY created_at, event_id`, tool.String())
	require.NoError(t, err)
	for rows.Next() {
		var kind string
		require.NoError(t, rows.Scan(&kind))
		types = append(types, kind)
	}
	require.NoError(t, rows.Err())
	return types
}
