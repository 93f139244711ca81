package workflow

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMisspeltMembers(t *testing.T) {
	t.Parallel()
	a := func(members string) string { return definitionOf(tool("a", ","+members)) }
	for text, want := range map[string]fault{
		a(`"depend_on":["b"]`):                             {"steps[0].depend_on", "depends_on"},
		a(`"dependsOn":["b"]`):                             {"steps[0].dependsOn", "depends_on"},
		a(`"depends":["b"]`):                               {"steps[0].depends", "depends_on"},
		a(`"retries":3`):                                   {"steps[0].retries", "retry"},
		a(`"parametres":{}`):                               {"steps[0].parametres", "parameters"},
		a(`"time_out":"3s"`):                               {"steps[0].time_out", "timeout"},
		a(`"When":"true"`):                                 {"steps[0].When", "when"},
		a(`"foreach":{}`):                                  {"steps[0].foreach", "for_each"},
		a(`"on-error":"continue"`):                         {"steps[0].on-error", "on_error"},
		a(`"idempotencyKey":"x"`):                          {"steps[0].idempotencyKey", "idempotency_key"},
		a(`"retry":{"attempt":3}`):                         {"steps[0].retry.attempt", "attempts"},
		a(`"retry":{"backOff":"1s"}`):                      {"steps[0].retry.backOff", "backoff"},
		a(`"for_each":{"items":[],"limt":3}`):              {"steps[0].for_each.limt", "limit"},
		a(`"retyr":{}`):                                    {"steps[0].retyr", "retry"},
		a(`"for_each":{"items":[],"Limit":3,"paralel":2}`): {"steps[0].for_each.Limit", "limit"},
		definitionOf(`{"id":"a","kind":"llm","prompt":"x","promt":"y"}`):                       {"steps[0].promt", "prompt"},
		definitionOf(`{"id":"a","kind":"llm","prompt":"x","maxTokens":5}`):                     {"steps[0].maxTokens", "max_tokens"},
		definitionOf(`{"id":"a","kind":"approval","message":"x","expires_at":"2d"}`):           {"steps[0].expires_at", "expires_in"},
		definitionOf(`{"id":"a","kind":"workflow","workflow_id":"` + aTool + `","inputs":{}}`): {"steps[0].inputs", "input"},
		`{"steps":[` + tool("a", "") + `],"outputs":{}}`:                                       {"outputs", "output"},
		`{"steps":[` + tool("a", "") + `],"step":[]}`:                                          {"step", "steps"},
	} {
		_, err := Parse(json.RawMessage(text))
		require.Error(t, err, text)
		first := faultsOf(t, err)[0]
		require.Equal(t, at+"."+want.path, first.Path)
		require.Equal(t, "is no member; did you mean "+want.message+"?", first.Message)
	}
	refused(t, definitionOf(tool("a", `,"on_error":{"compensates":"b"}`), tool("b", "")), faults{
		{"steps[0].on_error.compensates", "is no member; did you mean compensate?"},
		{"steps[0].on_error", `must be "fail", "continue" or {"compensate": a step's id}`}})
}

// TestMembersOfOthersAreLeftAlone: clients keep them beside what the language knows.
func TestMembersOfOthersAreLeftAlone(t *testing.T) {
	t.Parallel()
	for kind, known := range ofStep {
		for _, list := range [][]spelling{known, ofDefinition, ofForEach, ofRetry, ofOnError} {
			for _, name := range []string{
				"name", "description", "position", "type", "label", "title", "group", "groups", "kinds", "tags", "note", "notes",
				"comment", "comments", "x", "y", "color", "icon", "ui", "owner", "author", "status", "state", "enabled", "disabled",
				"next", "previous", "parent", "children", "order", "mode", "modal", "category", "created_at", "updated_at", "createdAt",
				"price", "cost", "credits", "priority", "url", "data", "config", "settings", "options", "args", "params", "arguments",
				"outcome", "then", "width", "height", "size", "schema", "meta", "annotations", "labels", "slug", "uuid", "key", "ids",
				"docs", "help", "entry", "hint", "summary", "path", "source", "target", "line", "lane", "stage", "phase", "skip", "is_start",
			} {
				for _, member := range list {
					require.False(t, like(withoutCase(name), member.plain), "%s step: %s is taken for %s", kind, name, member.name)
				}
			}
		}
	}
}

func TestSlips(t *testing.T) {
	t.Parallel()
	for pair, want := range map[[2]string]int{
		{"", ""}: 0, {"abc", "abc"}: 0, {"ab", "abc"}: 1, {"abc", "ab"}: 1, {"abd", "abc"}: 1, {"acb", "abc"}: 1,
		{"ba", "abc"}: 2, {"xyz", "abc"}: 3, {"", "abcd"}: 3, {"kitten", "sitting"}: 3,
	} {
		require.Equal(t, want, slips(pair[0], pair[1]), pair)
	}
}
