package contract

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"uaol/acceptance/world"
)

// difference is one place where ours is not what was recorded: a path such as
// data.status, or "answer" when the answer as a whole is another one.
type difference struct{ path, ours string }

func (d difference) String() string { return d.path + "=" + d.ours }

// comparer holds an answer of ours against a recorded one. Values that differ
// from run to run (ids, times, tokens, credits) count by their form; an id must
// stand for the same thing throughout.
type comparer struct {
	known  map[string]string   // recorded text → ours: ids, API keys, the tool's address
	extras map[string][]string // by the key that marks a resource: keys that ours adds
	loose  bool                // ids count by their form only
	found  []difference
}

func (c *comparer) add(path, format string, args ...any) {
	c.found = append(c.found, difference{path, fmt.Sprintf(format, args...)})
}

// compare lists the differences between a recording and our answer to it.
func (c *comparer) compare(r recording, ours world.Answer) []difference {
	recorded, got := r.answer(), decode(ours.Body)
	if ours.Status >= 400 {
		c.refusal(r, recorded, got, ours)
		return c.found
	}
	if r.status() != ours.Status {
		c.add("answer", "%d", ours.Status)
		return c.found
	}
	if len(ours.Body) == 0 {
		got = ""
	}
	c.value("", recorded, got)
	return c.found
}

// refusal compares errors: code and message belong together. Details may come
// beside them.
func (c *comparer) refusal(r recording, recorded, got any, ours world.Answer) {
	body, _ := got.(map[string]any)
	fault, _ := body["error"].(map[string]any)
	code, message := fault["code"], fault["message"]
	for key := range body {
		if key != "success" && key != "error" {
			c.add("answer."+key, "%s", compact(body[key]))
		}
	}
	for key := range fault {
		if key != "code" && key != "message" && key != "details" {
			c.add("error."+key, "%s", compact(fault[key]))
		}
	}
	if body["success"] != false || code == nil || message == nil {
		c.add("envelope", "%s", ours)
	}
	was, _ := recorded.(map[string]any)
	then, _ := was["error"].(map[string]any)
	if r.status() == ours.Status && then["code"] == code && byForm(c.substitute(text(then["message"]))) == byForm(text(message)) {
		return
	}
	c.add("answer", "%d %s %s", ours.Status, text(code), text(message))
}

func (c *comparer) value(path string, recorded, ours any) {
	switch was := recorded.(type) {
	case map[string]any:
		if is, ok := ours.(map[string]any); ok {
			c.object(path, was, is)
			return
		}
	case []any:
		if is, ok := ours.([]any); ok {
			c.list(path, was, is)
			return
		}
	case string:
		if is, ok := ours.(string); ok && c.sameText(path, was, is) {
			return
		}
	default:
		if recorded == ours {
			return
		}
	}
	c.add(path, "%s", compact(ours))
}

func (c *comparer) object(path string, recorded, ours map[string]any) {
	var allowed []string
	for mark, keys := range c.extras {
		if _, ok := recorded[mark]; ok {
			allowed = append(allowed, keys...)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(recorded)) {
		if is, ok := ours[key]; ok {
			c.value(join(path, key), recorded[key], is)
		} else {
			c.add(join(path, key), "gone")
		}
	}
	for _, key := range slices.Sorted(maps.Keys(ours)) {
		if _, ok := recorded[key]; !ok && !slices.Contains(allowed, key) {
			c.add(join(path, key), "%s", compact(ours[key]))
		}
	}
}

func (c *comparer) list(path string, recorded, ours []any) {
	if n := len(recorded); n > 0 && recorded[n-1] == cutShort {
		recorded = recorded[:n-1]
		ours = ours[:min(len(ours), n-1)]
	}
	if len(recorded) != len(ours) {
		c.add(path, "%s", compact(ours))
		return
	}
	for i := range recorded {
		c.value(fmt.Sprintf("%s[%d]", path, i), recorded[i], ours[i])
	}
}

var (
	uuidForm   = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	timeForm   = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`)
	keyForm    = regexp.MustCompile(`^uaol_[A-Za-z0-9_]{24,}$`)
	jwtForm    = regexp.MustCompile(`^[\w-]+\.[\w-]+\.[\w-]+$`)
	creditForm = regexp.MustCompile(`^\d+$`)
)

func (c *comparer) sameText(path, recorded, ours string) bool {
	switch {
	case recorded == "<JWT>":
		return jwtForm.MatchString(ours)
	case strings.HasSuffix(path, ".credits"):
		return creditForm.MatchString(recorded) && creditForm.MatchString(ours)
	case timeForm.MatchString(recorded):
		return timeForm.MatchString(ours)
	case strings.HasSuffix(recorded, cutShort):
		return strings.HasPrefix(ours, strings.TrimSuffix(recorded, cutShort))
	case uuidForm.MatchString(recorded), keyForm.MatchString(recorded):
		form := uuidForm
		if !uuidForm.MatchString(recorded) {
			form = keyForm
		}
		if !form.MatchString(ours) {
			return false
		}
		if c.loose {
			return true
		}
		if _, ok := c.known[recorded]; !ok {
			c.known[recorded] = ours
		}
		return c.known[recorded] == ours
	}
	return c.substitute(recorded) == ours
}

// substitute puts our ids and addresses where the recording has the original's.
func (c *comparer) substitute(recorded string) string {
	longest := slices.SortedFunc(maps.Keys(c.known), func(a, b string) int { return len(b) - len(a) })
	for _, was := range longest { // an address has ids in it
		recorded = strings.ReplaceAll(recorded, was, c.known[was])
	}
	return recorded
}

var amounts = regexp.MustCompile(`(Required|Available): \d+`)

// byForm leaves amounts of credits out of a message: accounts begin with more
// than the original's.
func byForm(message string) string { return amounts.ReplaceAllString(message, "$1: N") }

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func text(value any) string {
	s, _ := value.(string)
	return s
}

func compact(value any) string {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(value) // what was decoded can be encoded
	return strings.TrimSpace(b.String())
}
