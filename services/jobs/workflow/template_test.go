package workflow

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// template compiles a value that may refer to the steps a (0), b (1), c (2) and
// z (3), and to an item.
func template(t require.TestingT, value string) *Template {
	decoded, err := decode([]byte(value))
	require.NoError(t, err, value)
	p := known()
	c := compiler{parser: p, at: at, items: true}
	made := c.template(decoded)
	require.Empty(t, p.faults)
	return made
}

func known() *parser {
	return &parser{
		d:     &Definition{Steps: make([]Step, 4), index: map[string]int{"a": 0, "b": 1, "c": 2, "z": 3}},
		needs: make([][]int, 4),
	}
}

// condition compiles one that may read the same.
func condition(t require.TestingT, text string) *Condition {
	r := stepReader{object: object{p: known(), at: at}, items: true}
	c := r.condition(text)
	require.Empty(t, r.p.faults)
	return c
}

func results(of map[int]string) func(int) Result {
	return func(i int) Result {
		if result, ok := of[i]; ok {
			return Result{Status: "Success", Result: json.RawMessage(result)}
		}
		return Result{Status: "Skipped"}
	}
}

func TestConstant(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		`{"b":[1, 2.50,{}],"a":"<ä\u2028\"\u0007>"}`: `{"a":"<ä` + "\u2028" + `\"\u0007>","b":[1,2.50,{}]}`,
		`"{{name}} {{}} {{a.nothing}} {{a.result"`:   `"{{name}} {{}} {{a.nothing}} {{a.result"`,
		`null`: `null`,
		`[]`:   `[]`,
	} {
		made := template(t, value)
		got, ok := made.Constant()
		require.True(t, ok, value)
		require.Equal(t, want, string(got))
		filled, err := made.Fill(Scope{})
		require.NoError(t, err)
		require.Equal(t, want, string(filled))
		known, unknown := made.Value()
		require.Empty(t, unknown)
		require.Equal(t, decoded(t, value), known)
	}
	_, ok := template(t, `{"x":["{{input}}"]}`).Constant()
	require.False(t, ok)
}

func TestValueTellsWhatIsUnknown(t *testing.T) {
	t.Parallel()
	value, unknown := template(t, `{"n":1.50,"whole":"{{a.result.n}}","list":["x","say {{ b.error }}!",{"":"{{item}}"}],"0":"{{name}}"}`).Value()
	require.Equal(t, decoded(t, `{"n":1.50,"whole":null,"list":["x","say {{ b.error }}!",{"":null}],"0":"{{name}}"}`), value)
	require.Equal(t, []Path{{"list", "1"}, {"list", "2", ""}, {"whole"}}, unknown)

	value, unknown = template(t, `"{{index}}"`).Value()
	require.Nil(t, value)
	require.Equal(t, []Path{{}}, unknown)
}

func decoded(t require.TestingT, text string) any {
	value, err := decode([]byte(text))
	require.NoError(t, err, text)
	return value
}
