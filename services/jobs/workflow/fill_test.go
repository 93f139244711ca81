package workflow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"uaol/services"
)

func TestFill(t *testing.T) {
	t.Parallel()
	scope := Scope{
		Input: json.RawMessage(`{"x":[{"y":1.0}],"s":"t"}`), Item: json.RawMessage(` {"k" : ["v"]}`), Index: json.RawMessage(`7`),
		Results: results(map[int]string{
			0: `{"content":[{"type":"text","text":"hello"}],"n":9007199254740993,"f":1.50,"o":{"z":1,"a":[true,null,"<&>"]},"none":null,"empty":""}`,
			1: `"{{a.result.n}}"`,
			2: `not JSON`,
		}),
	}
	for name, c := range map[string]struct{ value, want, fails string }{
		"nothing to fill":               {`{"x":"y","n":1e2}`, `{"x":"y","n":1e2}`, ""},
		"a number keeps its digits":     {`{"x":"{{a.result.n}}"}`, `{"x":9007199254740993}`, ""},
		"its form too":                  {`{"x":"{{a.result.f}}"}`, `{"x":1.50}`, ""},
		"a literal keeps its digits":    {`{"x":9007199254740993}`, `{"x":9007199254740993}`, ""},
		"an object stays one":           {`{"x":["{{ a.result.o }}"]}`, `{"x":[{"z":1,"a":[true,null,"<&>"]}]}`, ""},
		"null stays null":               {`{"x":"{{a.result.none}}"}`, `{"x":null}`, ""},
		"the whole result":              {`{"x":"{{b.result}}"}`, `{"x":"{{a.result.n}}"}`, ""},
		"a path into lists":             {`{"x":"{{a.result.content.0.text}}"}`, `{"x":"hello"}`, ""},
		"inside a text":                 {`{"x":"say {{a.result.content.0.text}}, {{a.result.n}}!"}`, `{"x":"say hello, 9007199254740993!"}`, ""},
		"an object in a text":           {`{"x":"={{a.result.o}}"}`, `{"x":"={\"a\":[true,null,\"<&>\"],\"z\":1}"}`, ""},
		"spaces make it a text":         {`{"x":" {{a.result.n}}"}`, `{"x":" 9007199254740993"}`, ""},
		"two are a text":                {`{"x":"{{a.result.n}}{{a.result.empty}}"}`, `{"x":"9007199254740993"}`, ""},
		"inserted text is left alone":   {`{"x":"{{b.result}} and {{b.result}}"}`, `{"x":"{{a.result.n}} and {{a.result.n}}"}`, ""},
		"keys are left alone":           {`{"{{a.result.n}}":1}`, `{"{{a.result.n}}":1}`, ""},
		"braces that meet by insertion": {`{"x":"{{{a.result.empty}}{a.result.n}}"}`, `{"x":"{{a.result.n}}"}`, ""},
		"the input":                     {`["{{input}}","{{input.x.0.y}}","{{ input.s }}!"]`, `[{"s":"t","x":[{"y":1.0}]},1.0,"t!"]`, ""},
		"the item":                      {`["{{item}}","{{item.k.0}}","{{item}}: {{index}}","{{index}}"]`, `[{"k":["v"]},"v","{\"k\":[\"v\"]}: 7",7]`, ""},
		"a status":                      {`["{{a.status}}","{{z.status}}","is {{z.status}}"]`, `["Success","Skipped","is Skipped"]`, ""},
		"no error":                      {`["{{a.error}}","e {{a.error}}"]`, `[null,"e null"]`, ""},
		"not a list":                    {`"{{a.result.content}}"`, `[{"type":"text","text":"hello"}]`, ""},
		"no such member":                {`{"x":"{{a.result.o.nope.deeper}}"}`, "", `{{a.result.o.nope.deeper}}: the result has no "nope" there`},
		"beyond the list":               {`{"x":"t {{a.result.content.1}}"}`, "", `{{a.result.content.1}}: the result has no "1" there`},
		"before the list":               {`{"x":"{{a.result.content.-1}}"}`, "", `{{a.result.content.-1}}: the result has no "-1" there`},
		"into a text":                   {`{"x":"{{a.result.empty.0}}"}`, "", `{{a.result.empty.0}}: the result has no "0" there`},
		"a step without a result":       {`{"x":"{{z.result}}"}`, "", `{{z.result}}: the step has no result`},
		"a result that is no JSON":      {`{"x":"{{c.result}}"}`, "", `{{c.result}}: the result is not JSON`},
		"and is looked into":            {`{"x":"{{c.result.x}}"}`, "", `{{c.result.x}}: the result is not JSON`},
		"no such input":                 {`"{{input.x.1}}"`, "", `{{input.x.1}}: the input has no "1" there`},
		"no such member of an item":     {`"{{item.x}}"`, "", `{{item.x}}: the item has no "x" there`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := template(t, c.value).Fill(scope)
			if c.fails != "" {
				require.EqualError(t, err, c.fails)
				require.True(t, services.Is(err, services.Invalid))
				return
			}
			require.NoError(t, err)
			require.Equal(t, decoded(t, c.want), decoded(t, string(got)), string(got))
		})
	}
}

func TestFillWithoutInput(t *testing.T) {
	t.Parallel()
	got, err := template(t, `"{{input}}"`).Fill(Scope{})
	require.NoError(t, err)
	require.Equal(t, `null`, string(got))
	_, err = template(t, `"{{input.x}}"`).Fill(Scope{})
	require.EqualError(t, err, `{{input.x}}: the input has no "x" there`)
}

func TestFillTellsAnError(t *testing.T) {
	t.Parallel()
	scope := Scope{Results: func(int) Result { return Result{Status: "Failed", Error: `it said "no"`} }}
	got, err := template(t, `["{{a.error}}","so {{a.error}}"]`).Fill(scope)
	require.NoError(t, err)
	require.Equal(t, `["it said \"no\"","so it said \"no\""]`, string(got))
}

func TestText(t *testing.T) {
	t.Parallel()
	scope := Scope{Results: results(map[int]string{0: `{"s":"a \"quoted\"\n<text>","o":{"b":1,"a":[]},"n":1.50}`})}
	for value, want := range map[string]string{
		`"plain \"text\""`:           `plain "text"`,
		`"{{a.result.s}}"`:           "a \"quoted\"\n<text>",
		`"so: {{a.result.s}}"`:       "so: a \"quoted\"\n<text>",
		`"{{a.result.o}}"`:           `{"a":[],"b":1}`,
		`"{{a.result.n}}"`:           `1.50`,
		`"{{a.result.n}} \u20ac"`:    `1.50 €`,
		`{"x":["{{a.result.n}}"]}`:   `{"x":[1.50]}`,
		`{"x":1}`:                    `{"x":1}`,
		`"{{a.error}}"`:              `null`,
		`"{{a.status}}{{z.status}}"`: `SuccessSkipped`,
	} {
		got, err := template(t, value).Text(scope)
		require.NoError(t, err, value)
		require.Equal(t, want, got)
	}
	_, err := template(t, `"{{z.result}}"`).Text(scope)
	require.EqualError(t, err, "{{z.result}}: the step has no result")
}

// A megabyte of references to a megabyte of result is refused before it is
// made, whichever way the references stand.
func TestFillIsBounded(t *testing.T) {
	t.Parallel()
	large := func(n int) Scope {
		return Scope{Results: results(map[int]string{0: `"` + strings.Repeat("x", n) + `"`})}
	}
	want := fmt.Sprintf("filled in, the value is more than %d bytes", maxFilled)
	for _, text := range []string{"{{a.result}}", "t {{a.result}}"} {
		list := template(t, `{"x":[`+strings.Repeat(`"`+text+`",`, 30_000)+`1]}`)
		_, err := list.Fill(large(1 << 20))
		require.EqualError(t, err, want)
		_, err = template(t, `"`+text+`"`).Text(large(maxFilled + 1))
		require.EqualError(t, err, want)
	}
}

// drawJSON makes values without numbers that a decoder would write another way.
func drawJSON(depth int) *rapid.Generator[any] {
	leaf := rapid.OneOf(
		rapid.Just[any](nil), rapid.Map(rapid.Bool(), func(b bool) any { return b }),
		rapid.Map(rapid.Int64(), func(n int64) any { return json.Number(fmt.Sprint(n)) }),
		rapid.Map(rapid.String(), func(s string) any { return strings.ToValidUTF8(s, "") }),
		rapid.SampledFrom([]any{"{{a.result}}", "x{{b.result.k}}", "{{", "}}", "{{a.result.0"}))
	if depth == 0 {
		return leaf
	}
	return rapid.OneOf(leaf,
		rapid.Map(rapid.SliceOfN(drawJSON(depth-1), 0, 3), func(l []any) any { return l }),
		rapid.Map(rapid.MapOfN(rapid.SampledFrom([]string{"k", "l", "0", "{{a.result}}"}), drawJSON(depth-1), 0, 3), func(m map[string]any) any { return m }))
}

func TestFillProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		value := drawJSON(3).Draw(t, "value")
		raw, err := json.MarshalIndent(value, "", " ")
		require.NoError(t, err)
		scope := Scope{Results: results(map[int]string{0: string(raw)})}

		// Exactly one reference: the value itself, of its type.
		got, err := template(t, `{"x":"{{a.result}}"}`).Fill(scope)
		require.NoError(t, err)
		require.Equal(t, map[string]any{"x": decoded(t, string(raw))}, decoded(t, string(got)))

		// Inside a text: the text itself or compact JSON, never looked at again.
		between := template(t, `"<{{a.result}}|{{a.result}}>"`)
		got, err = between.Fill(scope)
		require.NoError(t, err)
		inserted, ok := value.(string)
		if !ok {
			inserted = asText(decoded(t, string(raw)))
			var compact bytes.Buffer
			require.NoError(t, json.Compact(&compact, []byte(inserted)))
			require.Equal(t, compact.String(), inserted)
			require.Equal(t, decoded(t, string(raw)), decoded(t, inserted))
		}
		require.Equal(t, "<"+inserted+"|"+inserted+">", decoded(t, string(got)))
		text, err := between.Text(scope)
		require.NoError(t, err)
		require.Equal(t, "<"+inserted+"|"+inserted+">", text)
	})
}
