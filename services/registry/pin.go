package registry

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"

	"github.com/gowebpki/jcs"

	"uaol/providers/upstream"
	"uaol/services"
)

// What a tool may list, so that it can be kept.
const (
	maxMethods    = 1000
	maxMethod     = 1 << 20 // bytes of one method's definition
	maxDefinition = 4 << 20 // bytes of all of them
	maxMethodName = 256     // bytes, as calls take them
)

// pins is a tool's methods as they were listed, each with its digest.
type pins struct {
	Methods []Method
	Digest  string // over all names and digests
}

// pin fixes what a server lists. Kind Upstream, naming the method, for a list
// that can't be relied on.
func pin(listed []upstream.Method) (pins, error) {
	if len(listed) > maxMethods {
		return pins{}, unfit("lists %d methods; %d are the most", len(listed), maxMethods)
	}
	var p pins
	names, total := map[string]bool{}, 0
	for _, m := range listed {
		text, err := canonical(m)
		switch {
		case len(m.Name) > maxMethodName:
			return pins{}, unfit("lists a method whose name is longer than %d bytes: %.40q…", maxMethodName, m.Name)
		case names[m.Name]:
			return pins{}, unfit("lists the method %s twice", m.Name)
		case err != nil:
			return pins{}, unfit("describes the method %s in JSON that has no canonical form", m.Name).Because(err)
		case len(text) > maxMethod:
			return pins{}, unfit("describes the method %s in more than %d bytes", m.Name, maxMethod)
		}
		if total += len(text); total > maxDefinition {
			return pins{}, unfit("describes its methods in more than %d bytes", maxDefinition)
		}
		for name, schema := range map[string]json.RawMessage{"input schema": m.InputSchema, "output schema": m.OutputSchema} {
			if _, err := CompileSchema(schema); err != nil {
				return pins{}, unfit("has the method %s, whose %s can't be used: %s", m.Name, name, brief(err.Error())).Because(err)
			}
		}
		names[m.Name] = true
		p.Methods = append(p.Methods, Method{Method: m, Digest: digest(text)})
	}
	p.Digest = digestOf(p.Methods)
	return p, nil
}

func unfit(format string, args ...any) *services.Error {
	return services.Errorf(services.Upstream, "The tool's server "+format, args...)
}

// canonical is what of a method counts, in the one spelling of RFC 8785.
func canonical(m upstream.Method) ([]byte, error) {
	text, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	return jcs.Transform(text)
}

func digest(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// digestOf is the digest over a list of methods, in whatever order it came.
func digestOf(methods []Method) string {
	lines := make([]string, len(methods))
	for i, m := range methods {
		name, _ := json.Marshal(m.Name) // a text can always be written, and ends where its quotes do
		lines[i] = string(name) + " " + m.Digest + "\n"
	}
	slices.Sort(lines)
	return digest([]byte(strings.Join(lines, "")))
}

// brief is a library's message in one line.
func brief(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > 300 {
		return string(runes[:300]) + "…"
	}
	return text
}

// The ways in which a live method differs from a pinned one.
const (
	changed = "changed"
	added   = "added"
	removed = "removed"
)

// compare finds how a live list differs from what is pinned. It never fails:
// what can't be brought into one spelling counts as it is written.
func compare(pinned []Method, live []upstream.Method) []Method {
	lived := map[string]Method{}
	var order []string
	for _, m := range live {
		text, err := canonical(m)
		if err != nil {
			text, _ = json.Marshal([]any{m.Name, m.Description, string(m.InputSchema), string(m.OutputSchema)}) // texts can always be written
		}
		sum := digest(text)
		known, twice := lived[m.Name]
		switch {
		case !twice:
			order = append(order, m.Name)
			lived[m.Name] = Method{Method: m, Digest: sum}
		case known.Digest != sum: // two of one name are like none that was looked at
			known.Digest = digest([]byte(known.Digest + sum))
			lived[m.Name] = known
		}
	}
	var different []Method
	for _, p := range pinned {
		now, there := lived[p.Name]
		switch {
		case !there:
			different = append(different, Method{Method: upstream.Method{Name: p.Name}, Difference: removed})
		case now.Digest != p.Digest:
			now.Difference = changed
			different = append(different, now)
		}
		delete(lived, p.Name)
	}
	for _, name := range order {
		if m, there := lived[name]; there {
			m.Difference = added
			different = append(different, m)
		}
	}
	return different
}

// storable are differences within bounds: what is too much is named without its
// definition, and of names that are too many or too long nobody is told.
func storable(different []Method) []Method {
	var kept []Method
	total := 0
	for _, m := range different {
		if m.Difference == added && (len(kept) >= maxMethods || len(m.Name) > maxMethodName) {
			continue
		}
		text, err := json.Marshal(m.Method)
		if total += len(text); err != nil || len(text) > maxMethod || total > maxDefinition {
			m.Method = upstream.Method{Name: m.Name}
		}
		kept = append(kept, m)
	}
	return kept
}
