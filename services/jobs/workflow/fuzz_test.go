package workflow

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types/ref"
	"github.com/stretchr/testify/require"

	"uaol/services"
)

// FuzzDefinition shows that what is refused is refused with its faults, and that
// what is accepted has an order and means the same however it is written.
func FuzzDefinition(f *testing.F) {
	f.Add(definitionOf(stepText("a", ""), stepText("b", `{"x":"{{a.result.0}}"}`, "a")))
	f.Add(`{"steps":[{"id":"a","ID":"b"}],"Steps":[]}`)
	f.Add(`{"steps":[{"id":"a","tool_id":"` + aTool + `","action":"do","parameters":{"x":[1e400,-0.0,"\ud800"]}}]}`)
	f.Add(definitionOf(tool("a", `,"when":"steps.b.result > 1","retry":{"attempts":3},"on_error":{"compensate":"c"}`), tool("b", ""), tool("c", ""), `{"id":"d","kind":"approval","approves":"a"}`))
	f.Add(definitionOf(`{"id":"a","kind":"sleep","duration":"2d"}`, `{"id":"b","kind":"llm","prompt":"{{item}}","for_each":{"items":"{{a.status}}"}}`, `{"id":"c","kind":"workflow","workflow_id":"`+aTool+`","input":"{{input.x}}"}`))
	f.Add(definitionOf(tool("a", `,"depends_on":["b"]`), tool("b", `,"depends_on":["a"]`)))
	f.Fuzz(func(t *testing.T, text string) {
		d, err := Parse(json.RawMessage(text))
		if err != nil {
			require.True(t, services.Is(err, services.Invalid), "%v", err)
			faults := faultsOf(t, err)
			require.NotEmpty(t, faults)
			require.LessOrEqual(t, len(faults), maxFaults)
			for _, fault := range faults {
				require.True(t, strings.HasPrefix(fault.Path, at), fault.Path)
			}
			return
		}
		require.NotEmpty(t, d.Steps)
		sound(t, d)
		value, err := decode([]byte(text))
		require.NoError(t, err)
		compact := appendValue(nil, value)
		var spaced bytes.Buffer
		require.NoError(t, json.Indent(&spaced, compact, " ", "\t"))
		for _, same := range [][]byte{[]byte(text), compact, spaced.Bytes()} {
			again, err := Stored(same)
			require.NoError(t, err)
			for i := range d.Steps { // programs are functions, which are never equal
				for _, s := range []*Step{&d.Steps[i], &again.Steps[i]} {
					if s.When != nil {
						s.When.program = nil
					}
				}
			}
			require.Equal(t, d, again)
		}
	})
}

// FuzzTemplate shows that references read what they name and nothing else: one that
// is a whole text becomes the value itself, and within a text all become text.
func FuzzTemplate(f *testing.F) {
	f.Add(`{"x":"{{a.result.0.k}}","y":["t{{ b.result }}"]}`, `[{"k":9007199254740993}]`, `"{{a.result}}"`)
	f.Add(`{"x":"{{a.result.k.k}} {{item}}"}`, `{"k":{"k":1e400}}`, `nope`)
	f.Add(`"{{input.x}}{{a.status}}{{a.error}}"`, `null`, `{"x":1}`)
	f.Add(`["{{gone.result}}","{{name}}","{{ a.result }}"]`, `1.50`, `false`)
	f.Add(`"{{index}}"`, `{"a":"{{b.result}}"}`, `[]`)
	f.Fuzz(func(t *testing.T, value, a, b string) {
		scope := Scope{Input: json.RawMessage(b), Item: json.RawMessage(a), Index: json.RawMessage(`0`),
			Results: results(map[int]string{0: a, 1: b})}
		keepsItsType(t, scope, a)
		decoded, err := decode([]byte(value))
		if err != nil {
			return
		}
		p := known()
		unknown := namesNoStep(p, decoded)
		c := compiler{parser: p, at: at, items: true}
		made := c.template(decoded)
		if len(p.faults) > 0 {
			return
		}
		require.False(t, unknown, "a reference to no step was accepted")
		read := scope.Results
		scope.Results = func(i int) Result {
			require.Contains(t, c.needs, i, "it is none of its dependencies")
			return read(i)
		}
		filled, err := made.Fill(scope)
		text, failed := made.Text(scope)
		if err != nil {
			require.True(t, services.Is(err, services.Invalid), "%v", err)
			require.Error(t, failed)
			return
		}
		require.True(t, json.Valid(filled), string(filled))
		require.LessOrEqual(t, len(filled), maxFilled)
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

// keepsItsType fills the result of the step a in, in three ways.
func keepsItsType(t *testing.T, scope Scope, a string) {
	want, err := decode([]byte(a))
	whole, failed := template(t, `{"x":["{{ a.result }}"]}`).Fill(scope)
	inside, failedToo := template(t, `" {{a.result}}{{a.result}}"`).Fill(scope)
	item, failedAsWell := template(t, `"{{item}}"`).Fill(scope)
	if err != nil || len(a)*6 > maxFilled/4 { // each byte may take six to write
		return
	}
	require.NoError(t, failed)
	require.NoError(t, failedToo)
	require.NoError(t, failedAsWell)
	require.Equal(t, map[string]any{"x": []any{want}}, decoded(t, string(whole)), "whatever is in it is left alone")
	require.Equal(t, want, decoded(t, string(item)))
	text := asText(want)
	require.Equal(t, " "+text+text, decoded(t, string(inside)))
}

// namesNoStep tells whether a reference in a value names a step that is not there.
func namesNoStep(p *parser, value any) (found bool) {
	switch v := value.(type) {
	case string:
		for _, r := range referencesIn(v) {
			_, there := p.d.index[r.id]
			found = found || r.ofStep() && !there
		}
	case []any:
		for _, item := range v {
			found = found || namesNoStep(p, item)
		}
	case map[string]any:
		for _, item := range v {
			found = found || namesNoStep(p, item)
		}
	}
	return found
}

// FuzzWhen shows that no condition panics, takes long, outlives its context, or
// reads anything but its variables and the steps that are its dependencies.
func FuzzWhen(f *testing.F) {
	f.Add(`input.list.all(x, input.list.exists(y, x == y)) && steps.a.result.n > 3`, `{"list":[1,2.5,"x",null,{"k":[]}]}`)
	f.Add(`steps["b"].status == "Success" ? item : input.n / index == 0`, `{"n":1}`)
	f.Add(`timestamp(input.t).getHours() > 3 || duration("1h") < duration(input.d) || type(item) == string`, `{"t":"2030-01-01T00:00:00Z","d":"1s"}`)
	f.Add(`"x".matches("(a|b)*") || [input, input].map(x, [x, x]) == [item] || -index in [1, 2u, 3.0, b"x"]`, `[[]]`)
	f.Add(`input.x.lowerAscii().substring(1, 3).trim().charAt(0) == "a"`, `{"x":"ABCD"}`)
	f.Add(`input.all(x, input.all(y, input.all(z, x + y + z > 0)))`, `[`+strings.Repeat("1,", 500)+`1]`)
	f.Add(`now() > 1 || env("HOME") == ""`, `{}`)
	f.Add(`nope == 1`, `{}`)
	f.Add(`[1].exists(a, a == index) || {"item": 1}.item == 1 || .input == 1`, `1`)
	f.Fuzz(func(t *testing.T, text, input string) {
		for _, items := range []bool{false, true} {
			evaluates(t, text, input, items)
		}
	})
}

func evaluates(t *testing.T, text, input string, items bool) {
	r := stepReader{object: object{p: known(), at: at}, items: items}
	start := time.Now()
	c := r.condition(text)
	if c == nil {
		require.NotEmpty(t, r.p.faults)
		return
	}
	require.Empty(t, r.p.faults)
	c.program = reading{c.program, t, items}
	scope := Scope{
		Input: json.RawMessage(input), Item: json.RawMessage(input), Index: json.RawMessage(`2`),
		Results: func(i int) Result {
			require.Contains(t, r.p.needs[0], i, "it is none of its dependencies")
			return Result{Status: "Success", Result: json.RawMessage(input)}
		},
	}
	if _, err := c.True(context.Background(), scope); err != nil {
		require.True(t, services.Is(err, services.Invalid), "%v", err)
	}
	require.Less(t, time.Since(start), maxTime, "its cost ends it, not the clock")
	over, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := c.True(over, scope)
	require.ErrorIs(t, err, context.Canceled)
}

// reading is a condition's program, whose variables have to be those that there are.
type reading struct {
	cel.Program
	t     *testing.T
	items bool
}

func (r reading) ContextEval(ctx context.Context, variables any) (value ref.Val, details *cel.EvalDetails, err error) {
	return r.Program.ContextEval(ctx, named{variables.(cel.Activation), r})
}

type named struct {
	cel.Activation
	reading
}

func (n named) ResolveName(name string) (any, bool) {
	switch name {
	case "input", "steps":
	case "item", "index":
		require.True(n.t, n.items, "%s means nothing here", name)
	default:
		require.Fail(n.t, "it reads "+name)
	}
	return n.Activation.ResolveName(name)
}
