package workflow

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// meantForm is what somebody may have meant as a reference: a name in braces, alone or
// with what looks like a way into it.
var meantForm = regexp.MustCompile(`\{\{\s*([A-Za-z0-9_-]{1,64})\s*((?:[.\[|][^{}]*)?)\}\}`)

// meant tells of what stands in a text's braces, begins with a name that means
// something here, and is no reference: nobody wants to send these braces to a tool.
func (c *compiler) meant(text string, references []found) {
	if strings.Count(text, "{{") == len(references) {
		return
	}
	for _, m := range meantForm.FindAllStringSubmatchIndex(text, -1) {
		if slices.ContainsFunc(references, func(r found) bool { return r.from == m[0] }) {
			continue
		}
		if reason := c.parser.insteadOf(text[m[2]:m[3]], strings.TrimSpace(text[m[4]:m[5]])); reason != "" {
			c.parser.doubt(c.where(), "%s %s", short(text[m[0]:m[1]]), reason)
		}
	}
}

var afterUnknown = regexp.MustCompile(`^\.(result|error|status)\b`)

// insteadOf says what may be referred to by a name, when what stands after it is wrong;
// "" for a name that means nothing here.
func (p *parser) insteadOf(name, path string) string {
	switch name {
	case "input", "item":
		return fmt.Sprintf("is no reference: there is {{%s}}, and with a path into it {{%s.list.0.id}}", name, name)
	case "index":
		return "is no reference: there is only {{index}}, a number"
	}
	if _, ok := p.d.index[name]; ok {
		return fmt.Sprintf("is no reference: a step has {{%s.result}}, with a path into it if wanted, {{%s.error}} and {{%s.status}}", name, name, name)
	}
	if after, ok := strings.CutPrefix(path, "."); name == "steps" && ok {
		id, _, _ := strings.Cut(after, ".")
		if _, ok := p.d.index[id]; ok {
			return fmt.Sprintf("is no reference: it is {{%s.result}}, {{%s.error}} or {{%s.status}} here, without steps", id, id, id)
		}
	}
	if afterUnknown.MatchString(path) {
		return "refers to no step of this workflow"
	}
	return ""
}
