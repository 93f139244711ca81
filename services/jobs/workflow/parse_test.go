package workflow

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/services"
)

// aTool stands where any tool's id would do.
const aTool = "0199c0de-0000-7000-8000-000000000001"

// stepText is one step of a definition, that calls a tool.
func stepText(id, parameters string, dependsOn ...string) string {
	if parameters == "" {
		parameters = "{}"
	}
	needs, _ := json.Marshal(dependsOn)
	return fmt.Sprintf(`{"id":%q,"tool_id":%q,"action":"do","parameters":%s,"depends_on":%s}`, id, aTool, parameters, needs)
}

func definitionOf(steps ...string) string { return `{"steps":[` + strings.Join(steps, ",") + `]}` }

// tool is a step that calls a tool, with more members.
func tool(id, members string) string {
	return `{"id":"` + id + `","tool_id":"` + aTool + `","action":"do"` + members + `}`
}

func faultsOf(t require.TestingT, err error) []services.Fault {
	var e *services.Error
	require.True(t, errors.As(err, &e), "%v", err)
	require.Equal(t, services.Invalid, e.Kind)
	faults, _ := e.Details.([]services.Fault)
	require.NotEmpty(t, faults)
	return faults
}

type fault struct{ path, message string }

type faults []fault

// refused reports whether a definition has just these faults; their paths are
// written without what all have before them.
func refused(t *testing.T, text string, want faults) {
	t.Helper()
	_, err := Parse(json.RawMessage(text))
	require.Error(t, err)
	var got faults
	for _, f := range faultsOf(t, err) {
		path, ok := strings.CutPrefix(f.Path, at)
		require.True(t, ok, f.Path)
		got = append(got, fault{strings.TrimPrefix(path, "."), f.Message})
	}
	require.Equal(t, want, got)
}

const wrongID = `must be 1 to 64 of A-Z, a-z, 0-9, _ and -, and not "input", "item" or "index"`

func TestParseFaults(t *testing.T) {
	t.Parallel()
	const noSteps = "workflow_definition with steps is required"
	step := func(rest string) string { return definitionOf(tool("a", rest)) }
	const s0 = "steps[0]"
	for name, c := range map[string]struct {
		text string
		want faults
	}{
		"nothing":            {``, faults{{"steps", noSteps}}},
		"not JSON":           {`{"steps":`, faults{{"", "is not JSON"}}},
		"two values":         {definitionOf(stepText("a", "")) + `{}`, faults{{"", "is not JSON"}}},
		"null":               {`null`, faults{{"steps", noSteps}}},
		"a list":             {`[]`, faults{{"", "must be an object with steps, and is a list"}}},
		"a text":             {`"steps"`, faults{{"", "must be an object with steps, and is a text"}}},
		"no steps":           {`{}`, faults{{"steps", noSteps}}},
		"steps null":         {`{"steps":null}`, faults{{"steps", noSteps}}},
		"steps empty":        {`{"steps":[]}`, faults{{"steps", noSteps}}},
		"steps a text":       {`{"steps":"abc"}`, faults{{"steps", "must be a list of steps, and is a text"}}},
		"steps an object":    {`{"steps":{}}`, faults{{"steps", "must be a list of steps, and is an object"}}},
		"steps a level down": {`{"workflow_definition":{"steps":[]}}`, faults{{"workflow_definition", "is no member: what is in it belongs one level up"}}},
		"steps in capitals":  {`{"STEPS":[` + stepText("a", "") + `]}`, faults{{"STEPS", "is no member; did you mean steps?"}, {"steps", noSteps}}},
		"a step that is none": {definitionOf(stepText("a", ""), `7`, `null`), faults{
			{"steps[1]", "must be an object, and is a number"}, {"steps[2]", "must be an object, and is null"}}},
		"members in capitals": {`{"steps":[{"ID":"a","Tool_Id":"` + aTool + `","ACTION":"do"}]}`, faults{
			{s0 + ".id", wrongID}, {s0 + ".ACTION", "is no member; did you mean action?"}, {s0 + ".ID", "is no member; did you mean id?"},
			{s0 + ".Tool_Id", "is no member; did you mean tool_id?"}, {s0 + ".tool_id", "must be a tool's id"}, {s0 + ".action", "must name a method of the tool"}}},
		"id too long":      {definitionOf(stepText(strings.Repeat("a", 65), "")), faults{{s0 + ".id", wrongID}}},
		"id not ASCII":     {definitionOf(stepText("schritt-ä", "")), faults{{s0 + ".id", wrongID}}},
		"ids reserved":     {definitionOf(stepText("input", ""), stepText("item", ""), stepText("index", "")), faults{{s0 + ".id", wrongID}, {"steps[1].id", wrongID}, {"steps[2].id", wrongID}}},
		"id a number":      {`{"steps":[{"id":1,"tool_id":"` + aTool + `","action":"do"}]}`, faults{{s0 + ".id", wrongID}}},
		"tool not a UUID":  {`{"steps":[{"id":"a","tool_id":"x","action":"do"}]}`, faults{{s0 + ".tool_id", "must be a tool's id"}}},
		"action empty":     {`{"steps":[{"id":"a","tool_id":"` + aTool + `","action":""}]}`, faults{{s0 + ".action", "must name a method of the tool"}}},
		"action too long":  {`{"steps":[{"id":"a","tool_id":"` + aTool + `","action":"` + strings.Repeat("a", 257) + `"}]}`, faults{{s0 + ".action", "must name a method of the tool"}}},
		"parameters text":  {step(`,"parameters":"x"`), faults{{s0 + ".parameters", "must be an object, and is a text"}}},
		"parameters list":  {step(`,"parameters":[]`), faults{{s0 + ".parameters", "must be an object, and is a list"}}},
		"too deep":         {step(`,"parameters":{"a":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `,"b":[{}]}`), faults{{s0 + ".parameters", "is nested more than 64 deep"}}},
		"depends_on text":  {step(`,"depends_on":"b"`), faults{{s0 + ".depends_on", `must be a list of step ids, as in ["b"]`}}},
		"depends_on items": {step(`,"depends_on":[1,"b"]`), faults{{s0 + ".depends_on[0]", "must be a step's id"}, {s0 + ".depends_on[1]", `there is no step "b"`}}},
		"unknown need":     {definitionOf(stepText("a", ""), stepText("b", "", "a", "c")), faults{{"steps[1].depends_on[1]", `there is no step "c"`}}},
		"unknown reference": {definitionOf(stepText("a", `{"x":{"y":["{{ gone.result.z }}"]}}`)), faults{
			{s0 + ".parameters.x.y[0]", "{{gone.result.z}} refers to no step of this workflow"}}},
		"twice the same id": {definitionOf(stepText("a", ""), stepText("b", ""), stepText("a", "")), faults{{"steps[2].id", `"a" is the id of another step too`}}},
		"needs itself":      {definitionOf(stepText("a", "", "a")), faults{{"steps", "these steps wait for each other: a"}}},
		"refers to itself":  {definitionOf(stepText("a", `{"x":"{{a.error}}"}`)), faults{{"steps", "these steps wait for each other: a"}}},
		"a cycle with a head and a tail": {definitionOf(stepText("tail", "", "b"), stepText("a", "", "head", "c"), stepText("b", `{"x":"{{a.result}}"}`), stepText("c", "", "b"), stepText("head", "")),
			faults{{"steps", "these steps wait for each other: a, b, c"}}},
		"several at once": {`{"steps":[{"id":"a b","tool_id":3,"parameters":1,"depends_on":{}},{"id":"b","tool_id":"` + aTool + `","action":"do","depends_on":["zz"],"parameters":{"k":"{{no.result}}"}}],"timeout":1}`, faults{
			{s0 + ".id", wrongID},
			{s0 + ".tool_id", "must be a tool's id"},
			{s0 + ".action", "must name a method of the tool"},
			{s0 + ".parameters", "must be an object, and is a number"},
			{s0 + ".depends_on", "must be a list of step ids, and is an object"},
			{"steps[1].parameters.k", "{{no.result}} refers to no step of this workflow"},
			{"steps[1].depends_on[0]", `there is no step "zz"`},
			{"timeout", "must be a duration such as 90s, 36h or 2d, from 1s to 30d"},
		}},
		"too many steps": {definitionOf(slices.Repeat([]string{"{}"}, maxSteps+1)...), faults{{"steps", "has more than 1000 steps"}}},
		"too big":        {`{"steps":[],"metadata":"` + strings.Repeat("x", maxBytes) + `"}`, faults{{"", "has more than 1048576 bytes"}}},
		"not UTF-8":      {step(`,"parameters":{"x":"` + "\xff" + `"}`), faults{{"", "is not UTF-8"}}},
		"metadata":       {`{"steps":[` + tool("a", "") + `],"metadata":[]}`, faults{{"metadata", "must be an object, and is a list"}}},
		"output": {`{"steps":[` + tool("a", "") + `],"output":["{{b.result}}",{"x":"{{item}}"}]}`, faults{
			{"output[0]", "{{b.result}} refers to no step of this workflow"}, {"output[1].x", "{{item}} means nothing outside a step with for_each"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refused(t, c.text, c.want)
		})
	}
}

func TestParseSaysTheContractsWords(t *testing.T) {
	t.Parallel()
	_, err := Parse(json.RawMessage(`{"steps":[]}`))
	require.EqualError(t, err, "workflow_definition with steps is required")
}

func TestParseTellsABoundedNumberOfFaults(t *testing.T) {
	t.Parallel()
	refs := strings.Repeat(`"{{x.result}}",`, 50_000)
	_, err := Parse(json.RawMessage(definitionOf(stepText("a", `{"x":[`+refs+`1]}`))))
	require.Len(t, faultsOf(t, err), maxFaults)
}

func TestParseAccepts(t *testing.T) {
	t.Parallel()
	d, err := Parse(json.RawMessage(`{"metadata":{"any":["thing",null]},"unknown":1,"timeout":"2d","output":{"x":"{{first.result}}"},"steps":[
		{"id":"last","tool_id":"` + aTool + `","action":"übersetze 😀","parameters":{"text":"{{first.result.a}} \ud83d\ude00 {{ second.result }}","n":9007199254740993},"depends_on":["first","first"]},
		{"id":"second","tool_id":"` + aTool + `","action":"do","parameters":null,"depends_on":null,"prompt":null,"note":"ignored","price":1},
		{"id":"first","kind":"tool","tool_id":"` + aTool + `","action":"do","parameters":{"left alone":["{{}}","{{first.result","{{ a b.result }}","{{name}}","{{name.first}}","{{first name}}"]}}]}`))
	require.NoError(t, err)
	require.Len(t, d.Steps, 3)
	last := d.Steps[0]
	require.Equal(t, []int{1, 2}, last.Needs)
	require.Equal(t, uuid.MustParse(aTool), last.Tool.ToolID)
	parameters, _ := last.Tool.Parameters.Value()
	require.Equal(t, json.Number("9007199254740993"), parameters.(map[string]any)["n"])
	require.Empty(t, d.Steps[1].Needs)
	require.Equal(t, []int{0}, d.Steps[1].NeededBy)
	constant, ok := d.Steps[1].Tool.Parameters.Constant()
	require.True(t, ok)
	require.Equal(t, `{}`, string(constant))
	require.Empty(t, d.Steps[2].Needs)
	require.Equal(t, "48h0m0s", d.Timeout.String())
	require.NotNil(t, d.Output)
	i, ok := d.Index("first")
	require.True(t, ok)
	require.Equal(t, 2, i)
	_, ok = d.Index("zz")
	require.False(t, ok)
}

// A thousand steps in a chain that stands backwards, and a definition at the
// limit, are read in no time; what the database gives back may be beyond it.
func TestParseAtItsLimits(t *testing.T) {
	t.Parallel()
	steps := make([]string, maxSteps)
	for i := range steps {
		if steps[i] = stepText(fmt.Sprintf("s%d", i), ""); i+1 < maxSteps {
			steps[i] = stepText(fmt.Sprintf("s%d", i), "", fmt.Sprintf("s%d", i+1))
		}
	}
	_, err := Parse(json.RawMessage(definitionOf(steps...)))
	require.NoError(t, err)

	full := definitionOf(stepText("a", `{"x":[`+strings.Repeat("1,", maxBytes/2-200)+`1]}`))
	_, err = Parse(json.RawMessage(full))
	require.NoError(t, err)
	_, err = Stored(json.RawMessage(strings.ReplaceAll(full, ",", ", ")))
	require.NoError(t, err)
}
