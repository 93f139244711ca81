package console

import (
	"encoding/json"
	"regexp"
	"strings"

	"uaol/services/gateway/console/forms"
)

// toolSnippets are ways to use a tool from elsewhere.
func toolSnippets(base string, t tool, methods []toolMethod) []snippet {
	if t.Status != "Approved" {
		return nil
	}
	at := base + "/mcp/t/" + t.ID
	type server struct {
		URL     string            `json:"url"`
		Headers map[string]string `json:"headers"`
	}
	cursor := map[string]any{"mcpServers": map[string]server{t.Slug: {at, map[string]string{"Authorization": "Bearer ${env:UAOL_API_KEY}"}}}}
	all := []snippet{
		{"Claude Code", "claude mcp add --transport http " + t.Slug + " " + at + " --header \"Authorization: Bearer $KEY\""},
		{"Cursor: .cursor/mcp.json", indented(cursor)},
	}
	if len(methods) > 0 {
		m := methods[0]
		all = append(callSnippets(base, t, m.Name, forms.Sample(m.fields(t))), all...)
	}
	return all
}

// callSnippets make one call from a terminal.
func callSnippets(base string, t tool, method string, arguments json.RawMessage) []snippet {
	body := `{"method":` + quotedJSON(method) + `,"params":` + string(arguments) + `}`
	return []snippet{
		{"curl", "curl -s " + base + "/proxy/" + t.ID + "/call -H \"X-API-Key: $KEY\" -H 'Content-Type: application/json' \\\n  -d " + shellWord(body)},
		{"uaol", "uaol tools call " + t.Slug + " " + shellWord(method) + shellArguments(arguments)},
	}
}

func quotedJSON(text string) string {
	quoted, _ := json.Marshal(text) // a text can always be written
	return string(quoted)
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./:@%+,=-]+$`)

// shellWord is a text as one word of a shell's command.
func shellWord(text string) string {
	if plainWord.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

const mostArguments = 8 // that are written one by one

// shellArguments writes arguments as `uaol tools call` takes them.
func shellArguments(arguments json.RawMessage) string {
	var members map[string]json.RawMessage
	if json.Unmarshal(arguments, &members) != nil || len(members) == 0 {
		return ""
	}
	var out strings.Builder
	for _, name := range sorted(members) {
		if strings.ContainsAny(name, "=:") || name == "" || len(members) > mostArguments {
			return " " + shellWord(string(arguments))
		}
		var text string
		if json.Unmarshal(members[name], &text) == nil {
			out.WriteString(" --arg " + shellWord(name+"="+text))
		} else {
			out.WriteString(" --arg " + shellWord(name+":="+compacted(members[name])))
		}
	}
	return out.String()
}
