package workflow

import (
	"encoding/json"
	"strconv"
)

// Template is a JSON value in which texts may hold references. It is kept as
// the text it is filled into: literals with a hole after each but the last.
type Template struct {
	literals [][]byte
	holes    []hole
	value    any
	unknown  []Path
}

// hole is a place where a reference stands.
type hole struct {
	reference
	inside bool // a longer text; else it is the whole value
}

// Path leads to a part of a value: names of members, and positions as digits.
type Path []string

// Constant is the encoded value when nothing has to be filled in. The bytes
// are shared: who gets them leaves them as they are.
func (t *Template) Constant() (json.RawMessage, bool) {
	if len(t.holes) > 0 {
		return nil, false
	}
	return t.literals[0], true
}

// Value is the decoded value (numbers are json.Number) as far as it is known
// before the job runs: null stands for each reference, and unknown has the
// paths of these places and of texts that hold references, which stand there
// unfilled. It is shared too.
func (t *Template) Value() (value any, unknown []Path) { return t.value, t.unknown }

// compiler makes a template of a value, finding faults.
type compiler struct {
	parser *parser
	at     string // where the value stands, for faults
	items  bool   // {{item}} and {{index}} mean something here
	step   int    // whose value it is; none for another's
	each   bool   // it is filled for each item, and so perhaps never

	t       Template
	literal []byte
	stack   []segment
	deep    bool // the fault was told
	needs   []int
	ofItem  bool // {{item}} or {{index}} was used
}

// segment is one part of a path: a member's name, or a position in a list.
type segment struct {
	name     string
	isMember bool
	i        int
}

func (c *compiler) template(value any) *Template {
	c.t.value = c.add(value)
	c.t.literals = append(c.t.literals, c.literal)
	t := c.t // without the compiler, which holds much else
	return &t
}

// add writes one value. It gives back what is known of it.
func (c *compiler) add(value any) any {
	switch v := value.(type) {
	case string:
		return c.addText(v)
	case []any:
		if c.tooDeep() {
			return nil
		}
		c.literal = append(c.literal, '[')
		for i, item := range v {
			if i > 0 {
				c.literal = append(c.literal, ',')
			}
			c.stack = append(c.stack, segment{i: i})
			v[i] = c.add(item)
			c.stack = c.stack[:len(c.stack)-1]
		}
		c.literal = append(c.literal, ']')
	case map[string]any:
		if c.tooDeep() {
			return nil
		}
		c.literal = append(c.literal, '{')
		for i, name := range sortedNames(v) {
			if i > 0 {
				c.literal = append(c.literal, ',')
			}
			c.literal = append(appendText(c.literal, name), ':')
			c.stack = append(c.stack, segment{name: name, isMember: true})
			v[name] = c.add(v[name])
			c.stack = c.stack[:len(c.stack)-1]
		}
		c.literal = append(c.literal, '}')
	default:
		c.literal = appendValue(c.literal, v)
	}
	return value
}

func (c *compiler) addText(text string) any {
	all := referencesIn(text)
	c.meant(text, all)
	if len(all) == 0 {
		c.literal = appendText(c.literal, text)
		return text
	}
	c.t.unknown = append(c.t.unknown, c.path())
	if r := all[0]; r.from == 0 && r.to == len(text) {
		c.addHole(r.reference, false)
		return nil
	}
	c.literal = append(c.literal, '"')
	last := 0
	for _, r := range all {
		c.literal = appendEscaped(c.literal, text[last:r.from])
		c.addHole(r.reference, true)
		last = r.to
	}
	c.literal = append(appendEscaped(c.literal, text[last:]), '"')
	return text
}

func (c *compiler) addHole(r reference, inside bool) {
	if reason := c.parser.resolve(&r, c.items); reason != "" {
		c.parser.fault(c.where(), "{{%s}} %s", short(r.text), reason)
	}
	if r.ofStep() {
		c.needs = append(c.needs, r.step)
	}
	c.ofItem = c.ofItem || r.ofItem()
	if p := c.parser; r.from == theInput && len(r.path) > 0 && len(p.reads) < mostReads {
		p.reads = append(p.reads, inputRead{step: c.step, at: c.where(), path: r.path, perhaps: c.each})
	}
	c.t.literals = append(c.t.literals, c.literal)
	c.literal = nil
	c.t.holes = append(c.t.holes, hole{reference: r, inside: inside})
}

func (c *compiler) tooDeep() bool {
	if len(c.stack) < maxDepth {
		return false
	}
	if !c.deep {
		c.deep = true
		c.parser.fault(c.at, "is nested more than %d deep", maxDepth)
	}
	return true
}

func (c *compiler) path() Path {
	path := make(Path, len(c.stack))
	for i, s := range c.stack {
		if path[i] = s.name; !s.isMember {
			path[i] = strconv.Itoa(s.i)
		}
	}
	return path
}

func (c *compiler) where() string { return where(c.at, c.stack) }
