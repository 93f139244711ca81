package billing

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/providers/api"
	"uaol/services"
)

// site is billing's routes, as whoever a test says.
type site struct {
	engine *gin.Engine
	caller services.Caller
	acts   []services.Act
}

func (s *site) Authenticate(context.Context, services.Credentials) (services.Caller, string, error) {
	return s.caller, "", nil
}

func (s *site) Record(_ context.Context, act services.Act) error {
	s.acts = append(s.acts, act)
	return nil
}

func (b *bench) site(t testing.TB) *site {
	t.Helper()
	gin.SetMode(gin.ReleaseMode)
	s := &site{engine: gin.New()}
	api.Mount(s.engine, api.Guards{Authenticator: s, Auditor: s}, true, b.handler(t).operations()...)
	return s
}

// do sends a request as a caller and gives the answer's status and data or error.
func (s *site) do(t testing.TB, caller services.Caller, method, path, body string) (int, json.RawMessage) {
	t.Helper()
	s.caller = caller
	request := httptest.NewRequest(method, path, strings.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	recorder := httptest.NewRecorder()
	s.engine.ServeHTTP(recorder, request)
	var answer struct{ Data, Error json.RawMessage }
	require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &answer), recorder.Body.String())
	if recorder.Code >= 400 {
		return recorder.Code, answer.Error
	}
	return recorder.Code, answer.Data
}

func TestCapRoutes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s, shared, key := b.site(t), uuid.New(), uuid.New()
	as := func(role services.OrgRole) services.Caller {
		caller := actingFor(user(), shared)
		caller.OrgRole = role
		return caller
	}
	put := `{"scope":"key","subjectId":"` + key.String() + `","period":"day","amount":50}`
	query := "/billing/caps?scope=key&period=day&subjectId=" + key.String()
	for role, may := range map[services.OrgRole]bool{
		services.OrgViewer: false, services.OrgMember: false, services.OrgAdmin: true, services.OrgOwner: true,
	} {
		wantPut, wantDelete := http.StatusForbidden, http.StatusForbidden
		if may {
			wantPut, wantDelete = http.StatusOK, http.StatusOK
		}
		status, answer := s.do(t, as(role), "PUT", "/billing/caps", put)
		require.Equal(t, wantPut, status, "%s: %s", role, answer)
		status, answer = s.do(t, as(role), "GET", "/billing/caps", "")
		require.Equal(t, http.StatusOK, status, "%s reads them", role)
		require.Equal(t, may, strings.Contains(string(answer), key.String()))
		status, answer = s.do(t, as(role), "DELETE", query, "")
		require.Equal(t, wantDelete, status, "%s: %s", role, answer)
	}
	admin := as(services.OrgViewer)
	admin.Role = services.RoleAdmin
	status, _ := s.do(t, admin, "PUT", "/billing/caps", put)
	require.Equal(t, http.StatusForbidden, status, "a platform admin is not special here")
	status, _ = s.do(t, services.Caller{}, "PUT", "/billing/caps", put)
	require.Equal(t, http.StatusUnauthorized, status)

	// In one's own organisation one is the owner.
	own := user()
	status, answer := s.do(t, own, "PUT", "/billing/caps", put)
	require.Equal(t, http.StatusOK, status)
	require.Regexp(t, `^\{"scope":"key","subjectId":"`+key.String()+`","period":"day","amount":50,"spent":0,"periodStart":"\d{4}-\d\d-\d\dT00:00:00.000Z"\}$`, string(answer))
	status, _ = s.do(t, own, "PUT", "/billing/caps", `{"scope":"organization","period":"month","amount":0}`)
	require.Equal(t, http.StatusOK, status)
	_, answer = s.do(t, own, "GET", "/billing/caps", "")
	require.Contains(t, string(answer), own.Organization.String())
	status, _ = s.do(t, own, "DELETE", "/billing/caps?scope=organization&period=month", "")
	require.Equal(t, http.StatusOK, status)
	status, _ = s.do(t, own, "DELETE", "/billing/caps?scope=organization&period=month", "")
	require.Equal(t, http.StatusNotFound, status)

	for body, path := range map[string]string{
		`{"scope":"team","period":"day","amount":1}`:                                                    "body.scope",
		`{"scope":"organization","period":"week","amount":1}`:                                           "body.period",
		`{"scope":"organization","period":"day","amount":-1}`:                                           "body.amount",
		`{"scope":"organization","period":"day"}`:                                                       "body.amount",
		`{"scope":"member","period":"day","amount":1}`:                                                  "body.subjectId",
		`{"scope":"organization","period":"day","amount":1,"subjectId":"` + uuid.NewString() + `"}`:     "body.subjectId",
		`{"scope":"organization","period":"day","amount":1,"subjectId":"x"}`:                            "body.subjectId",
		`{"scope":"organization","period":"day","amount":99999999999999999999999999999999999999999999}`: "body",
	} {
		status, answer := s.do(t, own, "PUT", "/billing/caps", body)
		require.Equal(t, http.StatusBadRequest, status, body)
		require.Contains(t, string(answer), `"path":"`+path, body)
	}

	last := s.acts[len(s.acts)-1]
	require.Equal(t, "cap.set", last.Action)
	var removed []services.Act
	for _, act := range s.acts {
		if act.Action == "cap.remove" && act.Outcome == services.Done && act.Organization == shared {
			removed = append(removed, act)
		}
	}
	require.Len(t, removed, 2)
	require.Equal(t, map[string]string{"scope": "key", "subject": key.String(), "period": "day"}, removed[0].Details)
}

func TestTransferRoute(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s, caller, shared, operation := b.site(t), user(), uuid.New(), uuid.New()
	body := `{"organizationId":"` + shared.String() + `","amount":40,"operationId":"` + operation.String() + `"}`
	for range 2 {
		status, answer := s.do(t, actingFor(caller, shared), "POST", "/credits/transfer", body)
		require.Equal(t, http.StatusOK, status, string(answer))
		require.JSONEq(t, `{"credits":"9960","organizationCredits":"40"}`, string(answer))
	}
	require.Equal(t, map[string]string{"amount": "40", "operation": operation.String()}, s.acts[len(s.acts)-1].Details)
	require.Equal(t, shared, s.acts[len(s.acts)-1].Organization)

	viewer := actingFor(caller, shared)
	viewer.OrgRole = services.OrgViewer
	status, _ := s.do(t, viewer, "POST", "/credits/transfer", body)
	require.Equal(t, http.StatusForbidden, status)
	for _, bad := range []string{
		`{"organizationId":"` + shared.String() + `","amount":40}`,
		`{"organizationId":"` + shared.String() + `","amount":0,"operationId":"` + operation.String() + `"}`,
		`{"organizationId":"` + shared.String() + `","amount":-5,"operationId":"` + uuid.NewString() + `"}`,
		`{"amount":40,"operationId":"` + uuid.NewString() + `"}`,
	} {
		status, _ := s.do(t, actingFor(caller, shared), "POST", "/credits/transfer", bad)
		require.Equal(t, http.StatusBadRequest, status, bad)
	}
	require.Equal(t, int64(9_960), b.balance(t, caller).Available)
	b.audit(t)
}
