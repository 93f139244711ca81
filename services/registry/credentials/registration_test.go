package credentials

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/services"
)

// demanding is a tool's server that wants a token, and an authorization server that knows
// nobody.
func demanding(t *testing.T, more map[string]any) (s *script, introductions *[]map[string]any) {
	t.Helper()
	s, introductions = startScript(t), &[]map[string]any{}
	s.answer("/mcp", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer resource_metadata="%s/of/its/own", scope="read"`, s.URL))
		w.WriteHeader(http.StatusUnauthorized)
	})
	s.answer("/of/its/own", map[string]any{"resource": s.URL + "/mcp", "authorization_servers": []string{s.URL}, "scopes_supported": []string{"all", "of", "them"}})
	metadata := map[string]any{
		"issuer": s.URL, "authorization_endpoint": s.URL + "/a", "token_endpoint": s.URL + "/t", "code_challenge_methods_supported": []string{"S256"},
		"registration_endpoint": s.URL + "/r", "scopes_supported": []string{"read", "offline_access"},
	}
	for name, value := range more {
		metadata[name] = value
	}
	s.answer("/.well-known/oauth-authorization-server", metadata)
	s.answer("/t", map[string]any{"access_token": "token", "expires_in": 600})
	s.answer("/r", func(w http.ResponseWriter, r *http.Request) {
		var said map[string]any
		_ = json.NewDecoder(r.Body).Decode(&said)
		*introductions = append(*introductions, said)
		w.WriteHeader(http.StatusCreated)
		_, _ = fmt.Fprintf(w, `{"client_id":"number %d","client_secret":"its secret"}`, len(*introductions))
	})
	return s, introductions
}

// unnamed is a tool whose owner gives no client_id.
func (b *bench) unnamed(t *testing.T, s *script) Tool {
	t.Helper()
	return b.tool(t, user(), func(tool *Tool) {
		tool.GatewayURL, tool.Inject, tool.OAuth = s.URL+"/mcp", Injection{}, &OAuth{Grant: authorizationCode}
	})
}

// TestUAOLMakesItselfKnown to an authorization server where nobody has done so: once for
// whoever consents there. It asks for what the tool's server says that it wants.
func TestUAOLMakesItselfKnown(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		takes  any    // methods at the token endpoint
		method string // that we ask for
		basic  string // what comes in the header
		posted string // and in the body
	}{
		"it does not say how":   {nil, "client_secret_basic", "number+1:its+secret", ""},
		"in the header":         {[]string{"client_secret_post", "client_secret_basic"}, "client_secret_basic", "number+1:its+secret", ""},
		"in the body":           {[]string{"client_secret_post"}, "client_secret_post", ":", "its secret"},
		"without a secret":      {[]string{"none"}, "none", ":", ""},
		"in no way that exists": {[]string{"private_key_jwt"}, "none", ":", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, ada := setup(t), user()
			s, introductions := demanding(t, map[string]any{"token_endpoint_auth_methods_supported": test.takes})
			tool := b.unnamed(t, s)
			page, err := b.service.Authorize(t.Context(), ada, tool, AuthorizeRequest{Scope: ofUser})
			require.NoError(t, err)
			require.Equal(t, "number 1", mustQuery(t, page, "client_id"))
			require.Equal(t, "read offline_access", mustQuery(t, page, "scope"))
			require.Equal(t, map[string]any{
				"client_name": "UAOL", "client_uri": public, "redirect_uris": []any{public + callbackPath}, "application_type": "native",
				"grant_types": []any{"authorization_code", "refresh_token"}, "response_types": []any{"code"}, "token_endpoint_auth_method": test.method,
			}, (*introductions)[0])
			_, err = b.service.Finish(t.Context(), ada, b.tools, Return{State: mustQuery(t, page, "state"), Code: "a-code", Issuer: s.URL})
			require.NoError(t, err)
			form, basic := s.form(t)
			require.Equal(t, test.basic, basic)
			require.Equal(t, test.posted, form.Get("client_secret"))
			require.Equal(t, "Bearer token", b.carried(t, tool, ada).Headers["Authorization"])

			// Another consent needs no other name, and what was granted stays.
			page, err = b.service.Authorize(t.Context(), ada, tool, AuthorizeRequest{Scope: ofUser, More: []string{"write", "no\nscope", "read"}})
			require.NoError(t, err)
			require.Equal(t, "number 1", mustQuery(t, page, "client_id"))
			require.Equal(t, "read offline_access write", mustQuery(t, page, "scope"))
			page, err = b.service.Authorize(t.Context(), user(), tool, AuthorizeRequest{Scope: ofUser})
			require.NoError(t, err)
			require.Equal(t, "number 2", mustQuery(t, page, "client_id"), "somebody else is somebody else")
			require.Len(t, *introductions, 2)
			require.Empty(t, b.traces(t, "its secret"))
		})
	}
}

// TestAnotherAuthorizationServerIsAnother: what one of them knows us as is nothing to the
// next.
func TestAnotherAuthorizationServerIsAnother(t *testing.T) {
	t.Parallel()
	b, ada := setup(t), user()
	s, _ := demanding(t, nil)
	next, introductions := demanding(t, nil)
	tool := b.unnamed(t, s)
	page, err := b.service.Authorize(t.Context(), ada, tool, AuthorizeRequest{Scope: ofUser})
	require.NoError(t, err)
	_, err = b.service.Finish(t.Context(), ada, b.tools, Return{State: mustQuery(t, page, "state"), Code: "a-code", Issuer: s.URL})
	require.NoError(t, err)
	s.answer("/of/its/own", map[string]any{"resource": s.URL + "/mcp", "authorization_servers": []string{next.URL}})
	page, err = b.service.Authorize(t.Context(), ada, tool, AuthorizeRequest{Scope: ofUser})
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(page, next.URL+"/a?"), page)
	require.Len(t, *introductions, 1)
}

// TestUAOLIsKnownByItsDocument where the server reads such and can reach us.
func TestUAOLIsKnownByItsDocument(t *testing.T) {
	t.Parallel()
	const secure = "https://uaol.test"
	b, ada := setup(t, func(c *Config) { c.PublicURL = secure }), user()
	s, introductions := demanding(t, map[string]any{"client_id_metadata_document_supported": true})
	tool := b.unnamed(t, s)
	page, err := b.service.Authorize(t.Context(), ada, tool, AuthorizeRequest{Scope: ofUser})
	require.NoError(t, err)
	require.Equal(t, secure+documentPath, mustQuery(t, page, "client_id"))
	require.Empty(t, *introductions)
	_, err = b.service.Finish(t.Context(), ada, b.tools, Return{State: mustQuery(t, page, "state"), Code: "a-code", Issuer: s.URL})
	require.NoError(t, err)
	form, basic := s.form(t)
	require.Equal(t, []string{secure + documentPath, "", ":"}, []string{form.Get("client_id"), form.Get("client_secret"), basic})

	read := b.do(t, services.Caller{}, http.MethodGet, documentPath, "", nil)
	require.Equal(t, http.StatusOK, read.Status, read.Text)
	require.JSONEq(t, `{"client_id":"`+secure+documentPath+`","client_name":"UAOL","client_uri":"`+secure+`","redirect_uris":["`+secure+callbackPath+`"],
		"application_type":"web","grant_types":["authorization_code","refresh_token"],"response_types":["code"],"token_endpoint_auth_method":"none"}`, read.Text)
}

// TestUAOLRegistersWhereItsDocumentIsOfNoUse: where the server reads none, or can't reach us.
func TestUAOLRegistersWhereItsDocumentIsOfNoUse(t *testing.T) {
	t.Parallel()
	for address, reads := range map[string]bool{"https://uaol.test": false, "http://uaol.test": true} {
		b := setup(t, func(c *Config) { c.PublicURL = address })
		s, introductions := demanding(t, map[string]any{"client_id_metadata_document_supported": reads})
		page, err := b.service.Authorize(t.Context(), user(), b.unnamed(t, s), AuthorizeRequest{Scope: ofUser})
		require.NoError(t, err)
		require.Equal(t, "number 1", mustQuery(t, page, "client_id"), address)
		require.Len(t, *introductions, 1)
		require.Equal(t, map[bool]string{true: "native", false: "web"}[reads], (*introductions)[0]["application_type"])
	}
}

// TestUAOLIsNotMadeKnownEverywhere: where a server takes no unknown programs, or refuses,
// its owner hears what to do.
func TestUAOLIsNotMadeKnownEverywhere(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s, _ := demanding(t, map[string]any{"registration_endpoint": nil})
	_, err := b.service.Authorize(t.Context(), user(), b.unnamed(t, s), AuthorizeRequest{Scope: ofUser})
	require.Equal(t, services.Upstream, services.KindOf(err))
	require.ErrorContains(t, err, "client_id")
	s, _ = demanding(t, nil)
	s.answer("/r", fails(http.StatusBadRequest, "invalid_client_metadata"))
	_, err = b.service.Authorize(t.Context(), user(), b.unnamed(t, s), AuthorizeRequest{Scope: ofUser})
	require.Equal(t, services.Upstream, services.KindOf(err))
	require.ErrorContains(t, err, "client_id")
	s, _ = demanding(t, map[string]any{"registration_endpoint": "javascript:alert(1)"})
	_, err = b.service.Authorize(t.Context(), user(), b.unnamed(t, s), AuthorizeRequest{Scope: ofUser})
	require.ErrorContains(t, err, "discovered")
}

// TestWhatAnybodyMayHaveWrittenIsNotBelieved of a tool that is reached safely.
func TestWhatAnybodyMayHaveWrittenIsNotBelieved(t *testing.T) {
	t.Parallel()
	for metadata, safe := range map[string]bool{"https://a.example.com/m": true, "http://a.example.com/m": false, "": false, "javascript:alert(1)": false} {
		require.Equal(t, safe, believable(metadata, "https://a.example.com/mcp"), metadata)
		require.Equal(t, strings.HasPrefix(metadata, "http"), believable(metadata, "http://a.example.com/mcp"), metadata)
	}
	good := serverMetadata{Issuer: "https://a", Authorize: "https://a/a", Token: "https://a/t", Register: "https://a/r", Challenges: []string{"S256"}}
	_, err := good.check("https://a", "https://a/mcp", true, nil)
	require.NoError(t, err)
	for _, change := range []func(*serverMetadata){
		func(m *serverMetadata) { m.Authorize = "http://a/a" }, func(m *serverMetadata) { m.Token = "http://a/t" }, func(m *serverMetadata) { m.Register = "http://a/r" },
	} {
		unsafe := good
		change(&unsafe)
		_, err := unsafe.check("https://a", "https://a/mcp", true, nil)
		require.ErrorContains(t, err, "not secure")
		_, err = unsafe.check("https://a", "https://a/mcp", false, nil)
		require.NoError(t, err)
	}
}

// TestWhatIsWanted: scopes of the challenge count before those of the metadata, and those
// of the definition before both.
func TestWhatIsWanted(t *testing.T) {
	t.Parallel()
	b, ada := setup(t), user()
	for name, test := range map[string]struct {
		challenge string
		supported any
		defined   []string
		want      string
	}{
		"the challenge's":           {`Bearer scope="one two"`, []string{"three"}, nil, "one two"},
		"the metadata's":            {`Bearer error="invalid_token"`, []string{"three", "four"}, nil, "three four"},
		"none":                      {`Bearer`, nil, nil, ""},
		"the definition's":          {`Bearer scope="one"`, []string{"three"}, []string{"own"}, "own"},
		"no challenge":              {``, []string{"three"}, nil, "three"},
		"another scheme":            {`Basic realm="x"`, []string{"three"}, nil, "three"},
		"what can't be read":        {`Bearer scope="one`, []string{"three"}, nil, "three"},
		"what is no scope is not":   {`Bearer scope="one t\\wo"`, nil, nil, "one"},
		"each of them once":         {`Bearer scope="one one two"`, nil, nil, "one two"},
		"the second of two schemes": {`Basic realm="x", Bearer scope="one"`, nil, nil, "one"},
	} {
		s, _ := demanding(t, map[string]any{"scopes_supported": nil})
		s.answer("/mcp", func(w http.ResponseWriter, _ *http.Request) {
			if test.challenge != "" {
				w.Header().Set("WWW-Authenticate", test.challenge)
			}
			w.WriteHeader(http.StatusUnauthorized)
		})
		s.answer("/.well-known/oauth-protected-resource/mcp", map[string]any{
			"resource": s.URL + "/mcp", "authorization_servers": []string{s.URL}, "scopes_supported": test.supported,
		})
		tool := b.unnamed(t, s)
		tool.OAuth.Scopes = test.defined
		page, err := b.service.Authorize(t.Context(), ada, tool, AuthorizeRequest{Scope: ofUser})
		require.NoError(t, err, name)
		require.Equal(t, test.want, mustQuery(t, page, "scope"), name)
	}
}
