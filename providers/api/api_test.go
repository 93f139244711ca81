package api

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"uaol/services"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	goleak.VerifyTestMain(m)
}

// roles takes a caller's role from X-API-Key; a guest gets a session.
type roles struct{}

func (roles) Authenticate(_ context.Context, c services.Credentials) (caller services.Caller, guestID string, err error) {
	switch {
	case c.Foreign:
		return caller, "", services.Errorf(services.Unauthenticated, "No token provided")
	case c.APIKey == "bad" || c.Bearer != "":
		return caller, "", services.Errorf(services.Unauthenticated, "Invalid API key")
	case c.APIKey == "down":
		return caller, "", services.Errorf(services.Unavailable, "The database cannot be reached; try again")
	case c.APIKey != "":
		return services.Caller{Account: uuid.New(), Organization: uuid.New(), Role: services.Role(c.APIKey), OrgRole: services.OrgOwner}, "", nil
	case c.Guest:
		return services.Caller{Account: uuid.New(), Organization: uuid.New(), Role: services.RoleGuest, OrgRole: services.OrgOwner}, "session " + c.GuestID, nil
	}
	return caller, "", nil
}

// onlyGood lets the token "good" act for an account, at the service "inner".
type onlyGood struct{}

func (onlyGood) VerifyPeer(*http.Request) error { return nil }

func (onlyGood) VerifyService(token, audience string) (services.Caller, error) {
	if token != "good" || audience != "inner" {
		return services.Caller{}, services.Errorf(services.Unauthenticated, "Service token required")
	}
	return services.Caller{Account: uuid.Max, Role: services.RoleUser}, nil
}

func (onlyGood) VerifyOrigin(token string) (services.Origin, error) {
	if token != "good" {
		return services.Origin{}, services.Errorf(services.Unauthenticated, "Service token required")
	}
	return services.Origin{Address: "198.51.100.7", UserAgent: "the client"}, nil
}

type input struct {
	ID      uuid.UUID `path:"id" format:"uuid"`
	Verbose bool      `query:"verbose"`
	Body    struct {
		Name  string   `json:"name" minLength:"1" maxLength:"5"`
		Count int64    `json:"count,omitempty" minimum:"0" default:"7"`
		Tags  []string `json:"tags,omitempty" maxItems:"2"`
		Inner struct {
			Mode string `json:"mode,omitempty" enum:"a,b"`
		} `json:"inner,omitempty"`
	}
}

type free struct {
	Body map[string]any
}

func operations() []Operation {
	return []Operation{
		Post("/things/{id}", "Change", func(_ context.Context, _ services.Caller, in *input) (Data[any], error) {
			return OK[any](in.Body), nil
		}, Says("body.name", "Name is required")),
		Post("/free", "Anything", func(_ context.Context, _ services.Caller, in *free) (Data[any], error) {
			return OK[any](in.Body), nil
		}, Allow(Public), MaxBody(100)),
		Get("/list", "A list", func(_ context.Context, _ services.Caller, in *struct{ Paging }) (Page[int], error) {
			return Cut([]int(nil), in.Limit, func(i int) any { return i }), nil
		}, Allow(Public)),
		Get("/fail/{kind}", "Fail", func(_ context.Context, _ services.Caller, in *struct {
			Kind string `path:"kind"`
		}) (Message, error) {
			switch in.Kind {
			case "foreign":
				return Message{}, errors.New("hunter2: a driver's text")
			case "cancelled":
				return Message{}, fmt.Errorf("x: %w", context.Canceled)
			case "late":
				return Message{}, fmt.Errorf("x: %w", context.DeadlineExceeded)
			}
			return Message{}, services.Errorf(services.Kind(in.Kind), "in words").WithCode("OWN").WithDetails(map[string]int{"n": 1}).Because(errors.New("hunter2"))
		}, Allow(Public)),
		Get("/public", "Public", whoAmI, Allow(Public), Status(http.StatusAccepted), Also("/also"), Bare("/bare")),
		Get("/guest", "Guest", whoAmI, Allow(Guest)),
		Get("/user", "User", whoAmI),
		Get("/admin", "Admin", whoAmI, Allow(Admin)),
		Raw("GET", "/raw", "Raw", func(c *gin.Context, caller services.Caller) { c.JSON(200, OK(caller.Role)) }),
		Internal("/internal/inner/double", func(ctx context.Context, in struct{ N int }) (struct{ N int }, error) {
			if in.N < 0 {
				return in, services.Errorf(services.Conflict, "below zero")
			}
			return struct{ N int }{2 * in.N}, nil
		}),
		Internal("/internal/other/double", func(_ context.Context, in struct{ N int }) (struct{ N int }, error) { return in, nil }),
	}
}

func whoAmI(_ context.Context, caller services.Caller, _ *struct{}) (Data[services.Role], error) {
	return OK(caller.Role), nil
}

func setup(t testing.TB) *gin.Engine {
	t.Helper()
	engine := gin.New()
	Mount(engine, Guards{Authenticator: roles{}, Service: onlyGood{}}, true, operations()...)
	return engine
}

func do(engine http.Handler, method, path string, body io.Reader, headers ...string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(method, path, body)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	recorder := httptest.NewRecorder()
	engine.ServeHTTP(recorder, request)
	return recorder
}

func TestValidation(t *testing.T) {
	t.Parallel()
	engine := setup(t)
	const id = "/things/0190a5d0-0000-7000-8000-000000000000"
	for name, test := range map[string]struct {
		path, body, message, details string
	}{
		"missing": {id, `{}`, "Name is required", `[{"path":"body.name","message":"Name is required"}]`},
		"no body": {id, ``, "Name is required", `[{"path":"body.name","message":"Name is required"}]`},
		"empty":   {id, `{"name":""}`, "Name is required", `[{"path":"body.name","message":"Name is required"}]`},
		"null":    {id, `{"name":null}`, "Name is required", `[{"path":"body.name","message":"Name is required"}]`},
		"too long": {id, `{"name":"abcdef"}`, "body.name: expected length <= 5",
			`[{"path":"body.name","message":"expected length <= 5"}]`},
		"several": {id, `{"name":"x","count":-1,"tags":["a","b","c"],"inner":{"mode":"c"}}`, "body.count: expected number >= 0",
			`[{"path":"body.count","message":"expected number >= 0"},{"path":"body.inner.mode","message":"expected value to be one of \"a, b\""},{"path":"body.tags","message":"expected array length <= 2"}]`},
		"several, one of them the contract's": {id, `{"count":-1}`, "Name is required", ""},
		"wrong type":                          {id, `{"name":"x","count":"many"}`, "body.count: expected integer", ""},
		"inside a list":                       {id, `{"name":"x","tags":["a",1]}`, "body.tags[1]: expected string", ""},
		"not an object":                       {id, `[]`, "body: expected object", ""},
		"null alone":                          {id, `null`, "", ""},
		"malformed":                           {id, `{"name":`, "body: malformed JSON: unexpected end of JSON input", ""},
		"malformed inside":                    {id, `{"name":x}`, "", ""},
		"two objects":                         {id, `{"name":"x"}{}`, "", ""},
		"a bad path":                          {"/things/7", `{"name":"x"}`, "path.id: invalid value: invalid UUID length: 1", ""},
		"a bad query":                         {id + "?verbose=perhaps", `{"name":"x"}`, "query.verbose: invalid boolean", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := do(engine, "POST", test.path, strings.NewReader(test.body), "X-API-Key", "user")
			require.Equal(t, http.StatusBadRequest, got.Code, got.Body)
			require.Equal(t, "application/json; charset=utf-8", got.Header().Get("Content-Type"))
			var body struct {
				Success *bool
				Error   struct {
					Code, Message string
					Details       json.RawMessage
				}
			}
			require.NoError(t, json.Unmarshal(got.Body.Bytes(), &body))
			require.False(t, *body.Success)
			require.Equal(t, "VALIDATION_ERROR", body.Error.Code)
			if test.message != "" {
				require.Equal(t, test.message, body.Error.Message)
			}
			if test.details != "" {
				var got, want []services.Fault
				require.NoError(t, json.Unmarshal(body.Error.Details, &got))
				require.NoError(t, json.Unmarshal([]byte(test.details), &want))
				require.ElementsMatch(t, want, got)
			}
		})
	}
	got := do(engine, "POST", id, strings.NewReader(`{"name":"x","unknown":1}`), "X-API-Key", "user")
	require.Equal(t, 200, got.Code, "unknown members are ignored")
	require.JSONEq(t, `{"success":true,"data":{"name":"x","count":7,"inner":{}}}`, got.Body.String())
}

func TestBodies(t *testing.T) {
	t.Parallel()
	engine := setup(t)
	chunked := func(text string) io.Reader { return io.MultiReader(strings.NewReader(text)) } // of unknown length
	for name, test := range map[string]struct {
		body        io.Reader
		contentType string
		status      int
		answer      string
	}{
		"none":             {nil, "", 200, `{"success":true,"data":{}}`},
		"empty":            {strings.NewReader(""), "application/json", 200, `{"success":true,"data":{}}`},
		"empty, chunked":   {chunked(""), "application/json", 200, `{"success":true,"data":{}}`},
		"object":           {strings.NewReader(`{"a":1}`), "application/json", 200, `{"success":true,"data":{"a":1}}`},
		"object, chunked":  {chunked(`{"a":1}`), "application/json; charset=utf-8", 200, `{"success":true,"data":{"a":1}}`},
		"no type":          {strings.NewReader(`{"a":1}`), "", 200, `{"success":true,"data":{"a":1}}`},
		"at the limit":     {strings.NewReader(`{"a":"` + strings.Repeat("x", 92) + `"}`), "application/json", 200, ""},
		"over it":          {strings.NewReader(`{"a":"` + strings.Repeat("x", 93) + `"}`), "application/json", 413, `{"success":false,"error":{"code":"PAYLOAD_TOO_LARGE","message":"The body is larger than 100 bytes"}}`},
		"over it, chunked": {chunked(`{"a":"` + strings.Repeat("x", 93) + `"}`), "application/json", 413, `{"success":false,"error":{"code":"PAYLOAD_TOO_LARGE","message":"The body is larger than 100 bytes"}}`},
		"far over it":      {chunked(`{"a":"` + strings.Repeat("x", 1<<20) + `"}`), "application/json", 413, ""},
		"xml":              {strings.NewReader(`<a/>`), "text/xml", 415, `{"success":false,"error":{"code":"UNSUPPORTED_MEDIA_TYPE","message":"Content-Type must be application/json"}}`},
		"cbor":             {strings.NewReader(`x`), "application/cbor", 415, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := do(engine, "POST", "/free", test.body, "Content-Type", test.contentType)
			require.Equal(t, test.status, got.Code, got.Body)
			if test.answer != "" {
				require.JSONEq(t, test.answer, got.Body.String())
			}
		})
	}
	require.JSONEq(t, `{"success":true,"data":[]}`, do(engine, "GET", "/list", nil).Body.String(), "an empty list is one")
}

// TestAccess is the matrix of who may use what.
func TestAccess(t *testing.T) {
	t.Parallel()
	engine := setup(t)
	const bearer = "Authorization"
	callers := []struct {
		name    string
		headers []string
	}{
		{"nobody", nil}, {"session", []string{GuestHeader, "g"}}, {"user", []string{"X-API-Key", "user"}}, {"admin", []string{"X-API-Key", "admin"}},
		{"guest key", []string{"X-API-Key", "guest"}}, {"bad", []string{"X-API-Key", "bad"}}, {"down", []string{"X-API-Key", "down"}},
		{"basic", []string{bearer, "Basic x"}}, {"service", []string{bearer, "Bearer good"}},
	}
	for path, statuses := range map[string][]int{
		"GET /public":                 {202, 202, 202, 202, 202, 401, 503, 401, 401},
		"GET /also":                   {202, 202, 202, 202, 202, 401, 503, 401, 401},
		"GET /bare":                   {202, 202, 202, 202, 202, 401, 503, 401, 401},
		"GET /guest":                  {200, 200, 200, 200, 200, 401, 503, 401, 401},
		"GET /user":                   {401, 401, 200, 200, 401, 401, 503, 401, 401},
		"GET /raw":                    {401, 401, 200, 200, 401, 401, 503, 401, 401},
		"GET /admin":                  {401, 401, 403, 200, 401, 401, 503, 401, 401},
		"POST /internal/inner/double": {401, 401, 401, 401, 401, 401, 401, 401, 200},
		"POST /internal/other/double": {401, 401, 401, 401, 401, 401, 401, 401, 401},
	} {
		method, path, _ := strings.Cut(path, " ")
		for i, c := range callers {
			got := do(engine, method, path, strings.NewReader(`{"N":4}`), c.headers...)
			require.Equal(t, statuses[i], got.Code, "%s as %s: %s", path, c.name, got.Body)
			switch {
			case path == "/guest" && got.Code == 200:
				want := map[string]string{"nobody": "session ", "session": "session g"}[c.name]
				require.Equal(t, want, got.Header().Get(GuestHeader))
			case path == "/internal/inner/double" && got.Code == 200:
				require.JSONEq(t, `{"N":8}`, got.Body.String(), "no envelope between services")
			}
		}
	}

	bareless, alone := gin.New(), gin.New()
	Mount(bareless, Guards{Authenticator: roles{}}, false, operations()...)
	require.Equal(t, 404, do(bareless, "GET", "/bare", nil).Code)
	require.Equal(t, 401, do(bareless, "POST", "/internal/inner/double", nil, bearer, "Bearer good").Code, "without a guard nobody gets in")
	Mount(alone, Guards{}, false, operations()...)
	require.Equal(t, 202, do(alone, "GET", "/public", nil).Code)
	require.Equal(t, 503, do(alone, "GET", "/user", nil).Code)
}

func TestLimitGuard(t *testing.T) {
	t.Parallel()
	var asked []services.Role
	engine := gin.New()
	Mount(engine, Guards{Authenticator: roles{}, Service: onlyGood{}, Limit: func(c *gin.Context, caller services.Caller) error {
		asked = append(asked, caller.Role)
		if caller.Admin() {
			return nil
		}
		return services.Errorf(services.Limited, "too many")
	}, Attempt: func(_ *gin.Context, secret string, try func() error) error {
		err := try()
		if services.Is(err, services.Unauthenticated) {
			require.Contains(t, secret, "bad")
			asked = append(asked, services.RoleNone)
			return services.Errorf(services.Limited, "too many")
		}
		return err
	}}, true, operations()...)
	got := do(engine, "GET", "/user", nil, "X-API-Key", "user")
	require.Equal(t, 429, got.Code)
	require.Equal(t, "60", got.Header().Get("Retry-After"), "unless the limiter knows better")
	require.JSONEq(t, `{"success":false,"error":{"code":"RATE_LIMIT_ERROR","message":"too many"}}`, got.Body.String())
	require.Equal(t, 200, do(engine, "GET", "/user", nil, "X-API-Key", "admin").Code)
	require.Equal(t, 200, do(engine, "POST", "/internal/inner/double", strings.NewReader(`{"N":1}`), "Authorization", "Bearer good").Code)
	require.Equal(t, []services.Role{services.RoleUser, services.RoleAdmin}, asked, "our own services are not counted")

	// Who is nobody, or not believed, counts by address: a guest before it is
	// made, a guessed key because it was refused.
	for _, test := range []struct {
		path    string
		headers []string
	}{
		{"/public", nil}, {"/guest", nil}, {"/guest", []string{GuestHeader, "g"}}, {"/user", []string{"X-API-Key", "bad"}}, {"/user", nil},
	} {
		asked = nil
		got = do(engine, "GET", test.path, nil, test.headers...)
		require.Equal(t, 429, got.Code, test)
		require.Empty(t, got.Header().Get(GuestHeader), "no guest was made")
		require.Equal(t, []services.Role{services.RoleNone}, asked, test)
	}
	asked = nil
	require.Equal(t, 503, do(engine, "GET", "/user", nil, "X-API-Key", "down").Code)
	require.Empty(t, asked)
}

// TestErrors: each kind has its status and code; foreign errors keep their text.
func TestErrors(t *testing.T) {
	t.Parallel()
	engine := setup(t)
	for _, row := range statuses {
		got := do(engine, "GET", "/fail/"+string(row.kind), nil)
		require.Equal(t, row.status, got.Code)
		require.JSONEq(t, `{"success":false,"error":{"code":"OWN","message":"in words","details":{"n":1}}}`, got.Body.String())
		require.JSONEq(t, `{"success":false,"error":{"code":"`+row.code+`","message":"m"}}`, marshal(t, toBody(services.Errorf(row.kind, "m"))))
	}
	for kind, want := range map[string]struct {
		status        int
		code, message string
	}{
		"foreign":   {500, "INTERNAL_ERROR", "An internal error occurred"},
		"cancelled": {503, "UNAVAILABLE", "The request was cancelled"},
		"late":      {503, "UNAVAILABLE", "This took too long; try again"},
		"no-such":   {500, "OWN", "in words"},
	} {
		got := do(engine, "GET", "/fail/"+kind, nil)
		require.Equal(t, want.status, got.Code)
		require.Contains(t, got.Body.String(), `"code":"`+want.code+`","message":"`+want.message+`"`)
		require.NotContains(t, got.Body.String(), "hunter2")
	}
}

func marshal(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	return string(text)
}

// TestErrorsCrossTheWire: written and read, an error has the same four parts.
func TestErrorsCrossTheWire(t *testing.T) {
	t.Parallel()
	for _, row := range statuses {
		for _, code := range []string{"", "OWN"} {
			if row.kind == services.Internal && code != "" {
				continue // a defect has no code of its own
			}
			for _, details := range []any{nil, []services.Fault{{Path: "a", Message: "b"}}, "text", 7.5, map[string]any{"a": nil}} {
				e := services.Errorf(row.kind, "in words: %s", "ünï").WithCode(code).WithDetails(details).Because(errors.New("hunter2"))
				body := toBody(e)
				text := marshal(t, body)
				require.NotContains(t, text, "hunter2")
				var read *services.Error
				require.True(t, errors.As(ReadError(body.GetStatus(), []byte(text)), &read))
				require.Equal(t, e.Kind, read.Kind)
				require.Equal(t, e.Code, read.Code)
				require.Equal(t, e.Message, read.Message)
				require.JSONEq(t, marshal(t, e.Details), marshal(t, read.Details))
			}
		}
	}
	for _, body := range []string{"", "<html>", "null", "[]", `"x"`, `{"error":"text"}`, `{"error":null}`, `{"message":"x"}`} {
		err := ReadError(404, []byte(body))
		require.True(t, services.Is(err, services.Unavailable), "%q: %v", body, err)
		require.ErrorContains(t, err, "Something that is not UAOL answered with status 404")
	}
	require.Equal(t, services.Invalid, KindOfStatus(418))
	require.Equal(t, services.Internal, KindOfStatus(599))
}

func FuzzReadError(f *testing.F) {
	f.Add(404, []byte(`{"error":{"code":"X","message":"m","details":{}}}`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		var e *services.Error
		if err := ReadError(status, body); !errors.As(err, &e) || e.Kind == "" {
			t.Fatal(err)
		}
	})
}

// TestDocument: every operation that is for clients, once, with a unique id.
func TestDocument(t *testing.T) {
	t.Parallel()
	all := operations()
	text := marshal(t, Document("Title", "1.2.3", all))
	var document struct {
		OpenAPI string
		Info    struct{ Title, Version string }
		Paths   map[string]map[string]struct {
			OperationID string
			Summary     string
			Security    []map[string][]string
		}
	}
	require.NoError(t, json.Unmarshal([]byte(text), &document))
	require.Regexp(t, `^3\.1`, document.OpenAPI)
	require.Equal(t, "Title", document.Info.Title)
	ids := map[string]bool{}
	for path, methods := range document.Paths {
		require.NotContains(t, path, "internal")
		for _, op := range methods {
			require.NotEmpty(t, op.OperationID)
			require.NotEmpty(t, op.Summary)
			require.False(t, ids[op.OperationID], op.OperationID)
			ids[op.OperationID] = true
		}
	}
	for _, op := range all {
		documented, ok := document.Paths[op.Path][strings.ToLower(op.Method)]
		require.Equal(t, op.Access != Service, ok, op.Path)
		if ok {
			require.Equal(t, op.Access == Public, len(documented.Security) == 0, op.Path)
		}
	}
	require.NotContains(t, text, `$schema`)
	for _, theirs := range []string{"problem+json", "ErrorModel", "ErrorDetail"} {
		require.NotContains(t, text, theirs, "errors are the contract's")
	}
	require.Contains(t, text, `ErrorBody"`)
	require.Equal(t, text, marshal(t, Document("Title", "1.2.3", operations())), "the same each time")
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]services.Credentials{
		"":            {},
		"Bearer abc":  {Bearer: "abc"},
		"bearer  abc": {Bearer: "abc"},
		"BEARER abc ": {Bearer: "abc"},
		"Bearer":      {Foreign: true},
		"Bearer ":     {Foreign: true},
		"Basic abc":   {Bearer: "abc", Foreign: true},
		"abc":         {Foreign: true},
	} {
		request := httptest.NewRequest("GET", "/", nil)
		request.Header.Set("Authorization", header)
		require.Equal(t, want, Credentials(request), header)
	}
	request := httptest.NewRequest("GET", "/", nil)
	request.Header.Set("x-api-key", "k")
	request.Header.Set("x-guest-id", "g")
	require.Equal(t, services.Credentials{APIKey: "k", GuestID: "g"}, Credentials(request))
}

func TestCursors(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		at := time.Unix(rapid.Int64Range(1, 4e9).Draw(t, "seconds"), rapid.Int64Range(0, 999_999).Draw(t, "µs")*1000).UTC()
		id := uuid.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
		page := Cut([]int{1, 2, 3}, 2, func(int) any { return newest{At: at, ID: id} })
		require.Equal(t, []int{1, 2}, page.Data)
		read, err := ReadCursor[newest](page.NextCursor)
		require.NoError(t, err)
		require.True(t, at.Equal(read.At), "to the microsecond, which databases keep")
		require.Equal(t, id, read.ID)
	})
	for rows, next := range map[int]bool{0: false, 1: false, 2: false, 3: true} {
		page := Cut(make([]int, rows), 2, func(int) any { return 0 })
		require.Equal(t, next, page.NextCursor != "")
		require.LessOrEqual(t, len(page.Data), 2)
		require.NotNil(t, page.Data)
	}
	for _, bad := range []string{"!", "a", base64.RawURLEncoding.EncodeToString([]byte("nope")), base64.RawURLEncoding.EncodeToString([]byte(`{"ID":1}`))} {
		_, err := ReadCursor[newest](bad)
		require.True(t, services.Is(err, services.Invalid), bad)
	}
}

// TestNewestFirst draws rows of which many share a moment: page by page each
// comes once, in the list's order.
func TestNewestFirst(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var rows []newest
		for range rapid.IntRange(0, 12).Draw(t, "rows") {
			rows = append(rows, newest{At: time.Unix(1e9, rapid.Int64Range(0, 2).Draw(t, "µs")*1000).UTC(), ID: uuid.New()})
		}
		after := func(a, b newest) int { // newest first
			if c := b.At.Compare(a.At); c != 0 {
				return c
			}
			return bytes.Compare(b.ID[:], a.ID[:])
		}
		slices.SortFunc(rows, after)
		list := func(before time.Time, id uuid.UUID, limit int) (found []newest, _ error) {
			for _, row := range rows {
				if after(newest{At: before, ID: id}, row) < 0 && len(found) < limit {
					found = append(found, row)
				}
			}
			return found, nil
		}
		paging := Paging{Limit: rapid.IntRange(1, 5).Draw(t, "limit")}
		var seen []newest
		for {
			page, err := NewestFirst(paging, list, func(n newest) (time.Time, uuid.UUID) { return n.At, n.ID })
			require.NoError(t, err)
			seen = append(seen, page.Data...)
			if paging.Cursor = page.NextCursor; paging.Cursor == "" {
				break
			}
		}
		require.Equal(t, rows, seen)
	})
	_, err := NewestFirst(Paging{Limit: 1, Cursor: "!"}, func(time.Time, uuid.UUID, int) ([]int, error) { panic("not asked") }, nil)
	require.True(t, services.Is(err, services.Invalid))
	_, err = NewestFirst(Paging{Limit: 1}, func(time.Time, uuid.UUID, int) ([]int, error) { return nil, io.EOF }, nil)
	require.ErrorIs(t, err, io.EOF)
}

func FuzzCursor(f *testing.F) {
	f.Add("eyJBdCI6IjIwMjYtMDEtMDFUMDA6MDA6MDBaIn0")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := ReadCursor[newest](text); err != nil && !services.Is(err, services.Invalid) {
			t.Fatal(err)
		}
	})
}
