package jobs

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/services"
)

// TestJobsThatCannotBePaidAreRefused as soon as that is known; credits are 10,000.
func TestJobsThatCannotBePaidAreRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 3_000)
	each := func(items, more string) json.RawMessage {
		return b.raw(t, tool, `{"id":"a","tool_id":%q,"action":"do","parameters":{"x":"{{item}}"},"for_each":{"items":`+items+`}`+more+`}`)
	}
	two := func(items string) json.RawMessage {
		return json.RawMessage(fmt.Sprintf(`{"steps":[{"id":"b","tool_id":%q,"action":"do"},{"id":"a","tool_id":%q,"action":"do","for_each":{"items":%s}}]}`, tool, tool, items))
	}
	const input = `{"list":[1,2,3,4]}`
	for name, in := range map[string]Request{
		"a list":              {Definition: each(`[1,2,3,4]`, "")},
		"of references":       {Definition: each(`["{{input.list}}",2,3,4]`, "")},
		"of the input":        {Definition: each(`"{{input.list}}"`, "")},
		"beside what is held": {Definition: two(`[1,2,3]`)},
		"with a key":          {Definition: each(`[1,2,3,4]`, ""), Key: "k"},
		"with attempts":       {Definition: each(`[1,2,3,4]`, `,"retry":{"attempts":2}`)},
	} {
		in.Input = json.RawMessage(input)
		_, err := b.service.Create(t.Context(), b.caller, in)
		require.Equal(t, services.Insufficient, services.KindOf(err), name)
		require.EqualError(t, err, "Insufficient credits. Required: 12000, Available: 10000", name)
	}
	_, err := b.service.CreateMany(t.Context(), b.caller, []Request{{Definition: each(`[1,2]`, "")}, {Definition: each(`[1,2]`, "")}})
	require.EqualError(t, err, "Insufficient credits. Required: 12000, Available: 10000")
	require.Zero(t, b.number(t, `SELECT count(*) FROM uaol_jobs.jobs`))
	require.Zero(t, b.number(t, `SELECT held FROM uaol_billing.accounts WHERE organization_id = $1`, b.caller.Organization))
	for name, in := range map[string]Request{
		"perhaps not at all": {Definition: each(`[1,2,3,4]`, `,"when":"false"`)},
		"not known yet":      {Definition: json.RawMessage(fmt.Sprintf(`{"steps":[{"id":"s","kind":"sleep","duration":"1h"},{"id":"a","tool_id":%q,"action":"do","for_each":{"items":"{{s.result}}"}}]}`, tool))},
	} {
		b.request(t, in)
		require.Zero(t, b.number(t, `SELECT held FROM uaol_billing.accounts WHERE organization_id = $1`, b.caller.Organization), name)
	}
	first := b.request(t, Request{Definition: two(`[1]`), Key: "again"})
	b.request(t, Request{Definition: b.raw(t, tool, `{"id":"a","tool_id":%q,"action":"do"}`)}) // takes the rest but 4,000
	again := b.request(t, Request{Definition: two(`[1]`), Key: "again"})
	require.Equal(t, first.ID, again.ID, "it costs nothing more")
}
