package jobs

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"uaol/services"
)

// aTool stands where any tool's id would do.
const aTool = "0199c0de-0000-7000-8000-000000000001"

// stepText is one step of a definition.
func stepText(id, parameters string, dependsOn ...string) string {
	if parameters == "" {
		parameters = "{}"
	}
	needs, _ := json.Marshal(dependsOn)
	return fmt.Sprintf(`{"id":%q,"tool_id":%q,"action":"do","parameters":%s,"depends_on":%s}`, id, aTool, parameters, needs)
}

func definitionOf(steps ...string) string { return `{"steps":[` + strings.Join(steps, ",") + `]}` }

func faultsOf(t require.TestingT, err error) []services.Fault {
	var e *services.Error
	require.True(t, errors.As(err, &e), "%v", err)
	require.Equal(t, services.Invalid, e.Kind)
	faults, _ := e.Details.([]services.Fault)
	require.NotEmpty(t, faults)
	return faults
}

func TestParseWorkflowFaults(t *testing.T) {
	t.Parallel()
	const noSteps = "workflow_definition with steps is required"
	step := func(rest string) string {
		return `{"steps":[{"id":"a","tool_id":"` + aTool + `","action":"do"` + rest + `}]}`
	}
	type fault struct{ path, message string }
	type faults []fault
	steps := at + ".steps"
	s0 := steps + "[0]"
	for name, c := range map[string]struct {
		text string
		want faults
	}{
		"nothing":             {``, faults{{steps, noSteps}}},
		"not JSON":            {`{"steps":`, faults{{steps, noSteps}}},
		"null":                {`null`, faults{{steps, noSteps}}},
		"a list":              {`[]`, faults{{steps, noSteps}}},
		"no steps":            {`{}`, faults{{steps, noSteps}}},
		"steps null":          {`{"steps":null}`, faults{{steps, noSteps}}},
		"steps empty":         {`{"steps":[]}`, faults{{steps, noSteps}}},
		"steps a text":        {`{"steps":"abc"}`, faults{{steps, noSteps}}},
		"steps in capitals":   {`{"STEPS":[` + stepText("a", "") + `]}`, faults{{steps, noSteps}}},
		"a step that is none": {definitionOf(stepText("a", ""), `7`, `null`), faults{{steps + "[1]", "must be an object"}, {steps + "[2]", "must be an object"}}},
		"members in capitals": {`{"steps":[{"ID":"a","Tool_Id":"` + aTool + `","ACTION":"do"}]}`, faults{
			{s0 + ".id", `must be 1 to 64 of A-Z, a-z, 0-9, _ and -, and not "input"`},
			{s0 + ".tool_id", "must be a tool's id"}, {s0 + ".action", "must name a method of the tool"}}},
		"id input":         {definitionOf(stepText("input", "")), faults{{s0 + ".id", `must be 1 to 64 of A-Z, a-z, 0-9, _ and -, and not "input"`}}},
		"id too long":      {definitionOf(stepText(strings.Repeat("a", 65), "")), faults{{s0 + ".id", `must be 1 to 64 of A-Z, a-z, 0-9, _ and -, and not "input"`}}},
		"id not ASCII":     {definitionOf(stepText("schritt-ä", "")), faults{{s0 + ".id", `must be 1 to 64 of A-Z, a-z, 0-9, _ and -, and not "input"`}}},
		"id a number":      {`{"steps":[{"id":1,"tool_id":"` + aTool + `","action":"do"}]}`, faults{{s0 + ".id", `must be 1 to 64 of A-Z, a-z, 0-9, _ and -, and not "input"`}}},
		"tool not a UUID":  {`{"steps":[{"id":"a","tool_id":"x","action":"do"}]}`, faults{{s0 + ".tool_id", "must be a tool's id"}}},
		"action empty":     {`{"steps":[{"id":"a","tool_id":"` + aTool + `","action":""}]}`, faults{{s0 + ".action", "must name a method of the tool"}}},
		"action too long":  {`{"steps":[{"id":"a","tool_id":"` + aTool + `","action":"` + strings.Repeat("a", 257) + `"}]}`, faults{{s0 + ".action", "must name a method of the tool"}}},
		"parameters text":  {step(`,"parameters":"x"`), faults{{s0 + ".parameters", "must be an object"}}},
		"parameters list":  {step(`,"parameters":[]`), faults{{s0 + ".parameters", "must be an object"}}},
		"too deep":         {step(`,"parameters":{"a":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `}`), faults{{s0 + ".parameters", "is nested more than 64 deep"}}},
		"depends_on text":  {step(`,"depends_on":"b"`), faults{{s0 + ".depends_on", "must be a list of step ids"}}},
		"depends_on items": {step(`,"depends_on":[1,"b"]`), faults{{s0 + ".depends_on[0]", "must be a step's id"}, {s0 + ".depends_on[0]", `there is no step "b"`}}},
		"unknown need":     {definitionOf(stepText("a", ""), stepText("b", "", "a", "c")), faults{{steps + "[1].depends_on[1]", `there is no step "c"`}}},
		"unknown reference": {definitionOf(stepText("a", `{"x":{"y":["{{ gone.result.z }}"]}}`)), faults{
			{s0 + ".parameters.x.y[0]", "{{gone.result.z}} refers to no step of this workflow"}}},
		"twice the same id": {definitionOf(stepText("a", ""), stepText("b", ""), stepText("a", "")), faults{{steps + "[2].id", `"a" is the id of another step too`}}},
		"needs itself":      {definitionOf(stepText("a", "", "a")), faults{{steps, "these steps wait for each other: a"}}},
		"refers to itself":  {definitionOf(stepText("a", `{"x":"{{a.result}}"}`)), faults{{steps, "these steps wait for each other: a"}}},
		"a cycle with a head and a tail": {definitionOf(stepText("tail", "", "b"), stepText("a", "", "head", "c"), stepText("b", `{"x":"{{a.result}}"}`), stepText("c", "", "b"), stepText("head", "")),
			faults{{steps, "these steps wait for each other: a, b, c"}}},
		"several at once": {`{"steps":[{"id":"a b","tool_id":3,"parameters":1,"depends_on":{}},{"id":"b","tool_id":"` + aTool + `","action":"do","depends_on":["zz"],"parameters":{"k":"{{no.result}}"}}]}`, faults{
			{s0 + ".id", `must be 1 to 64 of A-Z, a-z, 0-9, _ and -, and not "input"`},
			{s0 + ".tool_id", "must be a tool's id"},
			{s0 + ".action", "must name a method of the tool"},
			{s0 + ".parameters", "must be an object"},
			{s0 + ".depends_on", "must be a list of step ids"},
			{steps + "[1].depends_on[0]", `there is no step "zz"`},
			{steps + "[1].parameters.k", "{{no.result}} refers to no step of this workflow"},
		}},
		"too many steps":     {definitionOf(slices.Repeat([]string{"{}"}, maxSteps+1)...), faults{{steps, "has more than 1000 steps"}}},
		"too big":            {`{"steps":[],"metadata":"` + strings.Repeat("x", maxBytes) + `"}`, faults{{at, "has more than 1048576 bytes"}}},
		"NUL":                {step(`,"parameters":{"x":"a\u0000"}`), faults{{at, `holds the character \u0000, which cannot be stored`}}},
		"half a surrogate":   {step(`,"parameters":{"x":"\ud83d!"}`), faults{{at, `holds half of a surrogate pair (\ud800 to \udfff), which cannot be stored`}}},
		"not UTF-8":          {step(`,"parameters":{"x":"` + "\xff" + `"}`), faults{{at, "is not UTF-8"}}},
		"a bomb of a number": {step(`,"parameters":{"x":1e131071}`), faults{{at, "holds a number that is too large or too small"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseWorkflow(json.RawMessage(c.text))
			require.Error(t, err)
			var got faults
			for _, f := range faultsOf(t, err) {
				got = append(got, fault{f.Path, f.Message})
			}
			require.Equal(t, c.want, got)
		})
	}
}

func TestParseWorkflowSaysTheContractsWords(t *testing.T) {
	t.Parallel()
	_, err := ParseWorkflow(json.RawMessage(`{"steps":[]}`))
	require.EqualError(t, err, "workflow_definition with steps is required")
}

func TestParseWorkflowTellsABoundedNumberOfFaults(t *testing.T) {
	t.Parallel()
	refs := strings.Repeat(`"{{x.result}}",`, 50_000)
	_, err := ParseWorkflow(json.RawMessage(definitionOf(stepText("a", `{"x":[`+refs+`1]}`))))
	require.Len(t, faultsOf(t, err), maxFaults)
}

func TestParseWorkflowAccepts(t *testing.T) {
	t.Parallel()
	w, err := ParseWorkflow(json.RawMessage(`{"metadata":{"any":["thing",null]},"unknown":1,"steps":[
		{"id":"last","tool_id":"` + aTool + `","action":"übersetze 😀","parameters":{"text":"{{first.result.a}} \ud83d\ude00 {{ second.result }}","n":9007199254740993},"depends_on":["first","first"]},
		{"id":"second","tool_id":"` + aTool + `","action":"do","parameters":null,"depends_on":null,"note":"ignored"},
		{"id":"first","tool_id":"` + aTool + `","action":"do","parameters":{"left alone":["{{input.x}}","{{first}}","{{}}","{{a.result","{{ a b.result }}"]}}]}`))
	require.NoError(t, err)
	require.Len(t, w.Steps, 3)
	require.Equal(t, []string{"first", "second"}, w.Steps[0].Needs)
	require.Equal(t, uuid.MustParse(aTool), w.Steps[0].ToolID)
	require.Equal(t, json.Number("9007199254740993"), w.Steps[0].Parameters["n"])
	require.Empty(t, w.Steps[1].Needs)
	require.NotNil(t, w.Steps[1].Parameters)
	require.Empty(t, w.Steps[2].Needs)
}

// A thousand steps in a chain that stands backwards, and a definition at the
// limit, are read in no time.
func TestParseWorkflowAtItsLimits(t *testing.T) {
	t.Parallel()
	steps := make([]string, maxSteps)
	for i := range steps {
		if steps[i] = stepText(fmt.Sprintf("s%d", i), ""); i+1 < maxSteps {
			steps[i] = stepText(fmt.Sprintf("s%d", i), "", fmt.Sprintf("s%d", i+1))
		}
	}
	_, err := ParseWorkflow(json.RawMessage(definitionOf(steps...)))
	require.NoError(t, err)

	full := definitionOf(stepText("a", `{"x":[`+strings.Repeat("1,", maxBytes/2-200)+`1]}`))
	_, err = ParseWorkflow(json.RawMessage(full))
	require.NoError(t, err)
}

// drawDefinition makes a definition that may be good or have a cycle, unknown
// ids and duplicates.
func drawDefinition(t *rapid.T) string {
	ids := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "g"}), 1, 7).Draw(t, "ids")
	if rapid.Bool().Draw(t, "distinct") {
		slices.Sort(ids)
		ids = slices.Compact(ids)
	}
	names := rapid.SampledFrom(append([]string{"zz"}, append(ids, ids...)...))
	steps := make([]string, len(ids))
	for i, id := range ids {
		params := map[string]any{}
		for _, ref := range rapid.SliceOfN(names, 0, 2).Draw(t, "refs") {
			params["p"+ref] = []any{"x {{" + ref + ".result.y}}", "{{ " + ref + ".result }}"}
		}
		text, _ := json.Marshal(params)
		steps[i] = stepText(id, string(text), rapid.SliceOfN(names, 0, 2).Draw(t, "needs")...)
	}
	return definitionOf(steps...)
}

// hasOrder is the same question asked naively.
func hasOrder(steps []Step) bool {
	done := map[string]bool{}
	for range steps {
		for _, s := range steps {
			if !slices.ContainsFunc(s.Needs, func(id string) bool { return !done[id] }) {
				done[s.ID] = true
			}
		}
	}
	return len(done) == len(steps)
}

func TestAcceptedWorkflowsHaveAnOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := drawDefinition(t)
		w, err := ParseWorkflow(json.RawMessage(text))
		if err == nil {
			require.True(t, hasOrder(w.Steps), text)
			return
		}
		// What was refused for its order alone has none.
		faults := faultsOf(t, err)
		if left, ok := strings.CutPrefix(faults[0].Message, "these steps wait for each other: "); ok {
			var p parser
			var d map[string][]json.RawMessage
			require.NoError(t, json.Unmarshal([]byte(text), &d))
			for i, s := range d["steps"] {
				p.step(i, s)
			}
			p.references()
			require.Empty(t, p.faults)
			require.False(t, hasOrder(p.steps), text)
			// Each of those named waits for one of those named, and is waited for by one.
			named := strings.Split(left, ", ")
			for _, s := range p.steps {
				if slices.Contains(named, s.ID) {
					require.True(t, slices.ContainsFunc(s.Needs, func(id string) bool { return slices.Contains(named, id) }))
					require.True(t, slices.ContainsFunc(p.steps, func(other Step) bool {
						return slices.Contains(named, other.ID) && slices.Contains(other.Needs, s.ID)
					}))
				}
			}
		}
	})
}

func FuzzParseWorkflow(f *testing.F) {
	f.Add(definitionOf(stepText("a", ""), stepText("b", `{"x":"{{a.result.0}}"}`, "a")))
	f.Add(`{"steps":[{"id":"a","ID":"b"}],"Steps":[]}`)
	f.Add(`{"steps":[{"id":"a","tool_id":"` + aTool + `","action":"do","parameters":{"x":[1e400,-0.0,"\ud800"]}}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		w, err := ParseWorkflow(json.RawMessage(text))
		if err != nil {
			require.True(t, services.Is(err, services.Invalid), "%v", err)
			for _, fault := range faultsOf(t, err) {
				require.True(t, strings.HasPrefix(fault.Path, at), fault.Path)
			}
			return
		}
		require.NotEmpty(t, w.Steps)
		require.True(t, hasOrder(w.Steps))
		require.Empty(t, unstorable([]byte(text)))
	})
}
