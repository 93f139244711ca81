package workflow

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"uaol/services"
)

func FuzzParse(f *testing.F) {
	f.Add(definitionOf(stepText("a", ""), stepText("b", `{"x":"{{a.result.0}}"}`, "a")))
	f.Add(`{"steps":[{"id":"a","ID":"b"}],"Steps":[]}`)
	f.Add(`{"steps":[{"id":"a","tool_id":"` + aTool + `","action":"do","parameters":{"x":[1e400,-0.0,"\ud800"]}}]}`)
	f.Add(definitionOf(tool("a", `,"when":"steps.b.result > 1","retry":{"attempts":3},"on_error":{"compensate":"c"}`), tool("b", ""), tool("c", ""), `{"id":"d","kind":"approval","approves":"a"}`))
	f.Add(definitionOf(`{"id":"a","kind":"sleep","duration":"2d"}`, `{"id":"b","kind":"llm","prompt":"{{item}}","for_each":{"items":"{{a.status}}"}}`, `{"id":"c","kind":"workflow","workflow_id":"`+aTool+`","input":"{{input.x}}"}`))
	f.Fuzz(func(t *testing.T, text string) {
		d, err := Parse(json.RawMessage(text))
		if err != nil {
			require.True(t, services.Is(err, services.Invalid), "%v", err)
			for _, fault := range faultsOf(t, err) {
				require.True(t, strings.HasPrefix(fault.Path, at), fault.Path)
			}
			return
		}
		require.NotEmpty(t, d.Steps)
		sound(t, d)
		again, err := Parse(json.RawMessage(text))
		require.NoError(t, err)
		for i := range d.Steps { // programs are functions, which are never equal
			for _, s := range []*Step{&d.Steps[i], &again.Steps[i]} {
				if s.When != nil {
					s.When.program = nil
				}
			}
		}
		require.Equal(t, d, again)
	})
}

func FuzzFill(f *testing.F) {
	f.Add(`{"x":"{{a.result.0.k}}","y":["t{{ b.result }}"]}`, `[{"k":9007199254740993}]`, `"{{a.result}}"`)
	f.Add(`{"x":"{{a.result.k.k}} {{item}}"}`, `{"k":{"k":1e400}}`, `nope`)
	f.Add(`"{{input.x}}{{a.status}}{{a.error}}"`, `null`, `{"x":1}`)
	f.Fuzz(func(t *testing.T, value, a, b string) {
		decoded, err := decode([]byte(value))
		if err != nil {
			return
		}
		p := known()
		c := compiler{parser: p, at: at, items: true}
		made := c.template(decoded)
		if len(p.faults) > 0 {
			return
		}
		scope := Scope{Input: json.RawMessage(b), Item: json.RawMessage(a), Index: json.RawMessage(`0`),
			Results: results(map[int]string{0: a, 1: b})}
		filled, err := made.Fill(scope)
		text, failed := made.Text(scope)
		if err != nil {
			require.True(t, services.Is(err, services.Invalid), "%v", err)
			require.Error(t, failed)
			return
		}
		require.True(t, json.Valid(filled), string(filled))
		require.NoError(t, failed)
		if filled[0] == '"' {
			var want string
			require.NoError(t, json.Unmarshal(filled, &want))
			require.Equal(t, want, text)
		}
		if constant, ok := made.Constant(); ok {
			require.Equal(t, string(constant), string(filled))
		}
	})
}

// FuzzCondition shows that no condition panics, takes long, or reads a step
// that is not among its dependencies.
func FuzzCondition(f *testing.F) {
	f.Add(`input.list.all(x, input.list.exists(y, x == y)) && steps.a.result.n > 3`, `{"list":[1,2.5,"x",null,{"k":[]}]}`)
	f.Add(`steps["b"].status == "Success" ? item : input.n / index == 0`, `{"n":1}`)
	f.Add(`timestamp(input.t).getHours() > 3 || duration("1h") < duration(input.d) || type(item) == string`, `{"t":"2030-01-01T00:00:00Z","d":"1s"}`)
	f.Add(`"x".matches("(a|b)*") || [input, input].map(x, [x, x]) == [item] || -index in [1, 2u, 3.0, b"x"]`, `[[]]`)
	f.Add(`input.x.lowerAscii().substring(1, 3).trim().charAt(0) == "a"`, `{"x":"ABCD"}`)
	f.Fuzz(func(t *testing.T, text, input string) {
		r := stepReader{object: object{p: known(), at: at}, items: true}
		start := time.Now()
		c := r.condition(text)
		if c == nil {
			require.NotEmpty(t, r.p.faults)
			return
		}
		require.Empty(t, r.p.faults)
		asked := map[int]bool{}
		for _, i := range r.p.needs[0] {
			asked[i] = true
		}
		_, err := c.True(context.Background(), Scope{
			Input: json.RawMessage(input), Item: json.RawMessage(input), Index: json.RawMessage(`2`),
			Results: func(i int) Result {
				require.True(t, asked[i], "step %d is none of its dependencies", i)
				return Result{Status: "Success", Result: json.RawMessage(input)}
			},
		})
		if err != nil {
			require.True(t, services.Is(err, services.Invalid), "%v", err)
		}
		require.Less(t, time.Since(start), 2*maxTime)
	})
}
