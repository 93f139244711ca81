package registry

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"uaol/providers/upstream"
)

// Flag points at something in a method's texts that a person who reads them
// does not see, and a model does.
type Flag struct {
	Path string `json:"path"`           // such as inputSchema.properties.city.description
	What string `json:"what"`           // in words
	Code string `json:"code,omitempty"` // the character, such as U+202E
}

const (
	maxFlags        = 20   // of one method
	longDescription = 8000 // characters; what people are shown is shorter
)

// escape begins a terminal's sequence, also where it was spelt out.
var escape = regexp.MustCompile(`(?:\x1b|\\x1b|\\u001b|\\033)\[`)

var comment = regexp.MustCompile(`(?s)<!--.*?(?:-->|$)`)

// flagsOf finds what is hidden in a method's name, texts and schemas.
func flagsOf(m upstream.Method) []Flag {
	flags := []Flag{}
	add := func(path, text string, prose bool) {
		for _, f := range flagsIn(path, text, prose) {
			if len(flags) < maxFlags && !slices.Contains(flags, f) {
				flags = append(flags, f)
			}
		}
	}
	add("name", m.Name, true)
	add("title", m.Title, true)
	add("description", m.Description, true)
	if m.Annotations != nil {
		add("annotations.title", m.Annotations.Title, true)
	}
	for name, schema := range map[string]json.RawMessage{"inputSchema": m.InputSchema, "outputSchema": m.OutputSchema} {
		var document any
		if json.Unmarshal(schema, &document) == nil {
			texts(name, document, func(path, text string) { add(path, text, false) })
		}
	}
	slices.SortStableFunc(flags, func(a, b Flag) int { return strings.Compare(a.Path, b.Path) })
	return flags
}

// texts visits every text of a JSON document, names of members included.
func texts(path string, value any, visit func(path, text string)) {
	switch v := value.(type) {
	case string:
		visit(path, v)
	case []any:
		for i, item := range v {
			texts(path+"["+strconv.Itoa(i)+"]", item, visit)
		}
	case map[string]any:
		for name, item := range v {
			visit(path, name)
			texts(path+"."+printable(name), item, visit)
		}
	}
}

// printable is a name fit for a path.
func printable(name string) string {
	name = strings.Map(func(r rune) rune {
		if hidden(r) != "" {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(name, "?"))
	if runes := []rune(name); len(runes) > 60 {
		return string(runes[:60]) + "…"
	}
	return name
}

func flagsIn(path, text string, prose bool) (flags []Flag) {
	seen := map[rune]bool{}
	for _, r := range text {
		if what := hidden(r); what != "" && !seen[r] {
			seen[r] = true
			flags = append(flags, Flag{path, what, fmt.Sprintf("U+%04X", r)})
		}
	}
	if escape.MatchString(text) {
		flags = append(flags, Flag{path, "terminal escape sequence", "U+001B"})
	}
	if comment.MatchString(text) {
		flags = append(flags, Flag{Path: path, What: "hidden HTML comment"})
	}
	if len([]rune(text)) > longDescription {
		flags = append(flags, Flag{Path: path, What: "very long text"})
	}
	if prose {
		for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return !unicode.IsLetter(r) }) {
			if mixed(word) {
				flags = append(flags, Flag{Path: path, What: "letters of several scripts in one word: " + printable(word)})
				break
			}
		}
	}
	return flags
}

// hidden says what is wrong with a character that is not to be seen; "" for
// those that are.
func hidden(r rune) string {
	switch {
	case r == '\n', r == '\t', r == '\r':
		return ""
	case unicode.Is(unicode.Bidi_Control, r):
		return "bidirectional control character"
	case r >= 0xE0000 && r <= 0xE0FFF:
		return "invisible tag character"
	case unicode.IsControl(r):
		return "control character"
	case invisible(r):
		return "invisible character"
	default:
		return ""
	}
}

// invisible are characters of no width beyond the format characters of Unicode:
// fillers, the combining grapheme joiner and variation selectors, with which
// text can be hidden too. The joiners of emoji and of Indic scripts are among
// them: rather one flag too many.
func invisible(r rune) bool {
	switch r {
	case 0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0, 0x2028, 0x2029:
		return true
	case 0xFE0F: // asks for an emoji's colours
		return false
	}
	return unicode.Is(unicode.Cf, r) || (r >= 0xFE00 && r <= 0xFE0E) || unicode.Is(unicode.Variation_Selector, r)
}

// mixed reports a word that looks like Latin and is not all of it.
func mixed(word string) bool {
	var latin, alike bool
	for _, r := range word {
		latin = latin || unicode.Is(unicode.Latin, r)
		alike = alike || unicode.In(r, unicode.Cyrillic, unicode.Greek, unicode.Armenian, unicode.Cherokee)
	}
	return latin && alike
}
