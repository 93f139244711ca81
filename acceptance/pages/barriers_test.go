package pages

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"testing"

	"github.com/stretchr/testify/require"

	"uaol/acceptance/browser"
	"uaol/providers/npmproject"
)

// axe gives the program that looks for barriers; without npm the test is skipped, but
// not in CI.
func axe(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("npm"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("no npm: nobody looked for barriers")
		}
		t.Skip("no npm here: nobody looks for barriers")
	}
	dir, err := npmproject.Install(t.Context(), "axe", os.DirFS("testdata/axe"))
	require.NoError(t, err)
	text, err := os.ReadFile(filepath.Join(dir, "node_modules", "axe-core", "axe.min.js"))
	require.NoError(t, err)
	return string(text)
}

// violation is what axe finds.
type violation struct {
	ID    string `json:"id"`
	Help  string `json:"help"`
	Nodes []struct {
		HTML    string `json:"html"`
		Summary string `json:"failureSummary"`
	} `json:"nodes"`
}

// barriers are what axe finds on the page that a tab shows. In the dark it is the page that
// was looked at in the light, but for its colours: only what depends on them is looked at.
func barriers(t *testing.T, tab *browser.Tab, program, theme string) (found []string) {
	t.Helper()
	browser.Run[bool](tab, program+"; true")
	rules := ""
	if theme == "dark" {
		rules = `, runOnly: { type: 'rule', values: ['color-contrast', 'link-in-text-block'] }`
	}
	said := browser.Run[string](tab, `axe.run(document, { resultTypes: ['violations']`+rules+` }).then(r => JSON.stringify(r.violations))`)
	var violations []violation
	require.NoError(t, json.Unmarshal([]byte(said), &violations))
	for _, v := range violations {
		for _, node := range v.Nodes {
			found = append(found, fmt.Sprintf("%s (%s): %.200s\n%s", v.ID, v.Help, node.HTML, node.Summary))
		}
	}
	return found
}

// TestNoBarriers: axe finds nothing on any page, wide and narrow, light and dark, and no
// page runs into its own policy or asks another server.
func TestNoBarriers(t *testing.T) {
	t.Parallel()
	program := axe(t)
	b := setup(t, nil)
	tab := b.enter(t, b.admin())
	all := allPlaces(t, b, b.admin(), "Ada's")
	for _, at := range all {
		t.Run(at.named(), func(t *testing.T) {
			for _, width := range []int{1440, 390} {
				for _, theme := range []string{"light", "dark"} {
					tab.Looks(width, theme)
					tab.Go(at.path)
					tab.Sees("main", at.says)
					tab.Until(`document.documentElement.dataset.scripts == 'on'`)
					require.Empty(t, barriers(t, tab, program, theme), "%s %d %s", at.path, width, theme)
					require.Equal(t, 1, tab.Count("h1"))
					require.LessOrEqual(t, browser.Run[int](tab, `document.documentElement.scrollWidth`), width, "it is not wider than the screen")
				}
			}
			require.Empty(t, tab.Problems())
		})
	}
}

// TestWithoutScripts: all that pages say can be read.
func TestWithoutScripts(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	tab := b.enter(t, b.admin())
	all := allPlaces(t, b, b.admin(), "Ada's")
	tab.Scripts(false)
	for _, at := range all {
		t.Run(at.named(), func(t *testing.T) {
			tab.Go(at.path)
			require.Contains(t, tab.Text("main"), at.says)
			require.NotEmpty(t, tab.Text("h1"))
		})
	}
}
