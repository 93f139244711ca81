package jobs

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

func decoded(t require.TestingT, text string) (value any) {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	require.NoError(t, decoder.Decode(&value), text)
	return value
}

func object(t require.TestingT, text string) map[string]any { return decoded(t, text).(map[string]any) }

func TestFill(t *testing.T) {
	t.Parallel()
	results := map[string]json.RawMessage{
		"a": json.RawMessage(`{"content":[{"type":"text","text":"hello"}],"n":9007199254740993,"f":1.50,"o":{"z":1,"a":[true,null,"<&>"]},"none":null,"empty":""}`),
		"b": json.RawMessage(`"{{a.result.n}}"`),
		"c": json.RawMessage(`not JSON`),
	}
	for name, c := range map[string]struct{ parameters, want, fails string }{
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
		"no such member":                {`{"x":"{{a.result.o.nope.deeper}}"}`, "", `{{a.result.o.nope.deeper}}: the result has no "nope" there`},
		"beyond the list":               {`{"x":"t {{a.result.content.1}}"}`, "", `{{a.result.content.1}}: the result has no "1" there`},
		"before the list":               {`{"x":"{{a.result.content.-1}}"}`, "", `{{a.result.content.-1}}: the result has no "-1" there`},
		"into a text":                   {`{"x":"{{a.result.empty.0}}"}`, "", `{{a.result.empty.0}}: the result has no "0" there`},
		"a step without a result":       {`{"x":"{{z.result}}"}`, "", `{{z.result}}: the step has no result`},
		"a result that is no JSON":      {`{"x":"{{c.result}}"}`, "", `{{c.result}}: the result is not JSON`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := fill(object(t, c.parameters), results)
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

// A megabyte of references to ten megabytes of result is refused before it is
// made, whichever way the references stand.
func TestFillIsBounded(t *testing.T) {
	t.Parallel()
	results := map[string]json.RawMessage{"a": json.RawMessage(`"` + strings.Repeat("x", 1<<20) + `"`)}
	for _, text := range []string{"{{a.result}}", "t {{a.result}}"} {
		list := make([]any, 30_000)
		for i := range list {
			list[i] = text
		}
		_, err := fill(map[string]any{"x": list}, results)
		require.EqualError(t, err, fmt.Sprintf("the parameters grew beyond %d bytes", maxInserted))
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

func encoded(t require.TestingT, value any) json.RawMessage {
	text, err := json.Marshal(value)
	require.NoError(t, err)
	return text
}

func TestFillProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		value := drawJSON(3).Draw(t, "value")
		raw := encoded(t, value)
		results := map[string]json.RawMessage{"a": raw}

		// Exactly one reference: the value itself, of its type.
		got, err := fill(map[string]any{"x": "{{a.result}}"}, results)
		require.NoError(t, err)
		require.Equal(t, map[string]any{"x": decoded(t, string(raw))}, decoded(t, string(got)))

		// Inside a text: the text itself or compact JSON, never looked at again.
		got, err = fill(map[string]any{"x": "<{{a.result}}|{{a.result}}>"}, results)
		require.NoError(t, err)
		inserted, ok := value.(string)
		if !ok {
			inserted, err = asText(decoded(t, string(raw)))
			require.NoError(t, err)
			var compact bytes.Buffer
			require.NoError(t, json.Compact(&compact, []byte(inserted)))
			require.Equal(t, compact.String(), inserted)
			require.Equal(t, decoded(t, string(raw)), decoded(t, inserted))
		}
		require.Equal(t, map[string]any{"x": "<" + inserted + "|" + inserted + ">"}, decoded(t, string(got)))
	})
}

func FuzzFill(f *testing.F) {
	f.Add(`{"x":"{{a.result.0.k}}","y":["t{{ b.result }}"]}`, `[{"k":9007199254740993}]`, `"{{a.result}}"`)
	f.Add(`{"x":"{{a.result.k.k}}"}`, `{"k":{"k":1e400}}`, `nope`)
	f.Fuzz(func(t *testing.T, parameters, a, b string) {
		decoder := json.NewDecoder(strings.NewReader(parameters))
		decoder.UseNumber()
		var values map[string]any
		if decoder.Decode(&values) != nil {
			return
		}
		got, err := fill(values, map[string]json.RawMessage{"a": json.RawMessage(a), "b": json.RawMessage(b)})
		if err != nil {
			require.True(t, services.Is(err, services.Invalid), "%v", err)
			return
		}
		require.True(t, json.Valid(got), string(got))
	})
}
