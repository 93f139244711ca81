package events_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"uaol/providers/api"
	"uaol/providers/events"
	"uaol/providers/postgres/pgtest"
	"uaol/services"
)

// office is an outbox with its public routes, as whoever a test says.
type office struct {
	pool   *pgxpool.Pool
	outbox events.Outbox
	engine *gin.Engine
	caller services.Caller
	acts   []services.Act
}

func (o *office) Authenticate(context.Context, services.Credentials) (services.Caller, string, error) {
	return o.caller, "", nil
}

func (o *office) Record(_ context.Context, act services.Act) error {
	o.acts = append(o.acts, act)
	return nil
}

func newOffice(t *testing.T) *office {
	t.Helper()
	gin.SetMode(gin.ReleaseMode)
	o := &office{engine: gin.New(), caller: services.Caller{Account: uuid.New(), Role: services.RoleAdmin}}
	o.pool, o.outbox = setup(t)
	api.Mount(o.engine, api.Guards{Authenticator: o, Auditor: o}, true, o.outbox.Administration(o.pool, events.Outlet{Kind: "kafka"})...)
	return o
}

type officeAnswer struct {
	Data  json.RawMessage
	Next  string `json:"nextCursor"`
	Error struct{ Code string }
}

func (o *office) do(t *testing.T, method, path string) (status int, a officeAnswer) {
	t.Helper()
	w := httptest.NewRecorder()
	o.engine.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &a), w.Body.String())
	return w.Code, a
}

type listed struct {
	ID           uuid.UUID
	Type         string
	State        string
	Subject      string
	Organization uuid.UUID `json:"organizationId"`
	Data         json.RawMessage
	Reason       *string
	PublishedAt  *string
}

func (o *office) list(t *testing.T, query string) (found []listed, next string) {
	t.Helper()
	status, a := o.do(t, http.MethodGet, "/events/registry?"+query)
	require.Equal(t, http.StatusOK, status, string(a.Data))
	require.NoError(t, json.Unmarshal(a.Data, &found))
	return found, a.Next
}

func ids(found []listed) (all []uuid.UUID) {
	for _, e := range found {
		all = append(all, e.ID)
	}
	return all
}

// filled has six events: one of each two is pending, published or refused. They are given
// from the newest on.
func (o *office) filled(t *testing.T) (all []uuid.UUID) {
	t.Helper()
	for i := range 6 {
		e := events.New("tool.updated", "a tool", uuid.MustParse("0199c0de-0000-7000-8000-000000000001"), map[string]int{"n": i})
		require.NoError(t, o.outbox.Append(t.Context(), o.pool, e))
		switch i % 3 {
		case 1:
			require.NoError(t, o.outbox.Published(t.Context(), o.pool, []uuid.UUID{e.ID}))
		case 2:
			require.NoError(t, o.outbox.Dead(t.Context(), o.pool, e.ID, "too large"))
		}
		all = append([]uuid.UUID{e.ID}, all...)
	}
	return all
}

func TestOutboxesAreListed(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	all := o.filled(t)
	for query, want := range map[string][]uuid.UUID{
		"": all, "state=pending": {all[2], all[5]}, "state=published": {all[1], all[4]}, "state=refused": {all[0], all[3]},
	} {
		found, next := o.list(t, query)
		require.Equal(t, want, ids(found), query)
		require.Empty(t, next)
		var paged []uuid.UUID
		for cursor, more := "", true; more; more = cursor != "" {
			page, after := o.list(t, query+"&limit=1&cursor="+cursor)
			paged, cursor = append(paged, ids(page)...), after
		}
		require.Equal(t, want, paged, query)
	}
	found, _ := o.list(t, "state=refused")
	require.Equal(t, "refused", found[0].State)
	require.Equal(t, "too large", *found[0].Reason)
	require.JSONEq(t, `{"n":5}`, string(found[0].Data))
	require.Equal(t, "tool.updated", found[0].Type)
	require.Equal(t, "a tool", found[0].Subject)
	require.NotEqual(t, uuid.Nil, found[0].Organization)
	require.Nil(t, found[0].PublishedAt)
	found, _ = o.list(t, "state=published")
	require.NotNil(t, found[0].PublishedAt)
	status, _ := o.do(t, http.MethodGet, "/events/registry?state=dead")
	require.Equal(t, http.StatusBadRequest, status)

	status, a := o.do(t, http.MethodGet, "/events/registry/counts")
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"broker":"kafka","pending":2,"refused":2}`, string(a.Data))
}

func TestRefusedEventsAreTriedAgain(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	all := o.filled(t)
	retry := func(id uuid.UUID) (int, string) {
		status, a := o.do(t, http.MethodPost, "/events/registry/"+id.String()+"/retry")
		return status, a.Error.Code
	}
	status, _ := retry(all[0])
	require.Equal(t, http.StatusOK, status)
	found, _ := o.list(t, "state=refused")
	require.Equal(t, []uuid.UUID{all[3]}, ids(found), "the other stays")
	found, _ = o.list(t, "state=pending")
	require.Equal(t, []uuid.UUID{all[0], all[2], all[5]}, ids(found))
	for name, id := range map[string]uuid.UUID{"tried again": all[0], "published": all[1], "pending": all[2]} {
		status, code := retry(id)
		require.Equal(t, http.StatusConflict, status, name)
		require.Equal(t, "CONFLICT", code, name)
	}
	status, _ = retry(uuid.New())
	require.Equal(t, http.StatusNotFound, status)
	done := o.acts[1] // of its two entries
	require.Equal(t, "event.retry", done.Action)
	require.Equal(t, services.Done, done.Outcome)
	require.Equal(t, map[string]string{"eventId": all[0].String(), "service": "registry"}, done.Details)
}

func TestWhoMaySeeOutboxes(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	refused := o.filled(t)[0]
	for name, c := range map[string]struct {
		caller services.Caller
		read   int
		write  int
	}{
		"nobody":                    {services.Caller{}, http.StatusUnauthorized, http.StatusUnauthorized},
		"a guest":                   {services.Caller{Account: uuid.New(), Role: services.RoleGuest}, http.StatusUnauthorized, http.StatusUnauthorized},
		"somebody":                  {services.Caller{Account: uuid.New(), Role: services.RoleUser, OrgRole: services.OrgOwner}, http.StatusForbidden, http.StatusForbidden},
		"an admin's key that reads": {services.Caller{Account: uuid.New(), Role: services.RoleAdmin, Scopes: "events:read"}, http.StatusOK, http.StatusForbidden},
	} {
		o.caller = c.caller
		for _, path := range []string{"/events/registry", "/events/registry/counts"} {
			status, _ := o.do(t, http.MethodGet, path)
			require.Equal(t, c.read, status, "%s %s", name, path)
		}
		status, _ := o.do(t, http.MethodPost, "/events/registry/"+refused.String()+"/retry")
		require.Equal(t, c.write, status, name)
	}
	o.caller = services.Caller{Account: uuid.New(), Role: services.RoleAdmin}
	status, _ := o.do(t, http.MethodPost, "/events/registry/"+refused.String()+"/retry")
	require.Equal(t, http.StatusOK, status, "nobody has done it")
}

// TestOutboxesAreReadByTheirIndexes however many events are kept.
func TestOutboxesAreReadByTheirIndexes(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	_, err := o.pool.Exec(t.Context(), `
		INSERT INTO uaol_registry.outbox (event_id, type, subject, organization_id, data, created_at, published_at, refused)
		SELECT gen_random_uuid(), 'tool.updated', 's', gen_random_uuid(), '{}', now() - n * interval '1 second',
			CASE WHEN n % 1000 <> 0 THEN now() END, CASE WHEN n % 2000 = 0 THEN 'x' END FROM generate_series(1, 20000) n`)
	require.NoError(t, err)
	_, err = o.pool.Exec(t.Context(), `ANALYZE uaol_registry.outbox`)
	require.NoError(t, err)
	plans := pgtest.Explain(t, o.pool, "uaol_registry", "outbox")
	o.engine = gin.New()
	api.Mount(o.engine, api.Guards{Authenticator: o, Auditor: o}, true, o.outbox.Administration(plans.Pool, events.Outlet{})...)
	for _, query := range []string{"", "state=pending", "state=published", "state=refused"} {
		found, _ := o.list(t, query)
		require.NotEmpty(t, found)
	}
	status, _ := o.do(t, http.MethodGet, "/events/registry/counts")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, 6, plans.Seen())
}
