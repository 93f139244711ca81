package console

import (
	"encoding/json"
	"strings"

	"uaol/services/gateway/console/forms"
)

// toolMethod is a method as the API shows it. Its texts are the server's own.
type toolMethod struct {
	Name        string          `json:"name"`
	Title       string          `json:"title"`
	Description string          `json:"description"`
	Input       json.RawMessage `json:"inputSchema"`
	Output      json.RawMessage `json:"outputSchema"`
	Annotations *annotations    `json:"annotations"`
	Digest      string          `json:"digest"`
	Difference  string          `json:"difference"` // changed, added or removed since it was approved
	Flags       []methodFlag    `json:"flags"`
}

type annotations struct {
	Title       string `json:"title,omitempty"`
	ReadOnly    bool   `json:"readOnlyHint"`
	Destructive bool   `json:"destructiveHint"`
	Idempotent  bool   `json:"idempotentHint"`
	OpenWorld   bool   `json:"openWorldHint"`
	TakesKey    bool   `json:"idempotencyKeyHint,omitempty"`
}

// methodFlag points at something that readers don't see.
type methodFlag struct {
	Path string `json:"path"`
	What string `json:"what"`
	Code string `json:"code"`
}

// effect is something that a method says of what it does.
type effect struct {
	Name  string
	About string
	Tone  string
}

// Effects are what the method claims of its calls.
func (m toolMethod) Effects() (all []effect) {
	a := m.Annotations
	if a == nil {
		return []effect{{"effects not stated", "The tool does not say what a call changes.", "calm"}}
	}
	switch {
	case a.ReadOnly:
		all = append(all, effect{"read-only", "A call changes nothing.", "good"})
	case a.Destructive:
		all = append(all, effect{"destructive", "A call may change or destroy what is there.", "bad"})
	default:
		all = append(all, effect{"adds only", "A call adds something and destroys nothing.", "wait"})
	}
	if a.Idempotent && !a.ReadOnly {
		all = append(all, effect{"idempotent", "The same call again changes nothing more.", "good"})
	}
	if a.OpenWorld {
		all = append(all, effect{"open world", "It deals with things outside of the tool, such as the web.", "calm"})
	}
	return all
}

// Destroys reports whether a call is asked about first.
func (m toolMethod) Destroys() bool {
	return m.Annotations != nil && m.Annotations.Destructive && !m.Annotations.ReadOnly
}

// Shown is the method's title, if it has one beside its name.
func (m toolMethod) Shown() string {
	if m.Title == "" && m.Annotations != nil {
		return m.Annotations.Title
	}
	return m.Title
}

// First is the first line of the description.
func (m toolMethod) First() string {
	line, _, _ := strings.Cut(strings.TrimSpace(m.Description), "\n")
	if runes := []rune(line); len(runes) > firstLine {
		return string(runes[:firstLine]) + "…"
	}
	return line
}

const firstLine = 140 // characters

// Parameters are what calls are given, in a table's rows.
func (m toolMethod) Parameters() []forms.Row { return forms.Rows(forms.Of(m.Input)) }

// Returns are the members of its structured results.
func (m toolMethod) Returns() []forms.Row { return forms.Rows(forms.Of(m.Output)) }

// fields are the form's for a caller.
func (m toolMethod) fields(of tool) []forms.Field {
	return forms.Without(forms.Of(m.Input), of.Injected())
}

// methodsAbout are those in whose texts a word stands.
func methodsAbout(methods []toolMethod, word string) (some []toolMethod) {
	word = strings.ToLower(word)
	for _, m := range methods {
		if strings.Contains(strings.ToLower(m.Name+"\n"+m.Title+"\n"+m.Description), word) {
			some = append(some, m)
		}
	}
	return some
}
