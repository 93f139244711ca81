package imports

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/providers/upstream"
	"uaol/services"
	"uaol/services/registry/credentials"
)

func read(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	require.NoError(t, err)
	return text
}

func TestPageOfARegistry(t *testing.T) {
	page, err := Servers(read(t, "page.json"))
	require.NoError(t, err)
	require.Equal(t, "com.example/nothing:1.0.0", page.Next)
	byName := map[string]Entry{}
	for _, e := range page.Entries {
		byName[e.SourceName] = e
		require.Empty(t, credentials.Check(e.Inject, nil), e.SourceName)
	}
	require.Len(t, byName, 5)

	weather := byName["com.example/weather"]
	require.Equal(t, "Weather", weather.Name)
	require.Equal(t, "https://weather.example.com", weather.DocumentationURL)
	require.Equal(t, upstream.ProtocolMCP, weather.Protocol, "streamable HTTP before SSE, an address before a package")
	require.Equal(t, "https://eu.weather.example.com/mcp", weather.GatewayURL)
	require.Nil(t, weather.Command)
	require.Equal(t, map[string]string{"Authorization": "Bearer {{secret.token}}", "X-Units": "metric", "X-Api-Key": "{{secret.X_Api_Key}}"}, weather.Inject.Headers)

	files := byName["com.example/files"]
	require.Equal(t, upstream.ProtocolStdio, files.Protocol)
	require.Equal(t, &upstream.Command{Path: "npx", Args: []string{"-y", "@example/files@0.3.1", "serve", "--root", "/srv", "--verbose"}}, files.Command)
	require.Equal(t, map[string]string{"FILES_TOKEN": "{{secret.FILES_TOKEN}}", "LEVEL": "info"}, files.Inject.Env)

	require.Equal(t, &upstream.Command{Path: "uvx", Args: []string{"mcp-py==2.0.0"}}, byName["com.example/py"].Command)
	require.Equal(t, &upstream.Command{Path: "docker", Args: []string{"run", "-i", "--rm", "-e", "A", "-e", "B", "example.com/tools/image:3"}}, byName["com.example/image"].Command)
	require.True(t, byName["com.example/gone"].Deleted)
	require.Equal(t, []Skipped{
		{"com.example/tenant", "its address holds {tenant}, which everybody chooses for themselves"},
		{"com.example/nothing", "it has neither an address nor a package that is run over stdio"},
	}, page.Skipped)
}

func TestPagesThatAreNone(t *testing.T) {
	for _, text := range []string{``, `null`, `[]`, `{}`, `{"servers":null}`, `{"servers":{}}`, `{"success":true,"data":[]}`, `<html>`} {
		_, err := Servers([]byte(text))
		require.True(t, services.Is(err, services.Invalid), text)
	}
	_, err := Servers([]byte(`{"servers":[` + strings.Repeat(`{},`, maxPage) + `{}]}`))
	require.ErrorContains(t, err, "1000 servers at most")
	page, err := Servers([]byte(`{"servers":[]}`))
	require.NoError(t, err)
	require.Empty(t, page.Entries)
}

func TestNewestOfSeveralVersionsCounts(t *testing.T) {
	one := func(updated, host string) string {
		return `{"server":{"name":"a/b","version":"1","remotes":[{"type":"sse","url":"https://` + host + `/sse"}]},"_meta":{"io.modelcontextprotocol.registry/official":{"updatedAt":"` + updated + `"}}}`
	}
	page, err := Servers([]byte(`{"servers":[` + one("2026-01-02T00:00:00Z", "new.example.com") + `,` + one("2026-01-01T00:00:00Z", "old.example.com") + `]}`))
	require.NoError(t, err)
	require.Len(t, page.Entries, 1)
	require.Equal(t, "https://new.example.com/sse", page.Entries[0].GatewayURL)
}

// TestPackagesThatAreNotRun keeps options and code out of commands: what a
// stranger publishes becomes arguments of a program on our machine.
func TestPackagesThatAreNotRun(t *testing.T) {
	for pkg, reason := range map[string]string{
		`{"registryType":"npm","identifier":"--eval=x"}`:                                                                                                 "name is not one",
		`{"registryType":"npm","identifier":"-y"}`:                                                                                                       "name is not one",
		`{"registryType":"npm","identifier":"https://evil.example.com/x.tgz"}`:                                                                           "name is not one",
		`{"registryType":"npm","identifier":"../x"}`:                                                                                                     "name is not one",
		`{"registryType":"npm","identifier":"x y"}`:                                                                                                      "name is not one",
		`{"registryType":"npm","identifier":"x","version":"1 --foo"}`:                                                                                    "version is not one",
		`{"registryType":"npm","identifier":"x","version":"--foo"}`:                                                                                      "version is not one",
		`{"registryType":"npm","identifier":"x","registryBaseUrl":"http://mirror.example.com"}`:                                                          "not https",
		`{"registryType":"npm","identifier":"x","registryBaseUrl":"https://u:p@mirror.example.com"}`:                                                     "not https",
		`{"registryType":"pypi","identifier":"-r"}`:                                                                                                      "name is not one",
		`{"registryType":"pypi","identifier":"x @ https://evil.example.com"}`:                                                                            "name is not one",
		`{"registryType":"oci","identifier":"--privileged"}`:                                                                                             "name is not one",
		`{"registryType":"oci","identifier":"x","runtimeArguments":[{"type":"named","name":"-v","value":"/:/host"}]}`:                                    "options for the program that runs it",
		`{"registryType":"npm","identifier":"x","runtimeArguments":[{"type":"named","name":"-c","value":"sh"}]}`:                                         "options for the program that runs it",
		`{"registryType":"nuget","identifier":"x"}`:                                                                                                      "are not run here",
		`{"registryType":"npm","identifier":"x","transport":{"type":"streamable-http","url":"http://localhost:1"}}`:                                      "stdio alone is run",
		`{"registryType":"npm","identifier":"x","environmentVariables":[{"name":"A=B","value":"1"}]}`:                                                    "environment variables is not one",
		`{"registryType":"npm","identifier":"x","packageArguments":[{"type":"positional","valueHint":"dir","isRequired":true}]}`:                         "the argument dir",
		`{"registryType":"npm","identifier":"x","packageArguments":[{"type":"named","name":"--key","value":"{k}","variables":{"k":{"isSecret":true}}}]}`: "the argument --key",
	} {
		e, err := Server([]byte(`{"name":"a/b","version":"1","packages":[` + pkg + `]}`))
		require.True(t, services.Is(err, services.Invalid), pkg)
		require.ErrorContains(t, err, reason, pkg)
		require.Nil(t, e.Command, pkg)
	}
	e, err := Server([]byte(`{"name":"a/b","version":"1","packages":[{"registryType":"npm","identifier":"x","version":"1.0.0","registryBaseUrl":"https://mirror.example.com","runtimeArguments":[{"type":"named","name":"-y"}]}]}`))
	require.NoError(t, err)
	require.Equal(t, []string{"-y", "--registry=https://mirror.example.com", "x@1.0.0"}, e.Command.Args, "the package is taken from where its publisher says")
}

func TestAddressesThatAreNotTaken(t *testing.T) {
	for address, reason := range map[string]string{
		"ftp://example.com":                      "not a URL",
		"javascript:alert(1)":                    "not a URL",
		"https://":                               "not a URL",
		"https://u:p@example.com/mcp":            "holds a password",
		"https://example.com/mcp?api_key=abc":    "holds a secret",
		"https://example.com/mcp?x=sk-123456789": "holds a secret",
	} {
		_, err := Server([]byte(`{"name":"a/b","version":"1","remotes":[{"type":"streamable-http","url":"` + address + `"}]}`))
		require.ErrorContains(t, err, reason, address)
	}
}

func TestDigestTellsWhatIsCalled(t *testing.T) {
	one := Entry{SourceName: "a/b", Name: "B", Version: "1", GatewayURL: "https://a.example.com"}
	other := one
	other.Version = "2"
	require.Equal(t, one.Digest(), other.Digest(), "a version number alone is no change")
	other.GatewayURL = "https://b.example.com"
	require.NotEqual(t, one.Digest(), other.Digest())
	other = one
	other.Deleted = true
	require.NotEqual(t, one.Digest(), other.Digest())
}

func FuzzServers(f *testing.F) {
	f.Add(read(f, "page.json"))
	f.Add([]byte(`{"servers":[{"server":{"name":"a/b","remotes":[{"type":"sse","url":"{a}","variables":{"a":{"default":"https://{a}"}}}]}}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		page, err := Servers(text)
		if err != nil {
			return
		}
		for _, e := range page.Entries {
			reasonable(t, e)
		}
	})
}

// reasonable is what every entry promises, whatever it was made of.
func reasonable(t *testing.T, e Entry) {
	t.Helper()
	require.LessOrEqual(t, len(e.Name), maxName)
	require.LessOrEqual(t, len(e.Description), maxDescription)
	require.NotContains(t, e.Name+e.Description, "\x00")
	require.NotEmpty(t, e.Digest())
	if e.Deleted {
		return
	}
	require.Equal(t, e.Protocol == upstream.ProtocolStdio, e.Command != nil)
	require.Equal(t, e.Protocol != upstream.ProtocolStdio, e.GatewayURL != "")
	for name, value := range e.Inject.Headers {
		require.Regexp(t, headerName, name)
		require.NotContains(t, value, "\n")
	}
}
