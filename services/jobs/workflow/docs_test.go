package workflow

import (
	"encoding/json"
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"
)

// documented are the definitions in a page, as JSON.
func documented(t *testing.T, page string) (all []json.RawMessage) {
	t.Helper()
	text, err := os.ReadFile("../../../" + page)
	require.NoError(t, err)
	for _, block := range regexp.MustCompile("(?ms)^```(yaml|json)\n(.*?)^```$").FindAllSubmatch(text, -1) {
		var value any
		require.NoError(t, yaml.Unmarshal(block[2], &value), "%s", block[2]) // which JSON is too
		definition, err := json.Marshal(value)
		require.NoError(t, err)
		all = append(all, definition)
	}
	return all
}

func TestDocumentedDefinitions(t *testing.T) {
	t.Parallel()
	for page, want := range map[string]int{"docs/workflows.md": 5, "README.md": 1} {
		all := documented(t, page)
		require.Len(t, all, want, page)
		for _, text := range all {
			_, err := Parse(text)
			require.NoError(t, err, "%s: %s", page, text)
		}
	}
	all := documented(t, "docs/workflows.md")
	require.JSONEq(t, string(all[0]), string(all[1]))
}

// TestEveryMemberIsDocumented in a table.
func TestEveryMemberIsDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../docs/workflows.md")
	require.NoError(t, err)
	lists := [][]spelling{ofDefinition, ofForEach, ofRetry}
	for _, list := range ofStep {
		lists = append(lists, list)
	}
	for _, list := range lists {
		for _, member := range list {
			require.Contains(t, string(text), "\n| `"+member.name+"` |")
		}
	}
	require.Contains(t, string(text), ofOnError[0].name)
}
