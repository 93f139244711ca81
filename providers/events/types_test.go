package events_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/providers/events"
)

func names() (all []string) {
	for _, t := range events.Types() {
		all = append(all, t.Name)
	}
	return all
}

// TestEveryTypeIsExplained in docs/events.md, and nothing else is.
func TestEveryTypeIsExplained(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/events.md")
	require.NoError(t, err)
	var explained []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z]+\\.[a-z_]+)` \\|[^|]+\\| [^|]+ \\|$").FindAllStringSubmatch(string(text), -1) {
		explained = append(explained, row[1])
	}
	require.ElementsMatch(t, names(), explained)
}

// TestEveryTypeIsWritten holds the list against the services' code: what is given to
// events.New or to a function that passes it on, what SQL inserts into an outbox, and
// what a function whose name begins with tells answers.
func TestEveryTypeIsWritten(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^(user|organization|tool|job|step|credits|file)\.[a-z_]+$`)
	inSQL := regexp.MustCompile(`SELECT gen_random_uuid\(\), '([a-z]+\.[a-z_]+)'`)
	written := map[string]bool{"tool.quarantined": true, "tool.restored": true} // put together in services/registry/repository_live.go
	require.NoError(t, filepath.WalkDir("../../services", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		audited := map[ast.Node]bool{}
		ast.Inspect(file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if f, ok := call.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "Audited" {
					audited[call.Args[0]] = true
				}
			}
			literal, ok := n.(*ast.BasicLit)
			if !ok || literal.Kind != token.STRING || audited[n] {
				return true
			}
			text, err := strconv.Unquote(literal.Value)
			require.NoError(t, err)
			if form.MatchString(text) {
				written[text] = true
			}
			for _, found := range inSQL.FindAllStringSubmatch(text, -1) {
				written[found[1]] = true
			}
			return true
		})
		return nil
	}))
	var all []string
	for name := range written {
		all = append(all, name)
	}
	slices.Sort(all)
	want := names()
	slices.Sort(want)
	require.Equal(t, want, all)
}
