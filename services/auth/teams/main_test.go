package teams_test

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"uaol/providers/api"
	"uaol/providers/events"
	"uaol/providers/mail"
	"uaol/providers/postgres/pgtest"
	"uaol/services"
	"uaol/services/auth"
	"uaol/services/auth/teams"
	"uaol/services/billing/billingtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// bench is what a test of this package works with: auth with its organisations.
type bench struct {
	pool          *pgxpool.Pool
	auth          *auth.Service
	authenticator *auth.Authenticator
	engine        *gin.Engine
	post          *auth.Post

	mu     sync.Mutex
	people map[string]person
}

// person is somebody with an account.
type person struct {
	ID    uuid.UUID
	Email string
	Token string
	Key   string // of the personal organisation
}

func setup(t testing.TB, changes ...func(*auth.Config, *mail.Config)) *bench {
	t.Helper()
	b := &bench{pool: pgtest.New(t), people: map[string]person{}}
	bus, repository := events.NewBus(), auth.NewRepository(b.pool)
	cfg := auth.Config{JWTSecret: "a JWT secret of a test, 32 characters or more", Lifetime: auth.Lifetime(time.Hour), Guests: "on", Registration: auth.Open}
	var mailCfg mail.Config
	for _, change := range changes {
		change(&cfg, &mailCfg)
	}
	var err error
	b.auth, err = auth.NewService(cfg, repository, billingtest.New(t, b.pool), bus, zap.NewNop())
	require.NoError(t, err)
	b.authenticator = auth.NewAuthenticator(b.auth, bus)
	t.Cleanup(b.authenticator.Close)
	mailer, err := mail.New(mailCfg)
	require.NoError(t, err)
	b.post = auth.NewPost(mailer, "https://app.example.com", zap.NewNop())
	audit := auth.NewAuditLog(repository)
	handler := teams.NewHandler(teams.NewService(teams.NewRepository(b.pool), auth.NewTeamsHost(repository, audit, b.post), bus))
	gin.SetMode(gin.ReleaseMode)
	b.engine = gin.New()
	api.Mount(b.engine, api.Guards{Authenticator: b.authenticator, Auditor: audit}, true, handler.Operations()...)
	return b
}

// person gives somebody of that name, who has an account from now on.
func (b *bench) person(t testing.TB, name string) person {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if p, ok := b.people[name]; ok {
		return p
	}
	made, err := b.auth.Register(t.Context(), auth.RegisterRequest{Email: name + "@example.com"})
	require.NoError(t, err)
	p := person{ID: made.Account.ID, Email: name + "@example.com", Token: made.Token, Key: made.Key}
	b.people[name] = p
	return p
}

// answer is a status with what the body holds; lists stand in Rows.
type answer struct {
	Status int
	Text   string
	Data   struct {
		ID, AccountID, Name, Role, Kind, Email, Invitation, APIKey string
		Personal, Mailed                                           bool
	}
	Rows []struct {
		ID, AccountID, Name, Role, Kind, Email, Action, Account, Outcome string
		Personal                                                         bool
		Details                                                          map[string]string
	}
	Message    string
	NextCursor string
}

// do sends a request with a token or an API key, or with neither.
func (b *bench) do(t testing.TB, credential, method, path, body string, headers ...string) answer {
	t.Helper()
	request := httptest.NewRequest(method, path, strings.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	if credential != "" {
		request.Header.Set("Authorization", "Bearer "+credential)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	recorder := httptest.NewRecorder()
	b.engine.ServeHTTP(recorder, request)
	a := answer{Status: recorder.Code, Text: recorder.Body.String()}
	var parts struct {
		Data       json.RawMessage
		Error      struct{ Message string }
		NextCursor string
	}
	require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &parts), a.Text)
	a.Message, a.NextCursor = parts.Error.Message, parts.NextCursor
	if strings.HasPrefix(string(parts.Data), "[") {
		require.NoError(t, json.Unmarshal(parts.Data, &a.Rows), a.Text)
	} else if len(parts.Data) > 0 {
		require.NoError(t, json.Unmarshal(parts.Data, &a.Data), a.Text)
	}
	return a
}

// must is do for what has to succeed.
func (b *bench) must(t testing.TB, credential, method, path, body string) answer {
	t.Helper()
	a := b.do(t, credential, method, path, body)
	require.Less(t, a.Status, 300, "%s %s: %s", method, path, a.Text)
	return a
}

// team is a shared organisation with somebody of every role in it.
type team struct {
	ID         uuid.UUID
	path       string // of its routes
	robot      string // a service account's id
	robotKey   string
	robotKeyID string
}

func (b *bench) team(t testing.TB, members map[string]services.OrgRole) team {
	t.Helper()
	made := team{ID: uuid.New()}
	made.path = "/organizations/" + made.ID.String()
	b.exec(t, `INSERT INTO uaol_auth.organizations (organization_id, name, personal) VALUES ($1, 'Team', false)`, made.ID)
	for name, role := range members {
		b.exec(t, `INSERT INTO uaol_auth.members (organization_id, account_id, role) VALUES ($1, $2, $3)`, made.ID, b.person(t, name).ID, string(role))
	}
	return made
}

// addRobot makes a service account with a key.
func (b *bench) addRobot(t testing.TB, made *team, owner, role string) {
	t.Helper()
	token := b.person(t, owner).Token
	made.robot = b.must(t, token, "POST", made.path+"/service-accounts", `{"name":"Robot","role":"`+role+`"}`).Data.AccountID
	key := b.must(t, token, "POST", made.path+"/service-accounts/"+made.robot+"/keys", `{"name":"first"}`)
	made.robotKey, made.robotKeyID = key.Data.APIKey, key.Data.ID
}

// key makes an API key of somebody for a team.
func (b *bench) key(t testing.TB, made team, name string, scopes ...string) string {
	t.Helper()
	verified, err := b.auth.Verify(t.Context(), auth.VerifyRequest{Bearer: b.person(t, name).Token, Organization: made.ID.String()})
	require.NoError(t, err)
	_, secret, err := b.auth.AddKey(t.Context(), verified.Caller, auth.KeyRequest{Name: "for the team", Scopes: scopes})
	require.NoError(t, err)
	return secret
}

func (b *bench) exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	_, err := b.pool.Exec(t.Context(), sql, args...)
	require.NoError(t, err)
}

// count is a number out of the database.
func (b *bench) count(t testing.TB, sql string, args ...any) (n int) {
	t.Helper()
	require.NoError(t, b.pool.QueryRow(t.Context(), sql, args...).Scan(&n))
	return n
}

// waiting returns once so many statements wait for a lock.
func (b *bench) waiting(t testing.TB, n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		var waiting int
		err := b.pool.QueryRow(context.Background(), `
			SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waiting)
		return err == nil && waiting >= n
	}, 20*time.Second, 2*time.Millisecond)
}

// atOnce does things while rows are locked that all of them need, and lets them
// go on together.
func (b *bench) atOnce(t testing.TB, lock string, args []any, acts ...func()) {
	t.Helper()
	tx, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(context.Background()) }()
	_, err = tx.Exec(t.Context(), lock, args...)
	require.NoError(t, err)
	var group sync.WaitGroup
	for _, act := range acts {
		group.Go(act)
	}
	b.waiting(t, len(acts))
	require.NoError(t, tx.Rollback(t.Context()))
	group.Wait()
}
