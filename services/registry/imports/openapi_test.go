package imports

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"uaol/providers/upstream"
	"uaol/services"
	"uaol/services/registry/credentials"
)

func operations(t testing.TB, e Entry) map[string]upstream.Operation {
	t.Helper()
	byName := map[string]upstream.Operation{}
	for _, o := range e.Operations {
		require.Regexp(t, `^[A-Za-z0-9_-]{1,64}$`, o.Name)
		require.NotContains(t, byName, o.Name)
		byName[o.Name] = o
		require.NoError(t, compiles(o.InputSchema), "%s: %s", o.Name, o.InputSchema)
		if o.OutputSchema != nil {
			require.NoError(t, compiles(o.OutputSchema), "%s: %s", o.Name, o.OutputSchema)
		}
	}
	return byName
}

func TestPetShop(t *testing.T) {
	e, skipped, err := OpenAPI(read(t, "petshop.yaml"), "")
	require.NoError(t, err)
	require.Equal(t, "Pet shop", e.Name)
	require.Equal(t, upstream.ProtocolREST, e.Protocol)
	require.Equal(t, "https://eu.pets.example.com/v1", e.GatewayURL)
	require.Equal(t, "https://docs.pets.example.com", e.DocumentationURL)
	require.Equal(t, []string{"pets", "orders"}, e.Tags)
	require.Equal(t, map[string]string{"X-Pets-Key": "{{secret.key}}"}, e.Inject.Headers, "the first alternative that can be carried")
	require.Empty(t, credentials.Check(e.Inject, nil))
	require.Equal(t, []Skipped{{"putPhoto", "its body is not JSON"}}, skipped)

	byName := operations(t, e)
	require.Len(t, byName, 5)
	list := byName["list_pets"]
	require.Equal(t, "GET", list.Verb)
	require.Equal(t, "/pets", list.Path)
	require.Equal(t, map[string]string{"limit": "query", "X-Trace": "header"}, list.In, "Authorization is no parameter")
	require.Equal(t, "All pets\n\nPage by page.", list.Description)
	require.JSONEq(t, `{"type":"object","properties":{"limit":{"type":"integer","maximum":100,"description":"At most"},"X-Trace":{"type":"string"}}}`, string(list.InputSchema))
	require.Nil(t, list.OutputSchema, "MCP's structured results are objects")
	require.Equal(t, &upstream.Annotations{ReadOnly: true, Idempotent: true, OpenWorld: true}, list.Annotations)

	create := byName["post_pets"]
	require.Equal(t, "*", create.Body)
	require.Empty(t, create.In)
	var schema struct {
		Required   []string
		Properties map[string]json.RawMessage
		Defs       map[string]json.RawMessage `json:"$defs"`
	}
	require.NoError(t, json.Unmarshal(create.InputSchema, &schema))
	require.Equal(t, []string{"name"}, schema.Required, "what the server sets can't be sent")
	require.JSONEq(t, `{"type":"string","maxLength":50}`, string(schema.Properties["name"]), "a pattern that Go can't read is left to the server")
	require.JSONEq(t, `{"type":["string","null"],"enum":["a","b",null]}`, string(schema.Properties["nick"]))
	require.JSONEq(t, `{"$ref":"#/$defs/Pet"}`, string(schema.Properties["parent"]))
	require.Contains(t, schema.Defs, "Tag")
	require.NotNil(t, create.OutputSchema)
	require.False(t, create.Annotations.Idempotent || create.Annotations.ReadOnly)

	require.JSONEq(t, `{"type":"object","required":["petId"],"properties":{"petId":{"type":"integer","exclusiveMinimum":0}}}`, string(byName["getPet"].InputSchema), "the path's own parameters; 3.0's bounds in 2020-12")
	patch := byName["getPet_2"]
	require.Equal(t, "body", patch.Body, "of several forms: one argument")
	require.Equal(t, "path", patch.In["petId"])
	require.Equal(t, &upstream.Annotations{Idempotent: true, Destructive: true, OpenWorld: true}, byName["delete_pets_petId"].Annotations)
}

// TestSchemasJudge validates arguments with what came out, since that is what it is for.
func TestSchemasJudge(t *testing.T) {
	e, _, err := OpenAPI(read(t, "petshop.yaml"), "")
	require.NoError(t, err)
	create := operations(t, e)["post_pets"]
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(string(create.InputSchema)))
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	require.NoError(t, compiler.AddResource("urn:x", value))
	compiled, err := compiler.Compile("urn:x")
	require.NoError(t, err)
	for text, good := range map[string]bool{
		`{"name":"Rex"}`: true, `{}`: false, `{"name":1}`: false, `{"name":"Rex","nick":null}`: true, `{"name":"Rex","nick":"z"}`: false,
		`{"name":"Rex","parent":{"name":"Ada","tags":[{"label":"x"}]}}`: true, `{"name":"Rex","parent":{"name":"Ada","tags":[{"label":1}]}}`: false,
	} {
		instance, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		require.NoError(t, err)
		require.Equal(t, good, compiled.Validate(instance) == nil, text)
	}
}

const document31 = `{
  "openapi": "3.1.0", "info": {"title": "T", "version": "1"}, "servers": [{"url": "/api"}],
  "components": {
    "securitySchemes": %s,
    "schemas": {
      "Node": {"$id": "https://example.com/node", "type": ["object", "null"], "properties": {"next": {"$ref": "#/components/schemas/Node"}, "n": {"type": "integer", "exclusiveMinimum": 0, "const": 3}}, "unevaluatedProperties": false},
      "a/b": {"type": "object", "properties": {"v": {"prefixItems": [{"type": "string"}], "items": false}}}
    }
  },
  "paths": {
    "/x/{id}": {"$ref": "#/components/pathItems/X"},
    "/y": {"post": {"operationId": "y", "security": %s, "requestBody": {"required": true, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/a~1b"}}}}, "responses": {"default": {"description": "x"}}}}
  }
}`

func TestOpenAPI31(t *testing.T) {
	text := strings.Replace(fmt.Sprintf(document31, "{}", "[]"), `"schemas":`, `"pathItems": {"X": {"get": {"operationId": "x", "parameters": [{"name": "id", "in": "path", "required": true, "schema": {"$ref": "#/components/schemas/Node"}}], "responses": {"200": {"description": "x", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Node"}}}}}}}}, "schemas":`, 1)
	e, skipped, err := OpenAPI([]byte(text), "https://api.example.com/docs/openapi.json")
	require.NoError(t, err)
	require.Empty(t, skipped)
	require.Equal(t, "https://api.example.com/api", e.GatewayURL, "relative to the document")
	byName := operations(t, e)
	require.Equal(t, map[string]string{"id": "path"}, byName["x"].In)
	require.JSONEq(t, `{"type":"object","required":["id"],"properties":{"id":{"$ref":"#/$defs/Node"}},
		"$defs":{"Node":{"type":["object","null"],"properties":{"next":{"$ref":"#/$defs/Node"},"n":{"type":"integer","exclusiveMinimum":0,"const":3}},"unevaluatedProperties":false}}}`,
		string(byName["x"].InputSchema))
	require.JSONEq(t, `{"type":"object","properties":{"v":{"prefixItems":[{"type":"string"}],"items":false}}}`, string(byName["y"].InputSchema))

	_, _, err = OpenAPI([]byte(text), "")
	require.ErrorContains(t, err, "say no address")
}

func TestSecuritySchemes(t *testing.T) {
	for scheme, want := range map[string]Entry{
		`{"type":"apiKey","in":"header","name":"X-Key"}`:                                    {Inject: credentials.Injection{Headers: map[string]string{"X-Key": "{{secret.my_scheme}}"}}},
		`{"type":"apiKey","in":"query","name":"api_key"}`:                                   {Inject: credentials.Injection{Arguments: map[string]string{"api_key": "{{secret.my_scheme}}"}}},
		`{"type":"apiKey","in":"cookie","name":"sid"}`:                                      {Inject: credentials.Injection{Headers: map[string]string{"Cookie": "sid={{secret.my_scheme}}"}}},
		`{"type":"http","scheme":"Bearer"}`:                                                 {Inject: credentials.Injection{Headers: map[string]string{"Authorization": "Bearer {{secret.my_scheme}}"}}},
		`{"type":"http","scheme":"basic"}`:                                                  {Inject: credentials.Injection{Headers: map[string]string{"Authorization": "Basic {{secret.my_scheme}}"}}},
		`{"type":"oauth2","flows":{"clientCredentials":{"tokenUrl":"/token","scopes":{}}}}`: {OAuth: &credentials.OAuth{Grant: "client_credentials", TokenURL: "https://api.example.com/token", Scopes: []string{"a", "b"}}},
		`{"type":"oauth2","flows":{"authorizationCode":{"authorizationUrl":"https://id.example.com/a","tokenUrl":"https://id.example.com/t","scopes":{}}}}`: {
			OAuth: &credentials.OAuth{Grant: "authorization_code", AuthorizeURL: "https://id.example.com/a", TokenURL: "https://id.example.com/t", Scopes: []string{"a", "b"}}},
	} {
		e, skipped, err := OpenAPI(fmt.Appendf(nil, strings.Replace(document31, `"/x/{id}": {"$ref": "#/components/pathItems/X"},`, "", 1), `{"my-scheme":`+scheme+`}`, `[{"my-scheme":["a","b"]}]`), "https://api.example.com/openapi.json")
		require.NoError(t, err, scheme)
		require.Empty(t, skipped, scheme)
		require.Equal(t, want.Inject, e.Inject, scheme)
		require.Equal(t, want.OAuth, e.OAuth, scheme)
		if len(e.Inject.Arguments) > 0 {
			require.Equal(t, "query", e.Operations[0].In["api_key"], "it has a place in each request")
			require.NotContains(t, string(e.Operations[0].InputSchema), "api_key", "and callers do not give it")
		}
	}
	_, skipped, err := OpenAPI(fmt.Appendf(nil, strings.Replace(document31, `"/x/{id}": {"$ref": "#/components/pathItems/X"},`, "", 1), `{"m":{"type":"mutualTLS"}}`, `[{"m":[]}]`), "https://api.example.com/")
	require.NoError(t, err)
	require.Len(t, skipped, 1, "it is said that nothing is carried")
}

func TestDocumentsThatAreNotTaken(t *testing.T) {
	wrap := func(paths string) string {
		return `{"openapi":"3.0.0","info":{"title":"x","version":"1"},"servers":[{"url":"https://x.example.com"}],"paths":` + paths + `}`
	}
	deep := strings.Repeat(`{"items":`, 150) + `{}` + strings.Repeat(`}`, 150)
	bomb := "openapi: 3.0.0\na: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for i := 'b'; i < 'k'; i++ {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c,", i-1), 10), ","))
	}
	var many strings.Builder
	for i := range maxOperations + 1 {
		fmt.Fprintf(&many, `,"/p%d":{"get":{"responses":{}}}`, i)
	}
	for text, reason := range map[string]string{
		"":                  "neither JSON nor YAML",
		"- a":               "neither JSON nor YAML",
		"{":                 "neither JSON nor YAML",
		`{"swagger":"2.0"}`: "Swagger 2.0",
		`{"openapi":"4.0"}`: "not an OpenAPI",
		wrap(`{}`):          "no operation",
		wrap(`{"/x":{"get":{"responses":{"200":{"$ref":"other.yaml#/x"}}}}}`):                                          "outside of itself",
		wrap(`{"/x":{"get":{"parameters":[{"name":"a","in":"query","schema":{"$ref":"file:///etc/passwd"}}]}}}`):       "outside of itself",
		wrap(`{"/x":{"get":{"parameters":[{"name":"a","in":"query","schema":{"$ref":"http://169.254.169.254/"}}]}}}`):  "outside of itself",
		wrap(`{"/x":{"get":{"parameters":[{"name":"a","in":"query","schema":{"$ref":"#/nowhere"}}],"responses":{}}}}`): "can't be read",
		wrap(`{"/x":{"get":{"parameters":[{"name":"a","in":"query","schema":` + deep + `}],"responses":{}}}}`):         "nested",
		"openapi: 3.0.0\na: &a " + strings.Repeat("x", 100_000) + "\nb: [" + strings.Repeat("*a,", 250) + "]\n":        "aliases make too much of it",
		bomb:                                    "document",
		wrap(`{` + many.String()[1:] + `}`):     "more than 1000 operations",
		strings.Repeat(" ", maxDocument) + "{}": "more than 5 MB",
		strings.Replace(wrap(`{"/x":{"get":{"responses":{}}}}`), "https://x.example.com", "https://u:p@x.example.com", 1):  "holds a password",
		strings.Replace(wrap(`{"/x":{"get":{"responses":{}}}}`), "https://x.example.com", "https://{a}.example.com", 1):    "say no address",
		strings.Replace(wrap(`{"/x":{"get":{"responses":{}}}}`), "https://x.example.com", "https://x.example.com/?a=b", 1): "has a query",
	} {
		_, _, err := OpenAPI([]byte(text), "https://api.example.com/openapi.json")
		require.True(t, services.Is(err, services.Invalid), "%.200s: %v", text, err)
		require.ErrorContains(t, err, reason, "%.200s", text)
	}
}

func TestOperationsThatAreNotTaken(t *testing.T) {
	for op, reason := range map[string]string{
		`"/x/{id}":{"get":{"responses":{}}}`: "which no parameter gives",
		`"/x":{"get":{"parameters":[{"name":"a","in":"query","schema":{}},{"name":"a","in":"header","required":true,"schema":{}}],"responses":{}}}`: "two parameters",
		`"/x":{"get":{"parameters":[{"name":"a b","in":"header","schema":{}}],"responses":{}}}`:                                                     "not a header",
		`"/x?y":{"get":{"responses":{}}}`:                                                                     "path is not one",
		`"/../x":{"get":{"responses":{}}}`:                                                                    "leads elsewhere",
		`"/x":{"servers":[{"url":"https://y.example.com"}],"get":{"responses":{}}}`:                           "an address of its own",
		`"/x":{"get":{"servers":[{"url":"https://y.example.com"}],"responses":{}}}`:                           "an address of its own",
		`"/x":{"get":{"parameters":[{"name":"a","in":"query","schema":{"type":"nonsense"}}],"responses":{}}}`: "schema is not one",
	} {
		_, skipped, err := OpenAPI([]byte(`{"openapi":"3.0.0","info":{"title":"x","version":"1"},"servers":[{"url":"https://x.example.com"}],"paths":{`+op+`}}`), "")
		require.ErrorContains(t, err, "no operation", op)
		require.Len(t, skipped, 1, op)
		require.Contains(t, skipped[0].Reason, reason, op)
	}
}

func TestNamesAreGivenOnce(t *testing.T) {
	long := strings.Repeat("a", 70)
	text := fmt.Sprintf(`{"openapi":"3.0.0","info":{"title":"x","version":"1"},"servers":[{"url":"https://x.example.com"}],"paths":{
		"/a":{"get":{"operationId":%q,"responses":{}},"put":{"operationId":%q,"responses":{}}},
		"/b":{"get":{"operationId":"a.b","responses":{}},"put":{"operationId":"a b","responses":{}},"post":{"operationId":"é","responses":{}}}}}`, long, long+"x")
	e, _, err := OpenAPI([]byte(text), "")
	require.NoError(t, err)
	names := operations(t, e)
	for _, name := range []string{long[:64], long[:62] + "_2", "a_b", "a_b_2", "post_b"} {
		require.Contains(t, names, name)
	}
}

func FuzzOpenAPI(f *testing.F) {
	f.Add(read(f, "petshop.yaml"))
	f.Add(fmt.Appendf(nil, document31, `{"k":{"type":"http","scheme":"bearer"}}`, `[{"k":[]}]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 20_000 {
			return
		}
		e, _, err := OpenAPI(text, "https://api.example.com/openapi.json")
		if err != nil {
			require.True(t, services.Is(err, services.Invalid))
			return
		}
		reasonable(t, e)
		operations(t, e)
	})
}
