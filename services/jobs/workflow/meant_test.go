package workflow

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReferencesThatAreNone(t *testing.T) {
	t.Parallel()
	const (
		ofA     = " is no reference: a step has {{a.result}}, with a path into it if wanted, {{a.error}} and {{a.status}}"
		ofInput = " is no reference: there is {{input}}, and with a path into it {{input.list.0.id}}"
		nobody  = " refers to no step of this workflow"
	)
	for text, want := range map[string]string{
		`{{a.nothing.x}}`:       `{{a.nothing.x}}` + ofA,
		`{{a}}`:                 `{{a}}` + ofA,
		`say {{ a.results }}!`:  `{{ a.results }}` + ofA,
		`{{a.error.x}}`:         `{{a.error.x}}` + ofA,
		`{{a.result[0]}}`:       `{{a.result[0]}}` + ofA,
		`{{a.result..x}}`:       `{{a.result..x}}` + ofA,
		`{{a.result.x | json}}`: `{{a.result.x | json}}` + ofA,
		`{{input..x}}`:          `{{input..x}}` + ofInput,
		`{{input.}}`:            `{{input.}}` + ofInput,
		`{{input["x"]}}`:        `{{input["x"]}}` + ofInput,
		`{{input.a b}}`:         `{{input.a b}}` + ofInput,
		`{{item |upper}}`:       `{{item |upper}} is no reference: there is {{item}}, and with a path into it {{item.list.0.id}}`,
		`{{index.x}}`:           `{{index.x}} is no reference: there is only {{index}}, a number`,
		`{{steps.a.result}}`:    `{{steps.a.result}} is no reference: it is {{a.result}}, {{a.error}} or {{a.status}} here, without steps`,
		`{{ordrs.result.x}}`:    `{{ordrs.result.x}}` + nobody,
		`{{ordrs.error.x}}`:     `{{ordrs.error.x}}` + nobody,
		`{{ordrs.status[0]}}`:   `{{ordrs.status[0]}}` + nobody,
		`{{a.result}} {{a.x}}`:  `{{a.x}}` + ofA,
		`{{name}}`:              "", `{{name.first}}`: "", `{{a b}}`: "", `{{#item}}`: "", `{{a.x`: "", `{a.x}`: "",
		`{{ordrs.results}}`: "", `{{steps.b.result}}`: "", `{{"a.x"}}`: "", `{{a: 1}}`: "", `{{input text}}`: "",
	} {
		encoded, err := json.Marshal(text)
		require.NoError(t, err)
		definition := definitionOf(tool("a", ""), tool("last", `,"for_each":{"items":[1]},"parameters":{"x":["{{item}}",`+string(encoded)+`]}`))
		if want == "" {
			_, err := Parse(json.RawMessage(definition))
			require.NoError(t, err, text)
			continue
		}
		refused(t, definition, faults{{"steps[1].parameters.x[1]", want}})
	}
}

// TestStoredMeansWhatItMeant: what waits in a database goes on when the language has
// come to refuse it.
func TestStoredMeansWhatItMeant(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		definitionOf(tool("a", ""), tool("b", `,"parameters":{"x":"{{a.nothing}}"}`)),
		definitionOf(tool("a", `,"dependsOn":["b"]`), tool("b", "")),
		definitionOf(tool("a", `,"action":"done"`)),
	} {
		_, err := Parse(json.RawMessage(text))
		require.Error(t, err)
		d, err := Stored(json.RawMessage(text))
		require.NoError(t, err)
		require.True(t, d.Outdated())
	}
	d, err := Stored(json.RawMessage(definitionOf(tool("a", ""), tool("b", `,"parameters":{"x":"{{a.nothing}}"}`))))
	require.NoError(t, err)
	constant, ok := d.Steps[1].Tool.Parameters.Constant()
	require.True(t, ok)
	require.JSONEq(t, `{"x":"{{a.nothing}}"}`, string(constant))
	d, err = Stored(json.RawMessage(definitionOf(tool("a", ""))))
	require.NoError(t, err)
	require.False(t, d.Outdated())
}
