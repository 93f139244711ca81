package credentials

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
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"uaol/providers/api"
	"uaol/providers/egress"
	"uaol/providers/events"
	"uaol/providers/keyring"
	"uaol/providers/postgres/pgtest"
	"uaol/services"
)

func TestMain(m *testing.M) {
	listenForAWS()
	pgtest.Main(m, goleak.IgnoreCurrent())
}

const (
	sealedWith = "an encryption secret of a test, 32 characters or more"
	frontend   = "http://frontend.test"
	public     = "http://uaol.test"
)

// bench is what a test of this package works with.
type bench struct {
	pool    *pgxpool.Pool
	store   *Store
	service *Service
	engine  *gin.Engine
	tools   *shelf
	logged  *observer.ObservedLogs
	auditor *auditor

	mu       sync.Mutex
	happened []events.Event // what the process was told
}

// shelf has the tools, as the registry would.
type shelf struct {
	mu    sync.Mutex
	tools map[uuid.UUID]Tool
	waits map[uuid.UUID]Tool // versions, for their own organisation
	hides map[uuid.UUID]bool // from all but their own organisation
}

func (s *shelf) Credentialed(_ context.Context, caller services.Caller, id uuid.UUID, version int64) (Tool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	tool, ok := s.tools[id]
	if !ok || (s.hides[id] && !caller.Owns(tool.Organization)) {
		return Tool{}, errNoTool
	}
	if waits := s.waits[id]; version != 0 && version == waits.Version && caller.Owns(tool.Organization) {
		return waits, nil
	}
	if version != 0 && version != tool.Version {
		return Tool{}, services.Errorf(services.Conflict, "has changed")
	}
	return tool, nil
}

type auditor struct {
	mu   sync.Mutex
	acts []services.Act
}

func (a *auditor) Record(_ context.Context, act services.Act) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.acts = append(a.acts, act)
	return nil
}

func setup(t testing.TB, changes ...func(*Config)) *bench {
	t.Helper()
	return onDatabase(t, pgtest.New(t), changes...)
}

// onDatabase makes one process of those that share a database.
func onDatabase(t testing.TB, pool *pgxpool.Pool, changes ...func(*Config)) *bench {
	t.Helper()
	core, logged := observer.New(zap.DebugLevel)
	b := &bench{pool: pool, logged: logged, tools: &shelf{tools: map[uuid.UUID]Tool{}, waits: map[uuid.UUID]Tool{}, hides: map[uuid.UUID]bool{}}, auditor: &auditor{}}
	cfg := Config{Manager: inDatabase, PublicURL: public, Frontend: frontend}
	for _, change := range changes {
		change(&cfg)
	}
	log := zap.New(core)
	ring := ringOf(t, keyring.Config{Secret: sealedWith})
	var err error
	b.store, err = NewStore(cfg, ring, log)
	require.NoError(t, err)
	require.NoError(t, b.store.Start(t.Context()))
	policy, err := egress.New(egress.Config{Allow: []string{"127.0.0.1"}})
	require.NoError(t, err)
	bus := events.NewBus()
	bus.Subscribe(func(e events.Event) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.happened = append(b.happened, e)
	})
	b.service = NewService(NewRepository(pool), b.store, ring, policy, bus, cfg, log)
	gin.SetMode(gin.ReleaseMode)
	b.engine = gin.New()
	api.Mount(b.engine, api.Guards{Authenticator: header{}, Auditor: b.auditor}, false, NewHandler(b.service, b.tools).Operations()...)
	return b
}

func ringOf(t testing.TB, cfg keyring.Config) *keyring.Ring {
	t.Helper()
	ring, err := keyring.New(cfg, zap.NewNop())
	require.NoError(t, err)
	return ring
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

// colleague is somebody else in a caller's organisation.
func colleague(of services.Caller, role services.OrgRole) services.Caller {
	return services.Caller{Account: uuid.New(), Organization: of.Organization, Role: services.RoleUser, OrgRole: role}
}

// tool puts a tool on the shelf that takes two secrets.
func (b *bench) tool(t testing.TB, owner services.Caller, changes ...func(*Tool)) Tool {
	t.Helper()
	tool := Tool{
		ID: uuid.New(), Name: "Weather", Version: 1, Organization: owner.Organization, Developer: owner.Account,
		GatewayURL: "https://weather.example.com/mcp",
		Inject:     Injection{Headers: map[string]string{"x-key": "k {{secret.KEY}}"}, Arguments: map[string]string{"zone": "{{secret.ZONE}}"}},
	}
	for _, change := range changes {
		change(&tool)
	}
	b.put(tool)
	_, err := b.pool.Exec(t.Context(), `
		INSERT INTO uaol_registry.tools (tool_id, slug, name, gateway_url, credit_cost_per_call, developer_id, organization_id, protocol, status)
		VALUES ($1, $2, $3, $4, 1, $5, $6, 'mcp', 'Approved')`, tool.ID, tool.ID.String()[24:], tool.Name, tool.GatewayURL, owner.Account, owner.Organization)
	require.NoError(t, err)
	return tool
}

func (b *bench) put(tool Tool) {
	b.tools.mu.Lock()
	defer b.tools.mu.Unlock()
	b.tools.tools[tool.ID] = tool
}

type answer struct {
	Status int
	Text   string
	To     string // of a redirect
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
	a := answer{Status: recorder.Code, Text: recorder.Body.String(), To: recorder.Header().Get("Location")}
	if a.To == "" {
		require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &a), a.Text)
	}
	if out != nil {
		require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &struct{ Data any }{out}), a.Text)
	}
	return a
}

// give sets a secret, which must succeed.
func (b *bench) give(t testing.TB, caller services.Caller, tool Tool, scope Scope, name, value string) {
	t.Helper()
	_, err := b.service.Set(t.Context(), caller, tool, SetRequest{Name: name, Value: value, Scope: scope})
	require.NoError(t, err)
}

// carried is what the caller's calls carry, which must be there.
func (b *bench) carried(t testing.TB, tool Tool, caller services.Caller) Carried {
	t.Helper()
	c, err := b.service.For(t.Context(), tool, caller)
	require.NoError(t, err)
	return c
}

// required is what the caller has to give first.
func (b *bench) required(t testing.TB, tool Tool, caller services.Caller) Required {
	t.Helper()
	_, err := b.service.For(t.Context(), tool, caller)
	require.Equal(t, services.Invalid, services.KindOf(err), err)
	e := asError(t, err)
	require.Equal(t, CodeRequired, e.Code)
	require.Contains(t, e.Message, tool.ID.String(), "it says what to do")
	details, ok := e.Details.(Required)
	require.True(t, ok)
	return details
}

func asError(t testing.TB, err error) *services.Error {
	t.Helper()
	var e *services.Error
	require.ErrorAs(t, err, &e)
	return e
}

// outbox is the types of the events of one tool.
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

func (b *bench) count(t testing.TB, sql string, args ...any) (n int) {
	t.Helper()
	require.NoError(t, b.pool.QueryRow(t.Context(), sql, args...).Scan(&n))
	return n
}
