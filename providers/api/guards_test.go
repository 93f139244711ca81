package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/services"
)

// as lets X-API-Key say who is calling, as a Caller in JSON.
type as struct{}

func (as) Authenticate(_ context.Context, c services.Credentials) (caller services.Caller, guestID string, err error) {
	if c.APIKey == "bad" {
		return caller, "", services.Errorf(services.Unauthenticated, "Invalid API key")
	}
	if c.APIKey != "" {
		err = json.Unmarshal([]byte(c.APIKey), &caller)
	}
	return caller, "", err
}

func key(t testing.TB, caller services.Caller) []string {
	t.Helper()
	caller.Account = uuid.MustParse("00000000-0000-4000-8000-00000000000a")
	text, err := json.Marshal(caller)
	require.NoError(t, err)
	return []string{"X-API-Key", string(text)}
}

func TestOrganizationRoles(t *testing.T) {
	t.Parallel()
	engine := gin.New()
	Mount(engine, Guards{Authenticator: as{}}, true,
		Get("/things", "read", whoAmI), Post("/things", "write", whoAmI), Get("/guests", "read", whoAmI, Allow(Guest)),
		Post("/admins", "decide", whoAmI, Needs(services.OrgAdmin)), Post("/owners", "end", whoAmI, Needs(services.OrgOwner)),
		Post("/self", "about the account", whoAmI, Account()), Post("/path", "about what the path names", whoAmI, Needs("")),
		Post("/platform", "platform", whoAmI, Allow(Admin), Needs("")))
	all := []string{"GET /things", "GET /guests", "POST /things", "POST /admins", "POST /owners", "POST /self", "POST /path"}
	for role, open := range map[services.OrgRole][]string{
		"":                 {"POST /self", "POST /path"},
		"emperor":          {"POST /self", "POST /path"},
		services.OrgViewer: {"GET /things", "GET /guests", "POST /self", "POST /path"},
		services.OrgMember: {"GET /things", "GET /guests", "POST /things", "POST /self", "POST /path"},
		services.OrgAdmin:  {"GET /things", "GET /guests", "POST /things", "POST /admins", "POST /self", "POST /path"},
		services.OrgOwner:  all,
	} {
		for _, route := range append(all, "POST /platform") {
			method, path, _ := strings.Cut(route, " ")
			want := 403
			if slices.Contains(open, route) {
				want = 200
			}
			got := do(engine, method, path, nil, key(t, services.Caller{Role: services.RoleUser, OrgRole: role})...)
			require.Equal(t, want, got.Code, "%q %s", role, route)
		}
	}
	got := do(engine, "POST", "/things", nil, key(t, services.Caller{Role: services.RoleUser, OrgRole: services.OrgViewer})...)
	require.Contains(t, got.Body.String(), "This needs the role member in the organisation; yours is viewer")
	got = do(engine, "POST", "/owners", nil, key(t, services.Caller{Role: services.RoleAdmin, OrgRole: services.OrgMember})...)
	require.Equal(t, 403, got.Code, "a platform admin has no more say in an organisation than its members gave")
	require.Equal(t, 200, do(engine, "POST", "/platform", nil, key(t, services.Caller{Role: services.RoleAdmin})...).Code)
	require.Equal(t, 401, do(engine, "GET", "/guests", nil).Code, "where guests are not made, nobody is let in")
}

func TestScopesOfKeys(t *testing.T) {
	t.Parallel()
	engine := gin.New()
	Mount(engine, Guards{Authenticator: as{}}, true,
		Get("/jobs/{id}", "read", func(context.Context, services.Caller, *struct {
			ID string `path:"id"`
		}) (Message, error) {
			return Done(""), nil
		}),
		Post("/jobs", "write", whoAmI, Allow(Guest)), Get("/me", "me", whoAmI, Account()), Post("/me", "me", whoAmI, Account()),
		Get("/open", "public", whoAmI, Allow(Public)))
	for scopes, open := range map[services.Scopes]map[string]bool{
		"":                         {"GET /jobs/1": true, "POST /jobs": true, "GET /me": true, "POST /me": true, "GET /open": true},
		"jobs:read":                {"GET /jobs/1": true, "GET /open": true},
		"jobs:write":               {"POST /jobs": true, "GET /open": true},
		"account:read jobs:write":  {"POST /jobs": true, "GET /me": true, "GET /open": true},
		"account:write":            {"POST /me": true, "GET /open": true},
		"jobs":                     {"GET /open": true},
		"jobs:reader xjobs:read":   {"GET /open": true},
		"tools:read storage:write": {"GET /open": true},
	} {
		for _, route := range []string{"GET /jobs/1", "POST /jobs", "GET /me", "POST /me", "GET /open"} {
			method, path, _ := strings.Cut(route, " ")
			got := do(engine, method, path, nil, key(t, services.Caller{Role: services.RoleUser, OrgRole: services.OrgOwner, Scopes: scopes})...)
			require.Equal(t, open[route], got.Code == 200, "%q %s: %d", scopes, route, got.Code)
		}
	}
}

// log is an audit log in memory.
type log struct {
	mu   sync.Mutex
	acts []services.Act
	fail int // the so many next writes fail
}

func (l *log) Record(_ context.Context, act services.Act) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail > 0 {
		l.fail--
		return errors.New("hunter2: the database is down")
	}
	details := map[string]string{}
	for k, v := range act.Details {
		details[k] = v
	}
	act.Details = details
	l.acts = append(l.acts, act)
	return nil
}

func TestAudited(t *testing.T) {
	t.Parallel()
	l, ran := &log{}, 0
	var limit error
	engine := gin.New()
	act := func(ctx context.Context, caller services.Caller, in *struct {
		ID string `path:"id"`
	}) (Message, error) {
		ran++
		require.Equal(t, services.Attempted, l.acts[len(l.acts)-1].Outcome, "recorded before it is done")
		services.Note(ctx, "what", "a thing")
		if in.ID == "bad" {
			return Message{}, services.Errorf(services.Conflict, "no")
		}
		if !caller.Known() {
			services.NoteCaller(ctx, services.Caller{Account: uuid.Max, Role: services.RoleUser})
		}
		return Done("done"), nil
	}
	ops := []Operation{
		Post("/things/{id}", "act", act, Audited("thing.change")),
		Post("/public/{id}", "act", act, Audited("thing.public"), Allow(Public)),
		Post("/quiet/{id}", "act", func(ctx context.Context, _ services.Caller, _ *struct{}) (Message, error) {
			services.Note(ctx, "nobody", "listens")
			return Done(""), nil
		}),
	}
	Mount(engine, Guards{Authenticator: as{}, Service: onlyGood{}, Auditor: l,
		Limit: func(*gin.Context, services.Caller) error { return limit }}, true, ops...)
	ada := key(t, services.Caller{Role: services.RoleUser, OrgRole: services.OrgMember, Organization: uuid.Max, Key: uuid.Max})
	take := func() []services.Act { defer func() { l.acts = nil }(); return l.acts }

	require.Equal(t, 200, do(engine, "POST", "/things/7", nil, append(ada, "User-Agent", "a client\xff")...).Code)
	acts := take()
	require.Len(t, acts, 2)
	require.Equal(t, acts[0].ID, acts[1].ID)
	last := acts[1]
	require.Equal(t, services.Done, last.Outcome)
	require.Equal(t, "thing.change", last.Action)
	require.Equal(t, uuid.Max, last.Organization)
	require.Equal(t, uuid.Max, last.Key)
	require.NotEqual(t, uuid.Nil, last.Account)
	require.Equal(t, "192.0.2.1", last.Address)
	require.Equal(t, "a client\ufffd", last.UserAgent)
	require.Equal(t, map[string]string{"id": "7", "what": "a thing"}, last.Details)

	require.Equal(t, 409, do(engine, "POST", "/things/bad", nil, ada...).Code)
	last = take()[1]
	require.Equal(t, services.Refused, last.Outcome)
	require.Equal(t, "Conflict", last.Details["status"])

	require.Equal(t, 200, do(engine, "POST", "/public/7", nil).Code)
	require.Equal(t, uuid.Max, take()[1].Account, "who acts is what the act shows")

	// A refusal of the guards is recorded; a flood is not.
	viewer := key(t, services.Caller{Role: services.RoleUser, OrgRole: services.OrgViewer})
	ran = 0
	for _, headers := range [][]string{viewer, {"X-API-Key", "bad"}, nil} {
		require.GreaterOrEqual(t, do(engine, "POST", "/things/7", nil, headers...).Code, 401)
		acts = take()
		require.Len(t, acts, 1)
		require.Equal(t, services.Refused, acts[0].Outcome)
		require.NotEmpty(t, acts[0].Details["code"])
	}
	limit = services.Errorf(services.Limited, "too many")
	require.Equal(t, 429, do(engine, "POST", "/things/7", nil, ada...).Code)
	require.Empty(t, take())
	limit = nil
	require.Zero(t, ran)

	// What cannot be recorded is not done; what has been done is answered.
	l.fail = 1
	got := do(engine, "POST", "/things/7", nil, ada...)
	require.Equal(t, 503, got.Code)
	require.NotContains(t, got.Body.String(), "hunter2")
	require.Zero(t, ran)
	require.Equal(t, 200, do(engine, "POST", "/quiet/7", nil, ada...).Code)
	require.Empty(t, take())

	// The gateway passes a request on; the act is recorded where it is done.
	passed := ops[0].By(func(c *gin.Context, _ services.Caller) { c.Status(204) })
	gateway := gin.New()
	Mount(gateway, Guards{Authenticator: as{}, Auditor: l}, false, passed)
	require.Equal(t, 204, do(gateway, "POST", "/things/7", nil, ada...).Code)
	require.Empty(t, take())

	alone := gin.New()
	Mount(alone, Guards{Authenticator: as{}}, true, ops...)
	require.Equal(t, 503, do(alone, "POST", "/things/7", nil, ada...).Code, "without a log there is no act")
}

// TestOrigin is the connection's other end, unless our gateway says otherwise.
func TestOrigin(t *testing.T) {
	t.Parallel()
	engine := gin.New()
	require.NoError(t, engine.SetTrustedProxies(nil)) // as the router does
	Mount(engine, Guards{Authenticator: as{}, Service: onlyGood{}}, true,
		Get("/where", "where", func(ctx context.Context, _ services.Caller, _ *struct{}) (Data[services.Origin], error) {
			return OK(services.OriginFrom(ctx)), nil
		}, Allow(Public)))
	for said, want := range map[string]string{
		"": `{"address":"192.0.2.1","userAgent":"me","url":"http://example.com"}`, "forged": `{"address":"192.0.2.1","userAgent":"me","url":"http://example.com"}`,
		"good": `{"address":"198.51.100.7","userAgent":"the client"}`,
	} {
		request := httptest.NewRequest("GET", "/where", nil)
		request.Header.Set("User-Agent", "me")
		request.Header.Set("X-Forwarded-For", "203.0.113.9")
		if said != "" {
			request.Header.Set(OriginHeader, said)
		}
		recorder := httptest.NewRecorder()
		engine.ServeHTTP(recorder, request)
		require.JSONEq(t, `{"success":true,"data":`+want+`}`, recorder.Body.String(), said)
	}
}

func TestGuestsHaveTheirOwnLimit(t *testing.T) {
	t.Parallel()
	engine := gin.New()
	var asked []string
	Mount(engine, Guards{Authenticator: roles{}, Limit: func(*gin.Context, services.Caller) error { return nil },
		LimitTo: func(_ *gin.Context, caller services.Caller, what string, perMinute int) error {
			asked = append(asked, string(caller.Role)+" "+what)
			require.Equal(t, 20, perMinute)
			return services.Errorf(services.Limited, "too many")
		}}, true, Post("/chat", "Chat", whoAmI, Allow(Guest), GuestsPerMinute(20)), Post("/other", "Other", whoAmI, Allow(Guest)))
	require.Equal(t, 429, do(engine, "POST", "/chat", nil).Code)
	require.Equal(t, 200, do(engine, "POST", "/other", nil).Code)
	require.Equal(t, 200, do(engine, "POST", "/chat", nil, "X-API-Key", "user").Code)
	require.Equal(t, []string{"guest /chat"}, asked)
}

// TestWhoIsLimitedHearsWhenToComeBack, from typed operations and others, here
// and by way of another service.
func TestWhoIsLimitedHearsWhenToComeBack(t *testing.T) {
	t.Parallel()
	limited := services.Errorf(services.Limited, "too many")
	engine := gin.New()
	operation := func(path string, err error) []Operation {
		return []Operation{
			Get("/typed"+path, "limited", func(context.Context, services.Caller, *struct{}) (Message, error) { return Message{}, err }, Allow(Public)),
			Raw("GET", "/raw"+path, "limited", func(c *gin.Context, _ services.Caller) { Fail(c, err) }, Allow(Public)),
		}
	}
	var operations []Operation
	for path, err := range map[string]error{
		"/here":      limited.WithDetails(map[string]any{"retryAfterSeconds": 7}),
		"/elsewhere": ReadError(429, []byte(`{"error":{"code":"RATE_LIMIT_ERROR","message":"too many","details":{"retryAfterSeconds":7}}}`)),
		"/sometime":  limited,
		"/odd":       limited.WithDetails("later"),
		"/forbidden": services.Errorf(services.Forbidden, "no"),
	} {
		operations = append(operations, operation(path, err)...)
	}
	Mount(engine, Guards{Authenticator: as{}}, true, operations...)
	for path, want := range map[string]string{"/here": "7", "/elsewhere": "7", "/sometime": "60", "/odd": "60", "/forbidden": ""} {
		for _, kind := range []string{"/typed", "/raw"} {
			recorder := httptest.NewRecorder()
			engine.ServeHTTP(recorder, httptest.NewRequest("GET", kind+path, nil))
			require.Equal(t, want, recorder.Header().Get("Retry-After"), kind+path)
		}
	}
}
