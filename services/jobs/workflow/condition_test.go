package workflow

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/services"
)

func TestConditions(t *testing.T) {
	t.Parallel()
	scope := Scope{
		Input: json.RawMessage(`{"n":4,"f":4.0,"half":0.5,"s":"Grüße","big":18446744073709551615,"huge":1e999,"none":null,"list":[1,2.5,{"k":"v"}],"then":"2030-01-01T12:00:00+01:00"}`),
		Item:  json.RawMessage(`{"n":2}`), Index: json.RawMessage(`3`),
		Results: func(i int) Result {
			return [...]Result{
				{Status: "Success", Result: json.RawMessage(`{"content":[{"text":"yes"}],"n":9007199254740993}`)},
				{Status: "Failed", Error: "it broke"},
				{Status: "Success", Result: json.RawMessage(`nope`)},
				{Status: "Skipped"},
			}[i]
		},
	}
	for text, want := range map[string]bool{
		`true`:                                      true,
		`input.n > 3`:                               true,
		`input.n > 3.5`:                             true,
		`input.n == input.f`:                        true,
		`input.half * 2.0 == 1.0`:                   true,
		`input.n / 3 == 1`:                          true,
		`double(input.n) * input.half == 2.0`:       true,
		`input.big > 9223372036854775807`:           true,
		`input.huge > input.big`:                    true,
		`input.none == null`:                        true,
		`has(input.none) && !has(input.nothing)`:    true,
		`size(input.s) == 5`:                        true,
		`input.s.lowerAscii() == "grüße"`:           true,
		`input.s.matches("^Gr.{3}$")`:               true,
		`input.list.exists(x, type(x) == map)`:      true,
		`input.list[0] + 1 == 2`:                    true,
		`2.5 in input.list`:                         true,
		`1.0 in input.list`:                         true,
		`input["list"][2].k == "v"`:                 true,
		`timestamp(input.then).getHours() == 11`:    true,
		`duration("90m") > duration("1h")`:          true,
		`steps.a.result.content[0].text == "yes"`:   true,
		`steps.a.result.n == 9007199254740993`:      true,
		`steps["a"].status == "Success"`:            true,
		`steps.a.error == null`:                     true,
		`steps.b.status == "Failed"`:                true,
		`steps.b.result == null`:                    true,
		`steps.b.error.contains("broke")`:           true,
		`has(steps.b.result) && size(steps.b) == 3`: true,
		`steps.z.status != "Skipped"`:               false,
		`steps.z.status == "x" && steps.c.result.x`: false,
		`item.n == 2 && index == 3`:                 true,
		`[1, 2].map(x, x * index).all(x, x > 2)`:    true,
	} {
		got, err := condition(t, text).True(context.Background(), scope)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for text, want := range map[string]string{
		`input.n`:                    "the condition must be true or false, and is of the type int",
		`input.nope == 1`:            "the condition cannot be evaluated: no such key: nope",
		`input.n + input.half > 1.0`: "the condition cannot be evaluated: no such overload",
		`input.list[7] == 1`:         "the condition cannot be evaluated: index out of bounds: 7",
		`steps.c.result.x == 1`:      "the condition cannot be evaluated: the result of c is not JSON",
		`steps.b.result.x == 1`:      "the condition cannot be evaluated: no such key: x",
		`1 / (index - 3) == 1`:       "the condition cannot be evaluated: division by zero",
	} {
		_, err := condition(t, text).True(context.Background(), scope)
		require.EqualError(t, err, want)
		require.True(t, services.Is(err, services.Invalid))
	}
}

func TestConditionFaults(t *testing.T) {
	t.Parallel()
	const whole = `steps has to be followed by a step's id: steps.a or steps["a"]`
	for text, want := range map[string][]string{
		`1 + `:                               {"column 5: Syntax error"},
		`{input.x: 1} == {}`:                 {"the keys of a map have to be written out"},
		`1 + 1`:                              {"must be true or false, and is of the type int"},
		`nope`:                               {"column 1: undeclared reference to 'nope'"},
		`index > 1 || item`:                  {"column 1: undeclared reference to 'index'", "column 14: undeclared reference to 'item'"},
		`now() > timestamp("2030-01-01")`:    {"column 4: undeclared reference to 'now'"},
		`env("HOME") != ""`:                  {"column 4: undeclared reference to 'env'"},
		`size(steps) > 0`:                    {whole},
		`steps.exists(s, true)`:              {whole},
		`steps[input.x].result`:              {whole},
		`steps["a" + "b"].result`:            {whole},
		`[steps][0].a.result && steps == {}`: {whole, whole},
		`input[steps] == 1`:                  {whole},
		`steps`:                              {"must be true or false, and is of the type map(string, dyn)"},
		`steps.gone.result && .steps["x y"].status == ""`: {`steps["gone"] refers to no step of this workflow`, `steps["x y"] refers to no step of this workflow`},
		`steps.b.reslt`:               {`steps["b"] has a status, a result and an error, and no reslt`},
		`has(steps.b.output)`:         {`steps["b"] has a status, a result and an error, and no output`},
		`[1].all(steps, true)`:        {"steps cannot be the name of a loop's variable"},
		`{1: 2}.all(input, true)`:     {"input cannot be the name of a loop's variable"},
		`"a".replace("", "b") == "b"`: {"the function replace is not there"},
		`size("a".split("")) == 1`:    {"the function split is not there"},
		`"a".matches(input.x)`:        {"the pattern of matches has to be written out"},
		`matches("a", "(")`:           {"cannot be compiled"},
		`timestamp("2030-01-01T00:00:00Z").getHours("Europe/Berlin") == 1`:   {"getHours has no argument: times are in UTC"},
		strings.Repeat("(", 100) + "true" + strings.Repeat(")", 100):         {"expression recursion limit exceeded: 32"},
		`true` + strings.Repeat(" ", maxCondition):                           {"has more than 4096 bytes"},
		strings.Repeat("[1].all(x, ", 60) + "true" + strings.Repeat(")", 60): {"expression recursion limit exceeded: 32"},
	} {
		said, err := json.Marshal(text)
		require.NoError(t, err)
		_, err = Parse(json.RawMessage(definitionOf(tool("a", `,"when":`+string(said)), tool("b", ""))))
		require.Error(t, err, text)
		faults := faultsOf(t, err)
		require.Len(t, faults, len(want), "%s: %v", text, faults)
		for i, f := range faults {
			require.Equal(t, at+".steps[0].when", f.Path)
			require.True(t, strings.HasPrefix(f.Message, want[i]), "%s: %s", text, f.Message)
		}
	}
	long := make([]string, 17)
	for i := range long {
		long[i] = tool(string(rune('a'+i)), `,"when":"true`+strings.Repeat(" ", maxCondition-4)+`"`)
	}
	refused(t, definitionOf(long...), faults{{"steps[16].when", "makes more than 65536 bytes of all conditions together"}})
	refused(t, definitionOf(tool("a", `,"when":""`)), faults{{"steps[0].when", "must be a text that is not empty"}})
	refused(t, definitionOf(tool("a", `,"when":true`)), faults{{"steps[0].when", "must be a text that is not empty"}})
	refused(t, definitionOf(tool("a", `,"when":"steps.a.status == ''"`)), faults{{"steps", "these steps wait for each other: a"}})
}

func TestConditionsAreDependencies(t *testing.T) {
	t.Parallel()
	d := parsed(t, tool("a", `,"when":"steps.b.result || has(steps['my-step'].result.x) || [1].exists(x, steps.c.result == x)"`),
		tool("b", ""), tool("c", ""), tool("my-step", ""), tool("other", `,"for_each":{"items":[]},"when":"item > 1"`))
	require.Equal(t, []int{1, 2, 3}, d.Steps[0].Needs)
	require.False(t, d.Steps[0].When.PerItem())
	require.True(t, d.Steps[4].When.PerItem())
}

func TestConditionEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := condition(t, `input.all(x, x > 0)`).True(ctx, Scope{Input: json.RawMessage(`[` + strings.Repeat("1,", 1000) + `1]`)})
	require.ErrorIs(t, err, context.Canceled)
}

// A time limit of our own is there for what the cost does not tell.
func TestConditionEndsInTime(t *testing.T) {
	t.Parallel()
	_, err := condition(t, `input.all(x, x > 0)`).within(context.Background(), Scope{Input: json.RawMessage(`[` + strings.Repeat("1,", 1000) + `1]`)}, 0)
	require.EqualError(t, err, "the condition takes too many operations")
}
