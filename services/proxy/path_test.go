package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/providers/api"
	"uaol/providers/upstream"
	"uaol/services"
	"uaol/services/registry"
	"uaol/services/registry/credentials"
)

// shelf is a Catalog of offers as a test lays them out.
type shelf struct {
	registry.Catalog
	mu       sync.Mutex
	offers   map[uuid.UUID]registry.Offer
	inspect  func(registry.InspectRequest) (registry.Offer, error)
	looks    []registry.InspectRequest
	carried  credentials.Carried
	required error
	asked    atomic.Int64 // for credentials
}

func (s *shelf) Offers(_ context.Context, in registry.ToolsRequest) (offers []registry.Offer, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range in.IDs {
		if o, ok := s.offers[id]; ok {
			offers = append(offers, o)
		}
	}
	return offers, nil
}

func (s *shelf) Inspect(_ context.Context, in registry.InspectRequest) (registry.Offer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looks = append(s.looks, in)
	if s.inspect == nil {
		return registry.Offer{}, services.Errorf(services.Unavailable, "nobody looks")
	}
	return s.inspect(in)
}

func (s *shelf) looked() []registry.InspectRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.looks)
}

func (s *shelf) Credentials(context.Context, registry.CredentialsRequest) (credentials.Carried, error) {
	s.asked.Add(1)
	return s.carried, s.required
}

// offer makes the proxy call a tool that is offered just so.
func (b *bench) offer(t testing.TB, price int64, url, protocol string, change func(*registry.Offer)) uuid.UUID {
	t.Helper()
	if b.shelf == nil {
		b.shelf = &shelf{Catalog: b.catalog, offers: map[uuid.UUID]registry.Offer{}}
		b.serve(t, b.shelf, b.meter, nil)
	}
	o := registry.Offer{ToolID: uuid.New(), Name: "tool", Version: 1, CheckedAt: time.Now(), Organization: uuid.New(), Developer: uuid.New(),
		Definition: registry.Definition{GatewayURL: url, Protocol: protocol, Price: price, Visibility: registry.Public}}
	if change != nil {
		change(&o)
	}
	b.shelf.mu.Lock()
	defer b.shelf.mu.Unlock()
	b.shelf.offers[o.ToolID] = o
	return o.ToolID
}

// pinned offers just these methods, each as JSON.
func pinned(methods ...string) func(*registry.Offer) {
	return func(o *registry.Offer) {
		o.Pinned = true
		for _, text := range methods {
			var m registry.Method
			if err := json.Unmarshal([]byte(text), &m); err != nil {
				panic(err)
			}
			o.Methods = append(o.Methods, m)
		}
	}
}

func errorOf(t testing.TB, err error) *services.Error {
	t.Helper()
	var e *services.Error
	require.True(t, errors.As(err, &e), "%v", err)
	return e
}

func (b *bench) call(t testing.TB, tool uuid.UUID, method, params string) error {
	t.Helper()
	_, err := b.service.Call(t.Context(), CallRequest{Caller: b.caller, ToolID: tool, Method: method, Params: json.RawMessage(params)})
	return err
}

const taking = `{"name":"fine","inputSchema":{"type":"object","required":["city"],"additionalProperties":false,"properties":{
	"city":{"type":"string","minLength":2},"days":{"type":"integer","minimum":1},"where":{"type":"object","properties":{"lat":{"type":"number"}}},
	"tags":{"type":"array","items":{"enum":["a","b"]}},"mail":{"type":"string","pattern":"^(?!x)"}}}}`

func TestArgumentsAreCheckedBeforeAnythingIsHeld(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.offer(t, 7, b.box.odd, "rest", pinned(taking))
	for params, want := range map[string]string{
		`{}`:                         `body.params.city: is required`,
		`{"city":5}`:                 `body.params.city: got number, want string`,
		`{"city":"x"}`:               `body.params.city: minLength: got 1, want 2`,
		`{"city":"Rome","days":0}`:   `body.params.days: minimum: got 0, want 1`,
		`{"city":"Rome","days":1.5}`: `body.params.days: got number, want integer`,
		`{"city":"Rome","where":{"lat":1},"where ":1}`: `body.params.where : is not a parameter of this method`,
		`{"city":"Rome","where":{"lat":"x"}}`:          `body.params.where.lat: got string, want number`,
		`{"city":"Rome","tags":["a","c"]}`:             `body.params.tags[1]: value must be one of 'a', 'b'`,
		`{"city":"Rome","city":"Bern"}`:                `body.params: has a member twice`,
		`{"city":"Rome","where":{"a":1,"\u0061":2}}`:   `body.params: has a member twice`,
		`{"city":"Rome","days":1e999999}`:              `body.params: has a number that is too long`,
	} {
		err := b.call(t, tool, "fine", params)
		require.EqualError(t, err, want, params)
		require.Equal(t, services.Invalid, services.KindOf(err))
	}
	deep := strings.Repeat(`{"a":`, deepest) + "1" + strings.Repeat("}", deepest)
	require.EqualError(t, b.call(t, tool, "fine", `{"x":`+deep+`}`), "body.params: is nested too deeply")
	e := errorOf(t, b.call(t, tool, "fine", `{"days":"x","tags":[1],"more":1,"city":1}`))
	require.Len(t, e.Details, 4, "all at once")
	require.NoError(t, b.call(t, tool, "fine", `{"city":"Rome","days":2,"where":{"lat":1},"tags":["a"],"mail":"me"}`))
	require.EqualValues(t, 1, b.box.calls.Load())
	require.EqualValues(t, 7, b.spent(t))
	require.EqualValues(t, 1, b.entries(t, "hold"), "what is refused is not held for")
}

func TestFaultsAreCapped(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.offer(t, 0, b.box.odd, "rest", pinned(`{"name":"fine","inputSchema":{"type":"object","additionalProperties":{"type":"string"}}}`))
	params := map[string]int{}
	for i := range 100 {
		params[fmt.Sprint("p", i)] = i
	}
	text, err := json.Marshal(params)
	require.NoError(t, err)
	require.Len(t, errorOf(t, b.call(t, tool, "fine", string(text))).Details, mostFaults)
	closed := b.offer(t, 0, b.box.odd, "rest", pinned(`{"name":"fine","inputSchema":{"type":"object","additionalProperties":false}}`))
	require.Len(t, errorOf(t, b.call(t, closed, "fine", string(text))).Details, mostFaults)
}

func TestSchemasOfManyDrafts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, c := range map[string]struct{ schema, good, bad string }{
		"draft 4":      {`{"$schema":"http://json-schema.org/draft-04/schema#","properties":{"n":{"maximum":5,"exclusiveMaximum":true}}}`, `{"n":4}`, `{"n":5}`},
		"draft 7":      {`{"$schema":"http://json-schema.org/draft-07/schema#","definitions":{"n":{"type":"integer"}},"properties":{"n":{"$ref":"#/definitions/n"}}}`, `{"n":4}`, `{"n":"4"}`},
		"2019-09":      {`{"$schema":"https://json-schema.org/draft/2019-09/schema","dependentRequired":{"a":["b"]}}`, `{"a":1,"b":1}`, `{"a":1}`},
		"2020-12":      {`{"$schema":"https://json-schema.org/draft/2020-12/schema","$defs":{"n":{"type":"integer"}},"properties":{"l":{"prefixItems":[{"$ref":"#/$defs/n"}]}}}`, `{"l":[1]}`, `{"l":["1"]}`},
		"none, so new": {`{"properties":{"l":{"prefixItems":[{"type":"integer"}]}}}`, `{"l":[1]}`, `{"l":["1"]}`},
	} {
		tool := b.offer(t, 0, b.box.odd, "rest", pinned(`{"name":"fine","inputSchema":`+c.schema+`}`))
		require.NoError(t, b.call(t, tool, "fine", c.good), name)
		require.Equal(t, services.Invalid, services.KindOf(b.call(t, tool, "fine", c.bad)), name)
	}
	var fetched atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetched.Add(1)
		_, _ = w.Write([]byte(`{}`))
	}))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "schema.json")
	require.NoError(t, os.WriteFile(file, []byte(`{}`), 0o600))
	for _, ref := range []string{server.URL + "/schema", "file://" + file, "other.json"} {
		tool := b.offer(t, 7, b.box.odd, "rest", pinned(`{"name":"fine","inputSchema":{"$ref":"`+ref+`"}}`))
		e := errorOf(t, b.call(t, tool, "fine", `{}`))
		require.Equal(t, CodeInvalidSchema, e.Code, "%s: %v", ref, e)
	}
	require.Zero(t, fetched.Load(), "nothing is fetched for a schema")
	require.Zero(t, b.spent(t))
}

func TestAResultThatBreaksItsPromiseCostsNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	promises := func(schema string) uuid.UUID {
		return b.offer(t, 7, b.box.odd, "rest", pinned(`{"name":"fine","outputSchema":`+schema+`}`, `{"name":"list","outputSchema":`+schema+`}`))
	}
	require.NoError(t, b.call(t, promises(`{"type":"object","required":["n"]}`), "fine", ``))
	require.EqualValues(t, 7, b.spent(t))
	for method, schema := range map[string]string{"fine": `{"properties":{"n":{"type":"string"}}}`, "list": `{"type":"object"}`} {
		err := b.call(t, promises(schema), method, ``)
		e := errorOf(t, err)
		require.Equal(t, services.Upstream, e.Kind)
		require.Equal(t, CodeInvalidResult, e.Code)
		require.Contains(t, e.Details.([]services.Fault)[0].Path, "result.structuredContent")
		require.NotContains(t, err.Error(), "9007199254740993")
	}
	require.EqualValues(t, 7, b.spent(t))
	require.EqualValues(t, 2, b.entries(t, "release"))
}

func TestWhoSeesATool(t *testing.T) {
	t.Parallel()
	b := setup(t)
	colleague, stranger := b.caller, user()
	colleague.Account = uuid.New()
	for visibility, sees := range map[registry.Visibility][3]bool{
		registry.Public: {true, true, true}, registry.Organization: {true, true, false}, registry.Private: {true, false, false},
	} {
		tool := b.offer(t, 0, b.box.odd, "rest", func(o *registry.Offer) {
			pinned(`{"name":"fine"}`)(o)
			o.Visibility, o.Organization, o.Developer = visibility, b.caller.Organization, b.caller.Account
		})
		for i, caller := range []services.Caller{b.caller, colleague, stranger} {
			_, call := b.service.Call(t.Context(), CallRequest{Caller: caller, ToolID: tool, Method: "fine"})
			_, list := b.service.Methods(t.Context(), MethodsRequest{Caller: caller, ToolID: tool})
			for _, err := range []error{call, list} {
				if sees[i] {
					require.NoError(t, err, "%s %d", visibility, i)
				} else {
					require.EqualError(t, err, "Tool not found", "%s %d", visibility, i)
				}
			}
		}
	}
}

func TestPricesOfMethods(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.offer(t, 7, b.box.odd, "rest", func(o *registry.Offer) {
		o.Prices = map[string]int64{"dear": 50, "gratis": 0}
	})
	for _, method := range []string{"dear", "gratis", "fine"} {
		require.NoError(t, b.call(t, tool, method, ``))
	}
	require.EqualValues(t, 57, b.spent(t))
	require.EqualValues(t, 2, b.entries(t, "hold"))
}

func TestAMethodInQuarantineIsNotCalled(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.offer(t, 7, b.box.odd, "rest", pinned(`{"name":"fine"}`, `{"name":"new","difference":"added"}`, `{"name":"other","difference":"changed"}`))
	for _, method := range []string{"new", "other"} {
		e := errorOf(t, b.call(t, tool, method, ``))
		require.Equal(t, registry.CodeQuarantined, e.Code)
	}
	require.Equal(t, services.NotFound, services.KindOf(b.call(t, tool, "nope", ``)))
	require.NoError(t, b.call(t, tool, "fine", ``))
	methods, err := b.service.Methods(t.Context(), MethodsRequest{Caller: b.caller, ToolID: tool})
	require.NoError(t, err)
	require.Len(t, methods, 1)
	require.EqualValues(t, 1, b.box.calls.Load())
	require.EqualValues(t, 7, b.spent(t))
}

func TestAStaleViewIsLookedAtFirst(t *testing.T) {
	t.Parallel()
	b := setup(t)
	old := func(o *registry.Offer) {
		pinned(`{"name":"fine"}`)(o)
		o.CheckedAt = time.Now().Add(-time.Hour)
	}
	changed, gone, dark := b.offer(t, 7, b.box.odd, "rest", old), b.offer(t, 7, b.box.odd, "rest", old), b.offer(t, 7, b.box.odd, "rest", old)
	fresh := b.offer(t, 7, b.box.odd, "rest", pinned(`{"name":"fine"}`))
	b.shelf.inspect = func(in registry.InspectRequest) (registry.Offer, error) {
		switch in.ToolID {
		case changed:
			seen := b.shelf.offers[changed]
			seen.Methods = []registry.Method{{Method: upstream.Method{Name: "fine"}, Difference: "changed"}}
			return seen, nil
		case gone:
			return registry.Offer{}, services.Errorf(services.Conflict, "another version is in force")
		}
		return registry.Offer{}, services.Errorf(services.Unavailable, "it can't be looked at")
	}
	require.Equal(t, registry.CodeQuarantined, errorOf(t, b.call(t, changed, "fine", ``)).Code)
	require.Equal(t, services.Conflict, services.KindOf(b.call(t, gone, "fine", ``)))
	require.Zero(t, b.box.calls.Load())
	before := len(b.shelf.looked())
	for range 3 {
		require.NoError(t, b.call(t, dark, "fine", ``), "what can't be looked at can still be called")
	}
	require.Len(t, b.shelf.looked(), before+1, "and is not looked at for each call")
	require.NoError(t, b.call(t, fresh, "fine", ``))
	require.Len(t, b.shelf.looked(), before+1)
}

func TestAToolThatDeniesItsMethodIsLookedAt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.offer(t, 7, b.box.mcp, "mcp", pinned(`{"name":"nope"}`, `{"name":"echo"}`))
	require.NoError(t, b.call(t, tool, "echo", ``))
	require.Equal(t, services.Upstream, services.KindOf(b.call(t, tool, "nope", ``)))
	require.Eventually(t, func() bool { return len(b.shelf.looked()) == 1 }, patience, 5*time.Millisecond)
	require.Equal(t, registry.InspectRequest{ToolID: tool, Version: 1, Method: "nope"}, b.shelf.looked()[0])
	require.EqualValues(t, 7, b.spent(t))
}

// headersAt is a REST tool that says what it was sent.
func headersAt(t testing.TB) (url string, last func() (http.Header, string)) {
	var mu sync.Mutex
	var header http.Header
	var body string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		mu.Lock()
		header, body = r.Header, string(text)
		mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"fine":true}`))
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL, func() (http.Header, string) {
		mu.Lock()
		defer mu.Unlock()
		return header, body
	}
}

func TestCredentialsGoToTheToolAndNowhereElse(t *testing.T) {
	t.Parallel()
	b := setup(t)
	url, last := headersAt(t)
	tool := b.offer(t, 7, url, "rest", func(o *registry.Offer) {
		pinned(`{"name":"fine","inputSchema":{"type":"object","required":["token"],"properties":{"token":{"type":"string","pattern":"^tok"},"a":{}},"additionalProperties":false}}`)(o)
		o.Inject = credentials.Injection{Headers: map[string]string{"X-Key": "{{secret.k}}"}, Arguments: map[string]string{"token": "{{secret.t}}"}}
	})
	b.shelf.carried = credentials.Carried{Headers: map[string]string{"X-Key": "hunter2"}, Arguments: map[string]string{"token": "tok\"hunter3"}}
	for _, params := range []string{``, `{}`, ` { } `, `{"a":1}`} {
		require.NoError(t, b.call(t, tool, "fine", params))
		header, body := last()
		require.Equal(t, "hunter2", header.Get("X-Key"))
		require.Contains(t, body, `"token":"tok\"hunter3"`)
		require.True(t, json.Valid([]byte(body)), body)
	}
	require.EqualError(t, b.call(t, tool, "fine", `{"token":"mine"}`), "body.params.token: is set by the tool's own settings; leave it out")

	b.shelf.carried.Arguments = map[string]string{"token": "hunter4"}
	err := b.call(t, tool, "fine", `{}`)
	require.Equal(t, services.Invalid, services.KindOf(err))
	require.NotContains(t, fmt.Sprintf("%v %v", err, errorOf(t, err).Details), "hunter", "a secret that does not fit is not shown")

	b.shelf.required = services.Errorf(services.Invalid, "give it first").WithCode(credentials.CodeRequired)
	require.Equal(t, credentials.CodeRequired, errorOf(t, b.call(t, tool, "fine", `{}`)).Code)
	require.EqualValues(t, 4*7, b.spent(t))
	for _, r := range b.records(t) {
		require.NotContains(t, fmt.Sprintf("%+v", r), "hunter")
		require.Equal(t, r.Outcome == Refused && r.Shape != "{}", strings.Contains(r.Shape, "token"), "only what the caller gave")
	}
	plain := b.offer(t, 0, url, "rest", nil)
	asked := b.shelf.asked.Load()
	require.NoError(t, b.call(t, plain, "fine", ``))
	require.Equal(t, asked, b.shelf.asked.Load(), "a tool that takes none is not asked about")
}

func TestCallsAreRecordedByTheirLooks(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.offer(t, 7, b.box.odd, "rest", pinned(`{"name":"fine"}`, `{"name":"status500"}`, `{"name":"strict","inputSchema":{"required":["x"]}}`))
	secretive := `{"city":"hunter2","deep":{"a":{"b":{"c":{"d":1}}}},"list":["hunter2"],"none":null,"yes":true,"by mail":{"bob@example.com":1},"0123456789":1}`
	b.caller.Key = uuid.New()
	ctx := services.WithRequestID(t.Context(), "request-1")
	_, err := b.service.Call(ctx, CallRequest{Caller: b.caller, ToolID: tool, Method: "fine", Params: json.RawMessage(secretive)})
	require.NoError(t, err)
	require.NoError(t, b.call(t, tool, "fine", strings.ReplaceAll(secretive, `:`, ` :  `)))
	require.Error(t, b.call(t, tool, "status500", `{}`))
	require.Error(t, b.call(t, tool, "strict", `{}`))
	job := uuid.New()
	_, err = b.service.Call(t.Context(), CallRequest{Caller: b.caller, ToolID: tool, Method: "fine", Operation: job.String() + "/step-1", Prepaid: &job})
	require.NoError(t, err)
	records := b.records(t)
	require.Len(t, records, 5)
	first := records[0]
	require.Equal(t, `{city:string,deep:{a:{b:{c:object}}},list:[string],none:null,yes:boolean...}`, first.Shape)
	require.Equal(t, first.Digest, records[1].Digest, "spaces change nothing")
	require.Len(t, first.Digest, 64)
	require.NotEqual(t, first.Digest, records[2].Digest)
	require.Equal(t, "request-1", first.TraceID)
	require.Equal(t, b.caller.Key, *first.Key)
	require.Equal(t, []any{b.caller.Organization, b.caller.Account, tool, int64(1), "fine"}, []any{first.Organization, first.Account, first.ToolID, first.Version, first.Method})
	require.EqualValues(t, len(secretive), first.BytesOut)
	require.Positive(t, first.BytesIn)
	for i, want := range []struct {
		outcome Outcome
		code    string
		credits int64
	}{{Succeeded, "", 7}, {Succeeded, "", 7}, {Failed, "UPSTREAM_ERROR", 0}, {Refused, "VALIDATION_ERROR", 0}, {Succeeded, "", 0}} {
		got := records[i]
		require.Equal(t, want.outcome, got.Outcome, i)
		require.Equal(t, want.code, got.Code, i)
		require.Equal(t, want.credits, got.Credits, i)
	}
	require.Equal(t, job, *records[4].JobID)
	require.Equal(t, "step-1", records[4].Step)
}

func TestShapesAreShort(t *testing.T) {
	t.Parallel()
	many := map[string]any{}
	for i := range 30 {
		many[fmt.Sprint("a_rather_long_name_", string(rune('a'+i%26)), i)] = map[string]any{"some": []any{"x"}, "thing": 1.5}
	}
	text, err := json.Marshal(many)
	require.NoError(t, err)
	a, err := readArguments(text)
	require.NoError(t, err)
	require.LessOrEqual(t, len(a.shape()), longestShape)
	require.True(t, strings.HasSuffix(a.shape(), "…"))
}

// limited is a Limiter that lets so many calls through.
type limited struct{ left atomic.Int64 }

func (l *limited) Take(context.Context, services.Caller, registry.Offer) error {
	if l.left.Add(-1) < 0 {
		return services.Errorf(services.Limited, "too many").WithDetails(LimitReached{Scope: LimitTool, PerMinute: 1, RetryAfter: 42})
	}
	return nil
}

func TestWhoIsOverALimitPaysNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool, limiter := b.tool(t, 7, b.box.odd, "rest"), &limited{}
	limiter.left.Store(1)
	b.serve(t, b.catalog, b.meter, limiter)
	post := b.http(t)
	response := post("/proxy/"+tool.String()+"/call", `{"method":"fine"}`, nil)
	require.Equal(t, http.StatusOK, response.Code)
	response = post("/proxy/"+tool.String()+"/call", `{"method":"fine"}`, nil)
	require.Equal(t, http.StatusTooManyRequests, response.Code)
	require.Equal(t, "42", response.Header().Get("Retry-After"))
	require.EqualValues(t, 1, b.box.calls.Load())
	require.EqualValues(t, 7, b.spent(t))
	require.Len(t, b.records(t), 1, "a flood does not fill the log")
}

// http serves the proxy's routes.
func (b *bench) http(t testing.TB) func(path, body string, header http.Header) *httptest.ResponseRecorder {
	gin.SetMode(gin.ReleaseMode)
	router := gin.New()
	api.Mount(router, api.Guards{Authenticator: everybody{b.caller}}, true, b.internal()...)
	return func(path, body string, header http.Header) *httptest.ResponseRecorder {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, bodyOf(body))
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Authorization", "Bearer hunter2")
		for name, values := range header {
			request.Header[name] = values
		}
		w := httptest.NewRecorder()
		router.ServeHTTP(w, request)
		return w
	}
}

func TestACallersOwnHeadersNeverReachATool(t *testing.T) {
	t.Parallel()
	b := setup(t)
	url, last := headersAt(t)
	for _, protocol := range []string{"rest", "json-rpc"} {
		tool := b.offer(t, 0, url, protocol, nil)
		b.http(t)("/proxy/"+tool.String()+"/call", `{"method":"fine"}`, http.Header{
			"Cookie": {"hunter2"}, "X-Api-Key": {"hunter2"}, "X-Guest-Id": {"hunter2"}, "X-Organization": {"hunter2"}, "X-Forwarded-For": {"hunter2"},
		})
		header, _ := last()
		require.NotContains(t, fmt.Sprint(header), "hunter2")
		require.Empty(t, header.Get("Authorization"))
	}
}

func TestBodiesOfCalls(t *testing.T) {
	t.Parallel()
	b := setup(t)
	url, last := headersAt(t)
	tool := b.offer(t, 0, url, "rest", nil)
	post, path := b.http(t), "/proxy/"+tool.String()+"/call"
	for body, want := range map[string]string{
		`{"method":"m","params":{"a":1}}`: `{"a":1}`, `{"method":"m"}`: `{}`, `{"method":"m","params":null}`: `{}`,
		`{"method":"m","arguments":{"a":2}}`: `{"a":2}`, `{"method":"m","parameters":{"a":3}}`: `{"a":3}`,
		`{"method":"m","arguments":{"a":2},"params":{"a":1},"parameters":{"a":3},"x":[]}`: `{"a":1}`,
		" {\n\"params\" : {\"s\":\"<&>\\u2028\"} , \"method\" : \"\\u006d\"}\n":           `{"s":"<&>\u2028"}`,
	} {
		response := post(path, body, nil)
		require.Equal(t, http.StatusOK, response.Code, "%s: %s", body, response.Body)
		require.JSONEq(t, `{"success":true,"data":{"content":[{"type":"text","text":"{\"fine\":true}"}],"isError":false,"structuredContent":{"fine":true}},"untrusted":true}`, response.Body.String())
		require.Equal(t, "application/json; charset=utf-8", response.Header().Get("Content-Type"))
		_, sent := last()
		require.Equal(t, want, sent)
	}
	for body, want := range map[string]string{
		`{"a":`: "malformed JSON", `nope`: "malformed JSON", "{\"method\":\"\xff\"}": "malformed JSON", `[]`: "body: must be an object", `null`: "body: must be an object",
		`{"method":5}`: "body.method: must be a text", `{"method":null}`: "Method is required", `{"method":""}`: "Method is required", ``: "Method is required",
		`{"method":"` + strings.Repeat("x", 257) + `"}`: "body.method: must have at most 256 characters",
	} {
		response := post(path, body, nil)
		require.Equal(t, http.StatusBadRequest, response.Code, body)
		require.Contains(t, response.Body.String(), want, body)
	}
	require.Equal(t, http.StatusRequestEntityTooLarge, post(path, `{"a":"`+strings.Repeat("x", api.MaxJSON)+`"}`, nil).Code)
	require.Equal(t, http.StatusUnsupportedMediaType, post(path, `{}`, http.Header{"Content-Type": {"text/xml"}}).Code)
	require.Equal(t, http.StatusBadRequest, post("/proxy/%7B"+tool.String()+"%7D/call", `{}`, nil).Code)
}

// FuzzDecode holds what is read against the library's reader.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{`{}`, ` {"a" : [1, -2.5e3, "x\\u00e9\\"", null, true, {"b":[]}]}`, `[[],[{}]]`, `"x"`, `{"\u0061":1,"a":2}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		data = bytes.TrimSpace(data)
		if !json.Valid(data) || !utf8.Valid(data) {
			return
		}
		decoder := json.NewDecoder(bytes.NewReader(data))
		decoder.UseNumber()
		var want any
		require.NoError(t, decoder.Decode(&want))
		require.Equal(t, want, decode(data))
	})
}
