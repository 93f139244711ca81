package registry

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"uaol/services"
)

// get asks the subregistry, whose answers are bare.
func (b *bench) get(t testing.TB, path string, out any) int {
	t.Helper()
	recorder := httptest.NewRecorder()
	b.engine.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, path, nil))
	if out != nil {
		require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), out), recorder.Body.String())
	}
	return recorder.Code
}

// publish registers a tool and puts it in force.
func (b *bench) publish(t testing.TB, owner services.Caller, name string) Tool {
	t.Helper()
	tool := b.register(t, owner, name)
	require.NoError(t, b.service.Approve(t.Context(), admin(), tool.ID, Decision{Unpinned: true}))
	return tool
}

func officialSchema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	file, err := os.Open("imports/testdata/server.schema.json")
	require.NoError(t, err)
	defer file.Close()
	value, err := jsonschema.UnmarshalJSON(file)
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	require.NoError(t, compiler.AddResource(serverSchema, value))
	schema, err := compiler.Compile(serverSchema)
	require.NoError(t, err)
	return schema
}

func TestSubregistrySpeaksTheOfficialFormat(t *testing.T) {
	t.Parallel()
	b, owner := setupImports(t), user()
	long, docs, tags := strings.Repeat("Größe ", 50), "https://docs.example.com/x", []string{"maps"}
	described := b.register(t, owner, "Ünïcode & Co. "+strings.Repeat("x", 80))
	_, err := b.service.Update(t.Context(), owner, described.ID, Change{Description: &long, DocumentationURL: &docs, Tags: &tags})
	require.NoError(t, err)
	require.NoError(t, b.service.Approve(t.Context(), admin(), described.ID, Decision{Unpinned: true}))
	b.publish(t, owner, "Plain")
	schema := officialSchema(t)
	var list struct {
		Servers []struct {
			Server json.RawMessage
			Meta   map[string]map[string]any `json:"_meta"`
		}
		Metadata struct{ Count int }
	}
	require.Equal(t, 200, b.get(t, "/v0.1/servers", &list))
	require.Equal(t, 2, list.Metadata.Count)
	require.Len(t, list.Servers, 2)
	for _, s := range list.Servers {
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(string(s.Server)))
		require.NoError(t, err)
		require.NoError(t, schema.Validate(value), string(s.Server))
		require.Equal(t, "active", s.Meta[officialMeta]["status"])
		require.Equal(t, true, s.Meta[officialMeta]["isLatest"])
		_, err = time.Parse(time.RFC3339, fmt.Sprint(s.Meta[officialMeta]["updatedAt"]))
		require.NoError(t, err)
	}
	broken, err := jsonschema.UnmarshalJSON(strings.NewReader(`{"name":"no slash","description":"x","version":"1"}`))
	require.NoError(t, err)
	require.Error(t, schema.Validate(broken), "the schema judges")
}

func TestSubregistryShowsWhatEverybodyMayCall(t *testing.T) {
	t.Parallel()
	b, owner := setupImports(t), user()
	public := b.publish(t, owner, "Public")
	ended := b.publish(t, owner, "Ended")
	require.NoError(t, b.service.Disable(t.Context(), admin(), ended.ID, Decision{}))
	never := b.register(t, owner, "Never approved")
	require.NoError(t, b.service.Disable(t.Context(), admin(), never.ID, Decision{}))
	b.register(t, owner, "Pending")
	hidden := b.register(t, owner, "Hidden")
	for _, visibility := range []Visibility{Private, Organization} {
		_, err := b.service.Update(t.Context(), owner, hidden.ID, Change{Visibility: &visibility})
		require.NoError(t, err)
		require.NoError(t, b.service.Approve(t.Context(), admin(), hidden.ID, Decision{Unpinned: true}))
		require.Equal(t, []string{"example.uaol.tools/public"}, b.listed(t, "/v0.1/servers"), visibility)
		require.Equal(t, 404, b.get(t, "/v0.1/servers/example.uaol.tools/hidden/versions", nil))
	}
	require.Equal(t, []string{"example.uaol.tools/ended deleted", "example.uaol.tools/public"}, b.listed(t, "/v0.1/servers?updated_since=2020-01-01T00:00:00Z"))
	require.Empty(t, b.listed(t, "/v0.1/servers?updated_since="+url.QueryEscape(time.Now().Add(time.Hour).Format(time.RFC3339))))
	require.Equal(t, []string{"example.uaol.tools/public"}, b.listed(t, "/v0.1/servers?search=PUB&version=latest"))
	require.Empty(t, b.listed(t, "/v0.1/servers?search=%25"))
	require.Equal(t, 400, b.get(t, "/v0.1/servers?limit=101", nil))
	require.Equal(t, 400, b.get(t, "/v0.1/servers?cursor=nonsense", nil))
	require.Equal(t, 400, b.get(t, "/v0.1/servers?updated_since=yesterday", nil))

	var entry serverEntry
	for _, path := range []string{"example.uaol.tools/public", "example.uaol.tools%2Fpublic"} {
		require.Equal(t, 200, b.get(t, "/v0.1/servers/"+path+"/versions/latest", &entry), path)
		require.Equal(t, "https://tools.uaol.example/mcp/t/"+public.ID.String(), entry.Server.Remotes[0].URL)
	}
	require.Equal(t, 200, b.get(t, "/v0.1/servers/example.uaol.tools/public/versions/"+entry.Server.Version, nil))
	for _, path := range []string{"example.uaol.tools/public/versions/9.9.9", "other.host/public/versions/latest", "example.uaol.tools/nothing/versions", "example.uaol.tools/ended/versions"} {
		require.Equal(t, 404, b.get(t, "/v0.1/servers/"+path, nil), path)
	}
}

// listed is the names of a list's servers, with their status unless it is active.
func (b *bench) listed(t testing.TB, path string) (names []string) {
	t.Helper()
	var list serverList
	require.Equal(t, 200, b.get(t, path, &list), path)
	for _, s := range list.Servers {
		name := s.Server.Name
		if status := s.Meta[officialMeta].Status; status != "active" {
			name += " " + status
		}
		names = append(names, name)
	}
	return names
}

func TestSubregistryListsVersionsThatWereInForce(t *testing.T) {
	t.Parallel()
	b, owner := setupImports(t), user()
	tool := b.publish(t, owner, "Versioned")
	for _, host := range []string{"two", "three"} {
		address := "https://" + host + ".example.com/mcp"
		_, err := b.service.Update(t.Context(), owner, tool.ID, Change{GatewayURL: &address})
		require.NoError(t, err)
		if host == "two" {
			require.NoError(t, b.service.Approve(t.Context(), admin(), tool.ID, Decision{Unpinned: true}))
		}
	}
	var list serverList
	require.Equal(t, 200, b.get(t, "/v0.1/servers/example.uaol.tools/versioned/versions", &list))
	require.Len(t, list.Servers, 2, "what waits is not shown")
	require.True(t, list.Servers[0].Meta[officialMeta].Latest)
	require.False(t, list.Servers[1].Meta[officialMeta].Latest)
	require.Equal(t, []string{"1.0.2", "1.0.1"}, []string{list.Servers[0].Server.Version, list.Servers[1].Server.Version})
}

// TestSubregistryIsImportable imports our own list as another UAOL would.
func TestSubregistryIsImportable(t *testing.T) {
	t.Parallel()
	theirs, ours := setupImports(t), setupImports(t)
	owner := user()
	gone := uuid.Nil
	for i := range 130 {
		gone = theirs.publish(t, owner, fmt.Sprintf("Tool %d", i)).ID
	}
	server := httptest.NewServer(theirs.engine)
	t.Cleanup(server.Close)
	out := ours.importFrom(t, admin(), Import{Format: formatRegistry, URL: server.URL})
	require.Equal(t, 130, out.Imported, out.Skipped)
	require.Equal(t, 2, out.Pages)
	require.NoError(t, theirs.service.Disable(t.Context(), admin(), gone, Decision{}))
	require.Equal(t, 1, ours.importFrom(t, admin(), Import{Format: formatRegistry, URL: server.URL}).Disabled)
}
