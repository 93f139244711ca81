package imports

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/providers/upstream"
	"uaol/services"
	"uaol/services/registry/credentials"
)

const clientFile = `{
  "inputs": [{"id": "gh-token", "type": "promptString", "password": true}],
  "mcpServers": {
    "memory": {"command": "npx", "args": ["-y", "@modelcontextprotocol/server-memory"], "env": {"MEMORY_FILE": "/data/m.json", "LOG": "1"}},
    "github": {"type": "http", "url": "https://api.example.com/mcp", "headers": {"Authorization": "Bearer ghp_topsecret1234", "X-Plain": "yes"}},
    "db": {"command": "db-mcp", "env": {"URL": "postgres://me:hunter2@db/x", "API_KEY": "${MY_KEY}", "Other": "${input:gh-token}", "D": "a-${env:HOST:-x}-b"}},
    "events": {"url": "https://events.example.com/sse"},
    "legacy": {"type": "sse", "url": "https://legacy.example.com/x"}
  }
}`

func TestWhatIsDisabledIsNotImported(t *testing.T) {
	entries, skipped, err := MCPServers([]byte(`{"mcpServers":{"on":{"url":"https://a.example.com/mcp"},"off":{"url":"https://b.example.com/mcp","disabled":true}}}`))
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.Equal(t, []Skipped{{"off", "it is disabled there"}}, skipped)
}

func TestClientsFile(t *testing.T) {
	entries, skipped, err := MCPServers([]byte(clientFile))
	require.NoError(t, err)
	require.Empty(t, skipped)
	byName := map[string]Entry{}
	for _, e := range entries {
		byName[e.SourceName] = e
		require.Empty(t, credentials.Check(e.Inject, nil), e.SourceName)
	}
	require.Len(t, byName, 5)
	require.Equal(t, &upstream.Command{Path: "npx", Args: []string{"-y", "@modelcontextprotocol/server-memory"}}, byName["memory"].Command)
	require.Equal(t, map[string]string{"MEMORY_FILE": "/data/m.json", "LOG": "1"}, byName["memory"].Inject.Env)
	require.Empty(t, byName["memory"].Secrets)
	require.Equal(t, upstream.ProtocolMCP, byName["github"].Protocol)
	require.Equal(t, map[string]string{"Authorization": "Bearer {{secret.Authorization}}", "X-Plain": "yes"}, byName["github"].Inject.Headers)
	require.Equal(t, map[string]string{"Authorization": "ghp_topsecret1234"}, byName["github"].Secrets)
	require.Equal(t, map[string]string{
		"URL": "{{secret.URL}}", "API_KEY": "{{secret.MY_KEY}}", "Other": "{{secret.gh_token}}", "D": "a-{{secret.HOST}}-b",
	}, byName["db"].Inject.Env)
	require.Equal(t, map[string]string{"URL": "postgres://me:hunter2@db/x"}, byName["db"].Secrets)
	require.Equal(t, upstream.ProtocolSSE, byName["events"].Protocol)
	require.Equal(t, upstream.ProtocolSSE, byName["legacy"].Protocol)
}

// TestSecretsComeOutApart reads a secret from every place where people write one:
// none is left in what is stored and shown.
func TestSecretsComeOutApart(t *testing.T) {
	const secret = "s3cr3t-Value-0815"
	for _, name := range []string{"API_KEY", "TOKEN", "GITHUB_TOKEN", "MY_SECRET", "PASSWORD", "DB_PASSWD", "apikey", "AWS_SECRET_ACCESS_KEY", "X-Api-Key", "Authorization", "Cookie", "SESSION", "PRIVATE_KEY", "PG_DSN", "AUTH"} {
		for _, text := range []string{`{"a":{"command":"x","env":{%q:%q}}}`, `{"a":{"url":"https://example.com/mcp","headers":{%q:%q}}}`} {
			entries, skipped, err := MCPServers(fmt.Appendf(nil, `{"mcpServers":`+text+`}`, name, secret))
			require.NoError(t, err)
			if len(skipped) > 0 { // a header's name is no variable's
				require.NotContains(t, skipped[0].Reason, secret)
				continue
			}
			stored, err := json.Marshal(entries)
			require.NoError(t, err)
			require.NotContains(t, string(stored), secret, name)
			require.Len(t, entries[0].Secrets, 1, name)
		}
	}
	for _, value := range []string{"sk-abcdefgh", "ghp_abc", "github_pat_abc", "xoxb-1-2", "AKIA0000", "eyJhbGciOi", "redis://:pw@host", "postgres://u:pw@host/db", "Bearer abc", "-----BEGIN PRIVATE KEY-----"} {
		entries, _, err := MCPServers(fmt.Appendf(nil, `{"mcpServers":{"a":{"command":"x","env":{"HARMLESS":%q}}}}`, value))
		require.NoError(t, err)
		require.Len(t, entries[0].Secrets, 1, value)
	}
}

func TestServersThatAreNotTaken(t *testing.T) {
	for server, reason := range map[string]string{
		`{}`:     "neither",
		`"text"`: "not described",
		`{"command":"x","url":"https://example.com"}`:                          "both",
		`{"command":"x","args":["--token","abc"]}`:                             "arguments hold a secret",
		`{"command":"x","args":["--api-key=abc"]}`:                             "arguments hold a secret",
		`{"command":"x","args":["postgres://u:p@host/db"]}`:                    "arguments hold a secret",
		`{"command":"x","args":["${workspaceFolder}"]}`:                        "arguments hold a placeholder",
		`{"command":"${HOME}/x"}`:                                              "command holds a placeholder",
		`{"command":"x","env":{"A B":"1"}}`:                                    "not one",
		`{"url":"https://${HOST}/mcp"}`:                                        "address holds a placeholder",
		`{"url":"https://example.com/mcp?token=abc"}`:                          "address holds a secret",
		`{"url":"https://u:p@example.com/mcp"}`:                                "holds a password",
		`{"url":"https://example.com/mcp","type":"websocket"}`:                 "unknown",
		`{"url":"https://example.com/mcp","headers":{"A B":"x"}}`:              "not a header",
		`{"url":"https://example.com/mcp","headers":{"X-A":"x\r\nX-Evil: 1"}}`: "not a header",
	} {
		entries, skipped, err := MCPServers([]byte(`{"servers":{"a":` + server + `}}`))
		require.NoError(t, err, server)
		require.Empty(t, entries, server)
		require.Len(t, skipped, 1, server)
		require.Contains(t, skipped[0].Reason, reason, server)
	}
	for _, text := range []string{``, `[]`, `{}`, `{"mcpServers":{}}`, `{"mcpServers":[]}`} {
		_, _, err := MCPServers([]byte(text))
		require.True(t, services.Is(err, services.Invalid), text)
	}
}

func TestTwoSecretsKeepTwoNames(t *testing.T) {
	entries, _, err := MCPServers([]byte(`{"mcpServers":{"a":{"url":"https://example.com/mcp","headers":{"X-Key":"one","X_Key":"two"}}}}`))
	require.NoError(t, err)
	require.Len(t, entries[0].Secrets, 2)
}

func FuzzMCPServers(f *testing.F) {
	f.Add([]byte(clientFile))
	f.Fuzz(func(t *testing.T, text []byte) {
		entries, _, err := MCPServers(text)
		if err != nil {
			return
		}
		for _, e := range entries {
			reasonable(t, e)
		}
	})
}
