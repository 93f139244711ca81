package workflow

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// aTool stands where any tool's id would do.
const aTool = "0199c0de-0000-7000-8000-000000000001"

func TestParse(t *testing.T) {
	t.Parallel()
	d, err := Parse(json.RawMessage(`{"steps":[
		{"id":"b","tool_id":"` + aTool + `","action":"do","parameters":{"x":"{{a.result.n}}"}},
		{"id":"a","tool_id":"` + aTool + `","action":"do"}]}`))
	require.NoError(t, err)
	require.Equal(t, []int{1}, d.Steps[0].Needs)
	require.Equal(t, []int{0}, d.Steps[1].NeededBy)
	filled, err := d.Steps[0].Tool.Parameters.Fill(Scope{Results: func(int) Result { return Result{Result: json.RawMessage(`{"n":1.50}`)} }})
	require.NoError(t, err)
	require.JSONEq(t, `{"x":1.50}`, string(filled))
}
