package registry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"uaol/providers/upstream"
	"uaol/services"
)

// value draws a JSON value; numbers are those that a double holds.
func value(depth int) *rapid.Generator[any] {
	kinds := []*rapid.Generator[any]{
		rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.String().AsAny(),
		rapid.Int64Range(-1<<53, 1<<53).AsAny(), rapid.Float64Range(-1e18, 1e18).AsAny(),
	}
	if depth > 0 {
		kinds = append(kinds,
			rapid.Custom(func(t *rapid.T) any { return rapid.SliceOfN(value(depth-1), 0, 4).Draw(t, "array") }),
			rapid.Custom(func(t *rapid.T) any { return rapid.MapOfN(rapid.String(), value(depth-1), 0, 4).Draw(t, "object") }))
	}
	return rapid.OneOf(kinds...)
}

// spell writes a value in one of the many ways of JSON.
func spell(t *rapid.T, b *bytes.Buffer, v any) {
	space := func() {
		b.WriteString(rapid.SampledFrom([]string{"", "", " ", "\n\t", "  \r\n"}).Draw(t, "space"))
	}
	switch v := v.(type) {
	case []any:
		b.WriteByte('[')
		for i, item := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			space()
			spell(t, b, item)
			space()
		}
		b.WriteByte(']')
	case map[string]any:
		names := make([]string, 0, len(v))
		for name := range v {
			names = append(names, name)
		}
		b.WriteByte('{')
		for i, name := range rapid.Permutation(names).Draw(t, "order") {
			if i > 0 {
				b.WriteByte(',')
			}
			space()
			spell(t, b, name)
			space()
			b.WriteByte(':')
			space()
			spell(t, b, v[name])
			space()
		}
		b.WriteByte('}')
	case string:
		b.WriteByte('"')
		for _, r := range v {
			switch {
			case r < 0x10000 && (r < 0x20 || r == '"' || r == '\\' || rapid.Bool().Draw(t, "escape")):
				fmt.Fprintf(b, `\u%04x`, r)
			default:
				b.WriteRune(r)
			}
		}
		b.WriteByte('"')
	case int64:
		switch rapid.IntRange(0, 2).Draw(t, "number") {
		case 0:
			fmt.Fprintf(b, "%d", v)
		case 1:
			fmt.Fprintf(b, "%d.0", v)
		default:
			fmt.Fprintf(b, "%de0", v)
		}
	default:
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(text)
	}
}

func digestFor(t interface{ Fatal(...any) }, schema []byte) string {
	text, err := canonical(upstream.Method{Name: "m", InputSchema: schema})
	if err != nil {
		t.Fatal(err)
	}
	return digest(text)
}

// TestOneMeaningOneDigest: however a schema is spelt, its digest is the same; and
// whatever it means otherwise, it is another.
func TestOneMeaningOneDigest(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		drawn := map[string]any{"a": value(3).Draw(t, "a"), "b": value(2).Draw(t, "b")}
		var one, other bytes.Buffer
		spell(t, &one, drawn)
		spell(t, &other, drawn)
		if digestFor(t, one.Bytes()) != digestFor(t, other.Bytes()) {
			t.Fatalf("%s\n%s", one.Bytes(), other.Bytes())
		}
		before, err := json.Marshal(drawn)
		if err != nil {
			t.Fatal(err)
		}
		drawn[rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "which")] = value(1).Draw(t, "instead")
		after, err := json.Marshal(drawn)
		if err != nil {
			t.Fatal(err)
		}
		if (string(before) == string(after)) != (digestFor(t, before) == digestFor(t, after)) {
			t.Fatalf("%s\n%s", before, after)
		}
	})
}

// TestWhatCounts: each of a method's parts is pinned, and so is the list.
func TestWhatCounts(t *testing.T) {
	t.Parallel()
	base := upstream.Method{Name: "m", Title: "T", Description: "d", InputSchema: json.RawMessage(`{"type":"object"}`)}
	seen := map[string]string{}
	for name, change := range map[string]func(m *upstream.Method){
		"nothing":     func(*upstream.Method) {},
		"name":        func(m *upstream.Method) { m.Name = "n" },
		"title":       func(m *upstream.Method) { m.Title = "U" },
		"description": func(m *upstream.Method) { m.Description = "d " },
		"invisible":   func(m *upstream.Method) { m.Description = "d\u200b" },
		"input":       func(m *upstream.Method) { m.InputSchema = json.RawMessage(`{"type":"object","required":[]}`) },
		"output":      func(m *upstream.Method) { m.OutputSchema = json.RawMessage(`{"type":"object"}`) },
		"annotations": func(m *upstream.Method) { m.Annotations = &upstream.Annotations{ReadOnly: true} },
		"destructive": func(m *upstream.Method) { m.Annotations = &upstream.Annotations{Destructive: true} },
	} {
		m := base
		change(&m)
		p, err := pin([]upstream.Method{m})
		require.NoError(t, err, name)
		require.Empty(t, seen[p.Digest], name)
		seen[p.Digest] = name
	}
	a, b := method("a", ""), method("b", "")
	one, err := pin([]upstream.Method{a, b})
	require.NoError(t, err)
	other, err := pin([]upstream.Method{b, a})
	require.NoError(t, err)
	require.Equal(t, one.Digest, other.Digest, "their order is the server's own business")
	fewer, err := pin([]upstream.Method{a})
	require.NoError(t, err)
	require.NotEqual(t, one.Digest, fewer.Digest)
	none, err := pin(nil)
	require.NoError(t, err)
	require.NotEqual(t, fewer.Digest, none.Digest)
}

func TestWhatCanNotBePinned(t *testing.T) {
	t.Parallel()
	with := func(input, output string) []upstream.Method {
		return []upstream.Method{method("good", ""), {Name: "bad", InputSchema: json.RawMessage(input), OutputSchema: json.RawMessage(output)}}
	}
	many := make([]upstream.Method, maxMethods+1)
	for i := range many {
		many[i] = method(fmt.Sprint("m", i), "")
	}
	large := make([]upstream.Method, 5)
	for i := range large {
		large[i] = method(fmt.Sprint("m", i), strings.Repeat("x", maxMethod-200))
	}
	for name, test := range map[string]struct {
		methods []upstream.Method
		message string
	}{
		"too many":        {many, "lists 1001 methods; 1000 are the most"},
		"twice":           {[]upstream.Method{method("a", ""), method("a", "other")}, "lists the method a twice"},
		"long name":       {[]upstream.Method{method(strings.Repeat("n", 257), "")}, "longer than 256 bytes"},
		"large":           {[]upstream.Method{method("a", strings.Repeat("x", maxMethod))}, "the method a in more than 1048576 bytes"},
		"large together":  {large, "its methods in more than 4194304 bytes"},
		"no schema":       {with(`{"type":"nonsense"}`, ``), "the method bad, whose input schema can't be used"},
		"no output":       {with(`{"type":"object"}`, `{"required":1}`), "the method bad, whose output schema can't be used"},
		"not an object":   {with(`true`, ``), "it is not an object"},
		"remote":          {with(`{"$ref":"https://example.com/schema.json"}`, ``), "other documents are not loaded"},
		"a file":          {with(`{"$ref":"file:///etc/passwd"}`, ``), "other documents are not loaded"},
		"remote dialect":  {with(`{"$schema":"http://169.254.169.254/x"}`, ``), "the method bad"},
		"unknown pointer": {with(`{"$ref":"#/$defs/nothing"}`, ``), "the method bad"},
		"two of a name":   {with(`{"type":"object","type":"string"}`, ``), "the method bad in JSON that has no canonical form"},
		"endless number":  {with(`{"minimum":1e999}`, ``), "the method bad in JSON that has no canonical form"},
	} {
		_, err := pin(test.methods)
		require.Error(t, err, name)
		require.True(t, services.Is(err, services.Upstream), name)
		require.Contains(t, err.Error(), test.message, name)
	}
	for name, schema := range map[string]string{
		"itself":  `{"$defs":{"a":{"type":"string"}},"properties":{"x":{"$ref":"#/$defs/a"}}}`,
		"draft 7": `{"$schema":"http://json-schema.org/draft-07/schema#","type":"object"}`, "2020-12": `{"$schema":"https://json-schema.org/draft/2020-12/schema"}`,
		"JavaScript's look-ahead": `{"properties":{"mail":{"type":"string","pattern":"^(?!\\.)(?!.*\\.\\.)x@y$"}}}`,
		"empty":                   `{}`, "none": `null`,
	} {
		_, err := pin(with(schema, ``))
		require.NoError(t, err, name)
	}
}

func TestCompare(t *testing.T) {
	t.Parallel()
	p, err := pin([]upstream.Method{method("a", ""), method("b", ""), method("c", "")})
	require.NoError(t, err)
	require.Empty(t, compare(p.Methods, []upstream.Method{method("c", ""), method("a", ""), method("b", ""), method("b", "")}))
	broken := method("b", "")
	broken.InputSchema = json.RawMessage(`{"type":"object","type":"object"}`)
	got := compare(p.Methods, []upstream.Method{method("a", ""), method("a", "another a"), broken, method("d", "")})
	kinds := map[string]string{}
	for _, m := range got {
		kinds[m.Name] = m.Difference
	}
	require.Equal(t, map[string]string{"a": changed, "b": changed, "c": removed, "d": added}, kinds)

	flood := make([]upstream.Method, 3*maxMethods)
	for i := range flood {
		flood[i] = method(fmt.Sprint("m", i), strings.Repeat("x", 10_000))
	}
	kept := storable(compare(p.Methods, flood))
	require.Len(t, kept, maxMethods)
	total := 0
	for _, m := range kept {
		total += len(m.Description)
	}
	require.Less(t, total, maxDefinition)
}

// FuzzCanonical: whatever a server lists, comparing it with itself finds nothing,
// and one canonical form is its own.
func FuzzCanonical(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":1e2,"b":[null,true,"\u20ac"]}`, `{"a":1,"a":2}`, `[`, `1e999`, `{"x":0.1e-7}`, "\"\xff\"", `{"\ud800":1}`, strings.Repeat("[", 2000)} {
		f.Add("name", seed)
	}
	f.Fuzz(func(t *testing.T, name, schema string) {
		m := upstream.Method{Name: name, InputSchema: json.RawMessage(schema)}
		p, err := pin([]upstream.Method{m})
		if err == nil {
			if got := compare(p.Methods, []upstream.Method{m}); len(got) > 0 {
				t.Fatalf("it differs from itself: %v", got)
			}
			text, err := canonical(m)
			require.NoError(t, err)
			var again upstream.Method
			require.NoError(t, json.Unmarshal(text, &again))
			spelt, err := canonical(again)
			require.NoError(t, err)
			require.Equal(t, string(text), string(spelt))
		}
		compare(nil, []upstream.Method{m, m})
		flagsOf(m)
	})
}
