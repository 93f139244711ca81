package app_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"uaol/app"
)

// example writes .env.example: every setting once, commented out, with its
// default.
func example() string {
	var b strings.Builder
	b.WriteString("# Every setting of UAOL. Copy this file to .env and set what you need; real\n" +
		"# environment variables win over the file. `uaol config` shows what holds.\n")
	for _, s := range app.Settings() {
		fmt.Fprintf(&b, "\n# %s\n# %s=%s\n", s.Doc, s.Variable, s.Default)
	}
	return b.String()
}

func TestEnvExampleListsEverySetting(t *testing.T) {
	t.Parallel()
	golden(t, "../.env.example", example())
}

func TestEverySettingIsExplained(t *testing.T) {
	t.Parallel()
	for _, s := range app.Settings() {
		assert.NotEmpty(t, s.Doc, s.Variable)
		assert.NotEmpty(t, s.Want, s.Variable)
	}
}

// TestSettingsHoldWhatTheGraphReads compares the list that people see with the
// configs that the graph really parses.
func TestSettingsHoldWhatTheGraphReads(t *testing.T) {
	t.Parallel()
	configs := regexp.MustCompile(`"([a-z]+)\.(Config|ClientConfig|Process|Inherited)" -> "\*config\.Environment"`)
	listed, err := os.ReadFile("settings.go")
	require.NoError(t, err)
	seen := 0
	for _, set := range everySet() {
		if len(set) != 1 && len(set) != len(app.Services()) {
			continue
		}
		graph, err := app.Graph(set...)
		require.NoError(t, err)
		for _, m := range configs.FindAllStringSubmatch(graph, -1) {
			name := strings.TrimPrefix(m[1]+"."+m[2], "app.")
			assert.Contains(t, string(listed), name+"{}", "app.Settings lists every config")
			seen++
		}
	}
	assert.Greater(t, seen, 50)
}
