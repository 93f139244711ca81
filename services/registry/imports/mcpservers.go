package imports

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"uaol/providers/upstream"
	"uaol/services"
)

// clientServer is an entry of the file in which Claude Desktop, Cursor and VS
// Code keep servers.
type clientServer struct {
	Type    string            `json:"type"`
	Command string            `json:"command"`
	Args    []string          `json:"args"`
	Env     map[string]string `json:"env"`
	Dir     string            `json:"cwd"`
	URL     string            `json:"url"`
	Server  string            `json:"serverUrl"` // Windsurf's word for url
	Headers map[string]string `json:"headers"`

	Disabled bool `json:"disabled"`
}

// maxServers is more than anybody keeps in such a file.
const maxServers = 500

// MCPServers reads a client's file of servers: {"mcpServers": …}, or
// {"servers": …} as VS Code has it. Secrets in it come out apart, in
// Entry.Secrets. Kind Invalid when it is none.
func MCPServers(document []byte) ([]Entry, []Skipped, error) {
	var file struct {
		MCPServers map[string]json.RawMessage `json:"mcpServers"`
		Servers    map[string]json.RawMessage `json:"servers"`
		MCP        struct {
			Servers map[string]json.RawMessage `json:"servers"`
		} `json:"mcp"`
	}
	if err := json.Unmarshal(document, &file); err != nil {
		return nil, nil, services.Errorf(services.Invalid, "this is not a JSON file of MCP servers")
	}
	all := map[string]json.RawMessage{}
	for _, part := range []map[string]json.RawMessage{file.MCP.Servers, file.Servers, file.MCPServers} {
		maps.Copy(all, part)
	}
	switch {
	case len(all) == 0:
		return nil, nil, services.Errorf(services.Invalid, "it has no servers under mcpServers or servers")
	case len(all) > maxServers:
		return nil, nil, services.Errorf(services.Invalid, "it may hold %d servers at most", maxServers)
	}
	var entries []Entry
	var skipped []Skipped
	for _, name := range slices.Sorted(maps.Keys(all)) {
		var server clientServer
		why := "it is not described as a server is"
		if json.Unmarshal(all[name], &server) == nil {
			var entry Entry
			if entry, why = server.entry(name); why == "" {
				entries = append(entries, entry)
				continue
			}
		}
		skipped = append(skipped, Skipped{Name: line(name, maxName), Reason: why})
	}
	return entries, skipped, nil
}

func (s clientServer) entry(name string) (Entry, string) {
	e := Entry{SourceName: clean(name, 200), Name: name}
	e.tidy()
	if e.Name == "" {
		return e, "it has no name"
	}
	if s.URL == "" {
		s.URL = s.Server
	}
	switch {
	case s.Disabled:
		return e, "it is disabled there"
	case s.Command != "" && s.URL != "":
		return e, "it has both a command and an address"
	case s.Command != "":
		return e, s.local(&e)
	case s.URL != "":
		return e, s.remote(&e)
	}
	return e, "it has neither a command nor an address"
}

func (s clientServer) remote(e *Entry) string {
	switch strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(s.Type)) {
	case "sse":
		e.Protocol = upstream.ProtocolSSE
	case "http", "streamablehttp", "streamable":
		e.Protocol = upstream.ProtocolMCP
	case "":
		e.Protocol = upstream.ProtocolMCP
		if path, _, _ := strings.Cut(s.URL, "?"); strings.HasSuffix(path, "/sse") {
			e.Protocol = upstream.ProtocolSSE
		}
	default:
		return fmt.Sprintf("its type %.40q is unknown", s.Type)
	}
	if open.MatchString(s.URL) {
		return "its address holds a placeholder"
	}
	if why := badAddress(s.URL); why != "" {
		return why
	}
	e.GatewayURL = s.URL
	for _, name := range sortedKeys(s.Headers) {
		if !headerName.MatchString(name) || !oneLine(s.Headers[name]) {
			return "one of its headers is not a header"
		}
		put(&e.Inject.Headers, name, e.template(name, s.Headers[name]))
	}
	return ""
}

func (s clientServer) local(e *Entry) string {
	e.Protocol = upstream.ProtocolStdio
	for i, arg := range s.Args {
		before := ""
		if i > 0 && strings.HasPrefix(s.Args[i-1], "-") {
			before = s.Args[i-1]
		}
		flag, value, joined := strings.Cut(arg, "=")
		switch {
		case open.MatchString(arg):
			return "its arguments hold a placeholder, and a command is fixed"
		case looksSecret(before, arg) && !strings.HasPrefix(arg, "-"), joined && strings.HasPrefix(flag, "-") && looksSecret(flag, value), secretValues.MatchString(arg):
			return "its arguments hold a secret, and commands are shown; give it as an environment variable"
		}
	}
	if open.MatchString(s.Command+s.Dir) || strings.Contains(s.Command+s.Dir+strings.Join(s.Args, ""), "\x00") {
		return "its command holds a placeholder"
	}
	e.Command = &upstream.Command{Path: s.Command, Args: s.Args, Dir: s.Dir}
	for _, name := range sortedKeys(s.Env) {
		if !variableName.MatchString(name) || strings.Contains(s.Env[name], "\x00") {
			return "one of its environment variables is not one"
		}
		put(&e.Inject.Env, name, e.template(name, s.Env[name]))
	}
	return ""
}

// open finds what a client fills in: ${VAR}, ${env:VAR}, ${input:id}, ${VAR:-default}.
var open = regexp.MustCompile(`\$\{(?:env:|input:)?([A-Za-z_][A-Za-z0-9_.-]*)(?::-[^}]*)?\}`)

// template takes a secret out of a value and says where it was.
func (e *Entry) template(name, value string) string {
	if open.MatchString(value) {
		return open.ReplaceAllStringFunc(value, func(text string) string {
			return placeholder(secretName(open.FindStringSubmatch(text)[1]))
		})
	}
	if !looksSecret(name, value) {
		return value
	}
	secret, before := secretName(name), ""
	if scheme, rest, found := strings.Cut(value, " "); found && (strings.EqualFold(scheme, "Bearer") || strings.EqualFold(scheme, "Basic")) {
		before, value = scheme+" ", strings.TrimSpace(rest)
	}
	for base, n := secret, 2; e.Secrets[secret] != "" && e.Secrets[secret] != value; n++ { // X-Key and X_Key
		secret = fmt.Sprintf("%s_%d", base[:min(len(base), 60)], n)
	}
	put(&e.Secrets, secret, value)
	return before + placeholder(secret)
}

func oneLine(value string) bool { return !strings.ContainsAny(value, "\r\n\x00") }

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
