package workflow

import (
	"encoding/json"
	"slices"
	"strconv"
)

// property is what a definition reads of its input, or of a part of it.
type property struct {
	Type        string               `json:"type,omitempty"`
	Description string               `json:"description,omitempty"`
	Properties  map[string]*property `json:"properties,omitempty"`
	Required    []string             `json:"required,omitempty"`
}

// InputSchema is a JSON Schema of the input that the definition reads: the members
// that its templates name, and of these the ones without which no job succeeds. More
// is not known of them.
func (d *Definition) InputSchema() json.RawMessage {
	whole := &property{Type: "object"}
	for _, r := range d.mentions {
		whole.mention(d, r)
	}
	for _, r := range d.reads {
		whole.require(r.path)
	}
	text, _ := json.Marshal(whole) // these are texts
	return text
}

// mention adds what a place reads. Below a member that is read as a list nothing is
// said: an index of a list and a member with digits for a name look alike.
func (p *property) mention(d *Definition, r inputRead) {
	for i, name := range r.path {
		if isIndex(name) {
			p.Type, p.Properties = "", nil
			return
		}
		if p.Properties == nil {
			p.Type, p.Properties = "object", map[string]*property{}
		}
		next := p.Properties[name]
		if next == nil {
			next = &property{}
			p.Properties[name] = next
			if i == len(r.path)-1 {
				next.Description = d.reader(r)
			}
		}
		p = next
	}
}

func (d *Definition) reader(r inputRead) string {
	if r.step == none {
		return "Read by the workflow's output"
	}
	return "Read by the step " + d.Steps[r.step].ID
}

func (p *property) require(path []string) {
	for _, name := range path {
		next := p.Properties[name]
		if next == nil {
			return
		}
		if !slices.Contains(p.Required, name) {
			p.Required = append(p.Required, name)
		}
		p = next
	}
}

func isIndex(name string) bool {
	_, err := strconv.Atoi(name)
	return err == nil
}
