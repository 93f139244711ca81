package imports

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"uaol/providers/upstream"
	"uaol/services"
)

// Page is one page of a registry's list, GET /v0.1/servers.
type Page struct {
	Entries []Entry
	Skipped []Skipped
	Next    string // cursor; "" at the end
}

// serverJSON is what the official format says of a server, as far as calls need
// it: https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json
type serverJSON struct {
	Name        string `json:"name"`
	Title       string `json:"title"`
	Description string `json:"description"`
	Version     string `json:"version"`
	Website     string `json:"websiteUrl"`
	Repository  struct {
		URL string `json:"url"`
	} `json:"repository"`
	Remotes  []remote `json:"remotes"`
	Packages []pkg    `json:"packages"`
}

type remote struct {
	Type      string           `json:"type"`
	URL       string           `json:"url"`
	Headers   []keyValue       `json:"headers"`
	Variables map[string]input `json:"variables"`
}

type pkg struct {
	RegistryType string     `json:"registryType"`
	BaseURL      string     `json:"registryBaseUrl"`
	Identifier   string     `json:"identifier"`
	Version      string     `json:"version"`
	Transport    remote     `json:"transport"`
	Runtime      []argument `json:"runtimeArguments"`
	Arguments    []argument `json:"packageArguments"`
	Environment  []keyValue `json:"environmentVariables"`
}

type input struct {
	Value    string `json:"value"`
	Default  string `json:"default"`
	Required bool   `json:"isRequired"`
	Secret   bool   `json:"isSecret"`
}

type keyValue struct {
	input
	Name      string           `json:"name"`
	Variables map[string]input `json:"variables"`
}

type argument struct {
	keyValue
	Type string `json:"type"`
	Hint string `json:"valueHint"`
}

// listed is an entry of a registry's list.
type listed struct {
	Server json.RawMessage `json:"server"`
	Meta   struct {
		Official struct {
			Status    string `json:"status"`
			UpdatedAt string `json:"updatedAt"`
			Latest    *bool  `json:"isLatest"`
		} `json:"io.modelcontextprotocol.registry/official"`
	} `json:"_meta"`
}

// maxPage is more servers than any page has.
const maxPage = 1000

// Servers reads a page of a registry's list. Of a server of which the page has
// several versions, the latest counts. Kind Invalid when it is none.
func Servers(document []byte) (Page, error) {
	var list struct {
		Servers  []listed `json:"servers"`
		Metadata struct {
			Next string `json:"nextCursor"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(document, &list); err != nil || list.Servers == nil {
		return Page{}, services.Errorf(services.Invalid, "this is not a registry's list of servers")
	}
	if len(list.Servers) > maxPage {
		return Page{}, services.Errorf(services.Invalid, "a page may hold %d servers at most", maxPage)
	}
	page := Page{Next: list.Metadata.Next}
	at := map[string]int{}
	for _, one := range list.Servers {
		official := one.Meta.Official
		if official.Latest != nil && !*official.Latest {
			continue
		}
		entry, err := Server(one.Server)
		entry.Deleted = official.Status == "deleted"
		if err != nil && (!entry.Deleted || entry.SourceName == "") {
			page.Skipped = append(page.Skipped, Skipped{Name: line(entry.SourceName, 200), Reason: err.Error()})
			continue
		}
		entry.Updated, _ = time.Parse(time.RFC3339, official.UpdatedAt) // only newer or older matters
		if i, twice := at[entry.SourceName]; twice {
			if !entry.Updated.Before(page.Entries[i].Updated) {
				page.Entries[i] = entry
			}
			continue
		}
		at[entry.SourceName] = len(page.Entries)
		page.Entries = append(page.Entries, entry)
	}
	return page, nil
}

var serverName = regexp.MustCompile(`^[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+$`)

// Server reads a server.json. With an error it still gives the name. Kind
// Invalid when the server can't be called from here.
func Server(document []byte) (Entry, error) {
	var server serverJSON
	if err := json.Unmarshal(document, &server); err != nil || !bytes.HasPrefix(bytes.TrimSpace(document), []byte("{")) {
		return Entry{}, services.Errorf(services.Invalid, "this is not a server.json")
	}
	if len(server.Name) > 200 || !serverName.MatchString(server.Name) {
		return Entry{}, services.Errorf(services.Invalid, "its name %.200q is not in the form of com.example/name", server.Name)
	}
	entry := Entry{
		SourceName: server.Name, Name: server.Title, Description: server.Description, Version: line(server.Version, 255),
		DocumentationURL: server.Website,
	}
	if entry.Name == "" {
		_, entry.Name, _ = strings.Cut(server.Name, "/")
	}
	if entry.DocumentationURL == "" {
		entry.DocumentationURL = server.Repository.URL
	}
	entry.tidy()
	return entry, entry.reach(server)
}

// reach takes the first way to the server that can be gone: one of its own
// addresses if possible, since a package has to be run here.
func (e *Entry) reach(server serverJSON) error {
	reason := "it has neither an address nor a package that is run over stdio"
	for _, r := range byPreference(server.Remotes) {
		if why := e.over(r); why != "" {
			reason = why
			continue
		}
		return nil
	}
	for _, p := range server.Packages {
		if why := e.run(p); why != "" {
			reason = why
			continue
		}
		return nil
	}
	return services.Errorf(services.Invalid, "%s", reason)
}

// byPreference puts streamable HTTP before SSE.
func byPreference(remotes []remote) []remote {
	sorted := slices.Clone(remotes)
	slices.SortStableFunc(sorted, func(a, b remote) int { return rank(a) - rank(b) })
	return sorted
}

func rank(r remote) int { return slices.Index([]string{"streamable-http", "sse"}, r.Type) }

func (e *Entry) over(r remote) (why string) {
	way := Entry{Protocol: upstream.ProtocolMCP}
	switch r.Type {
	case "streamable-http":
	case "sse":
		way.Protocol = upstream.ProtocolSSE
	default:
		return fmt.Sprintf("its transport %.40q is unknown", r.Type)
	}
	way.GatewayURL = inBraces.ReplaceAllStringFunc(r.URL, func(text string) string {
		return r.Variables[text[1:len(text)-1]].known(text)
	})
	if missing := inBraces.FindString(way.GatewayURL); missing != "" {
		return "its address holds " + missing + ", which everybody chooses for themselves"
	}
	if why := badAddress(way.GatewayURL); why != "" {
		return why
	}
	for _, h := range r.Headers {
		value, wanted := h.template()
		if !wanted {
			continue
		}
		if !headerName.MatchString(h.Name) || !oneLine(value) {
			return "one of its headers is not a header"
		}
		put(&way.Inject.Headers, h.Name, value)
	}
	e.GatewayURL, e.Protocol, e.Inject = way.GatewayURL, way.Protocol, way.Inject
	return ""
}

var inBraces = regexp.MustCompile(`\{[A-Za-z_][A-Za-z0-9_.-]*\}`)

// badAddress says why an address can't be taken. Whether it may be called is
// for the egress policy.
func badAddress(address string) string {
	u, err := url.Parse(address)
	switch {
	case len(address) > maxAddress || err != nil || !isHTTP(address) || u.Host == "":
		return "its address is not a URL"
	case u.User != nil:
		return "its address holds a password"
	}
	for name, values := range u.Query() {
		if looksSecret(name, values[0]) {
			return "its address holds a secret, and addresses are shown; give it as a header"
		}
	}
	return ""
}

// known is what the document itself says that the value is.
func (i input) known(otherwise string) string {
	switch {
	case i.Secret:
		return otherwise
	case i.Value != "":
		return i.Value
	case i.Default != "":
		return i.Default
	}
	return otherwise
}

// template writes the value with placeholders for what people have to give. What
// is neither asked for nor known is left away.
func (k keyValue) template() (value string, wanted bool) {
	if k.Value == "" {
		if value = k.known(""); value != "" {
			return value, true
		}
		return placeholder(secretName(k.Name)), k.Required || k.Secret
	}
	return inBraces.ReplaceAllStringFunc(k.Value, func(text string) string {
		name := text[1 : len(text)-1]
		variable, declared := k.Variables[name]
		if !declared {
			return text // as the format wants it
		}
		return variable.known(placeholder(secretName(name)))
	}), true
}

// Names of packages as npm, PyPI and OCI have them. None can begin with a dash:
// it would be an option.
var (
	npmName     = regexp.MustCompile(`^(@[A-Za-z0-9~][A-Za-z0-9._~-]*/)?[A-Za-z0-9~][A-Za-z0-9._~-]{0,213}$`)
	pypiName    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,213}$`)
	ociName     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,500}$`)
	versionText = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+!-]{0,254}$`)
)

// run makes the command that runs a package, without a shell.
func (e *Entry) run(p pkg) (why string) {
	if p.Transport.Type != "" && p.Transport.Type != "stdio" {
		return fmt.Sprintf("its package speaks %.40q, and stdio alone is run", p.Transport.Type)
	}
	if p.Version != "" && !versionText.MatchString(p.Version) {
		return "its package's version is not one"
	}
	if p.BaseURL != "" && (!strings.HasPrefix(p.BaseURL, "https://") || badAddress(p.BaseURL) != "") {
		return "its package comes from an address that is not https"
	}
	for _, a := range p.Runtime {
		if v := a.Name + a.Value; v != "-y" && v != "--yes" {
			return "its package wants options for the program that runs it, which only a person can judge"
		}
	}
	way := Entry{}
	command, why := way.launcher(p)
	if why != "" {
		return why
	}
	for _, a := range p.Arguments {
		texts, why := a.texts()
		if why != "" {
			return why
		}
		command.Args = append(command.Args, texts...)
	}
	e.Protocol, e.Command, e.Inject, e.GatewayURL = upstream.ProtocolStdio, command, way.Inject, ""
	return ""
}

func (e *Entry) launcher(p pkg) (*upstream.Command, string) {
	for _, v := range p.Environment {
		value, wanted := v.template()
		if !wanted {
			continue
		}
		if !variableName.MatchString(v.Name) || strings.Contains(value, "\x00") {
			return nil, "one of its environment variables is not one"
		}
		put(&e.Inject.Env, v.Name, value)
	}
	switch p.RegistryType {
	case "npm":
		return pinned("npx", []string{"-y"}, "--registry=", p, npmName, "@")
	case "pypi":
		return pinned("uvx", nil, "--default-index=", p, pypiName, "==")
	case "oci":
		args := []string{"run", "-i", "--rm"}
		for _, name := range sortedKeys(e.Inject.Env) {
			args = append(args, "-e", name) // docker's own environment has the value
		}
		p.BaseURL = "" // an image's name begins with its registry
		separator := ":"
		if strings.Contains(p.Identifier[strings.LastIndex(p.Identifier, "/")+1:], ":") || strings.Contains(p.Identifier, "@") {
			p.Version = "" // it is in the name already
		}
		return pinned("docker", args, "", p, ociName, separator)
	}
	return nil, fmt.Sprintf("packages of the kind %.40q are not run here", p.RegistryType)
}

func pinned(program string, args []string, base string, p pkg, name *regexp.Regexp, separator string) (*upstream.Command, string) {
	if !name.MatchString(p.Identifier) {
		return nil, "its package's name is not one"
	}
	if p.BaseURL != "" {
		args = append(args, base+p.BaseURL)
	}
	what := p.Identifier
	if p.Version != "" {
		what += separator + p.Version
	}
	return &upstream.Command{Path: program, Args: append(args, what)}, ""
}

// texts is an argument as the program gets it. What a person would have to
// choose can't be left open: a command is fixed with the version.
func (a argument) texts() ([]string, string) {
	value := inBraces.ReplaceAllStringFunc(a.Value, func(text string) string {
		return a.Variables[text[1:len(text)-1]].known(text)
	})
	if value == "" {
		value = a.known("")
	}
	open := a.Secret && value != "" || value != "" && len(a.Variables) > 0 && inBraces.MatchString(value)
	switch {
	case open || value == "" && a.Required:
		what := a.Name
		if what == "" {
			what = a.Hint
		}
		return nil, fmt.Sprintf("its package wants the argument %.100s, which everybody chooses for themselves", what)
	case strings.Contains(a.Name+value, "\x00"):
		return nil, "one of its arguments is not one"
	case a.Type == "named" && value == "" && len(a.Name) > 0 && strings.HasPrefix(a.Name, "-"):
		return []string{a.Name}, ""
	case a.Type == "named" && strings.HasPrefix(a.Name, "-"):
		return []string{a.Name, value}, ""
	case value == "":
		return nil, ""
	}
	return []string{value}, ""
}
