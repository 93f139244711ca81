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
	"uaol/providers/upstream"
	"uaol/services"
	"uaol/services/registry/credentials"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// bench is what a test of this package works with.
type bench struct {
	pool    *pgxpool.Pool
	service *Service
	cache   *Cache
	handler *Handler
	engine  *gin.Engine
	servers *servers

	mu       sync.Mutex
	happened []events.Event // what the process was told
}

func setup(t testing.TB) *bench {
	t.Helper()
	b := &bench{pool: pgtest.New(t), servers: &servers{list: map[string]func(ctx context.Context) ([]upstream.Method, error){}}}
	policy, err := egress.New(egress.Config{})
	require.NoError(t, err)
	bus := events.NewBus()
	bus.Subscribe(func(e events.Event) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.happened = append(b.happened, e)
	})
	b.service = NewService(NewRepository(b.pool), policy, b.servers, b.servers, bus)
	b.cache = NewCache(b.service, func(ctx context.Context, in events.RecentRequest) ([]events.Event, error) {
		return events.NewOutbox(services.Registry).Recent(ctx, b.pool, in)
	}, bus)
	t.Cleanup(b.cache.Close)
	b.handler = NewHandler(b.service, NewShowcase(b.cache))
	t.Cleanup(b.handler.showcase.Close)
	gin.SetMode(gin.ReleaseMode)
	b.engine = gin.New()
	api.Mount(b.engine, api.Guards{Authenticator: header{}, Auditor: header{}}, false, b.handler.operations()...)
	return b
}

// servers are tools' servers by their addresses, and what calls to them carry.
type servers struct {
	mu      sync.Mutex
	list    map[string]func(ctx context.Context) ([]upstream.Method, error)
	targets []upstream.Target // that were asked
	purse   func(tool credentials.Tool, caller services.Caller) (credentials.Carried, error)
}

// List implements Inspector.
func (s *servers) List(ctx context.Context, target upstream.Target) ([]upstream.Method, error) {
	s.mu.Lock()
	list := s.list[target.URL]
	s.targets = append(s.targets, target)
	s.mu.Unlock()
	if list == nil {
		return nil, services.Errorf(services.Unavailable, "The tool can't be reached: connection refused")
	}
	return list(ctx)
}

// For implements Wallet.
func (s *servers) For(_ context.Context, tool credentials.Tool, caller services.Caller) (credentials.Carried, error) {
	if s.purse == nil {
		return credentials.Carried{}, nil
	}
	return s.purse(tool, caller)
}

// Another implements Wallet: there is no other.
func (s *servers) Another(ctx context.Context, tool credentials.Tool, caller services.Caller, _ string) (credentials.Carried, error) {
	return s.For(ctx, tool, caller)
}

// Set implements Wallet; nothing can be kept here.
func (s *servers) Set(context.Context, services.Caller, credentials.Tool, credentials.SetRequest) (credentials.Entry, error) {
	return credentials.Entry{}, services.Errorf(services.Unavailable, "Secrets can't be kept")
}

func (s *servers) asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.targets)
}

// serve lets the server at an address list these methods from now on.
func (s *servers) serve(url string, methods ...upstream.Method) {
	s.behave(url, func(context.Context) ([]upstream.Method, error) { return methods, nil })
}

func (s *servers) behave(url string, list func(ctx context.Context) ([]upstream.Method, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list[url] = list
}

// method is one with a description.
func method(name, description string) upstream.Method {
	return upstream.Method{Name: name, Description: description, InputSchema: json.RawMessage(`{"type":"object"}`)}
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
	Error  struct {
		Code, Message string
		Details       json.RawMessage
	}
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

const toolURL = "https://tools.example.com/mcp"

// offered registers a tool and has it approved, with its methods pinned.
func (b *bench) offered(t testing.TB, caller services.Caller, url string, methods ...upstream.Method) Tool {
	t.Helper()
	b.servers.serve(url, methods...)
	name := "Offered"
	tool, err := b.service.Register(t.Context(), caller, Change{Name: &name, GatewayURL: &url})
	require.NoError(t, err)
	require.NoError(t, b.service.Approve(t.Context(), admin(), tool.ID, Decision{}))
	return tool
}

func (b *bench) register(t testing.TB, caller services.Caller, name string) Tool {
	t.Helper()
	url := toolURL
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
