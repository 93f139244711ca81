package app_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const poolPackage = "github.com/jackc/pgx/v5/pgxpool"

// rule says where alone certain functions may be used.
type rule struct {
	pkg       string
	functions []string
	places    []string // directories, with those below them
	why       string
}

// The original's race was a pool made before its settings were read. These
// rules, with a pool's constructor that takes its Config, keep it from being
// written again.
var rules = []rule{
	{"os", []string{"Getenv", "LookupEnv", "Environ"}, []string{"providers/config", "providers/postgres/pgtest", "providers/upstream/everything", "providers/goprogram", "providers/embeddings/embeddingstest", "providers/limits/redistest", "acceptance/browser"},
		"providers/config reads the environment, once"},
	{poolPackage, []string{"New", "NewWithConfig"}, []string{"providers/postgres"},
		"providers/postgres makes the one pool, from its Config"},
	{"go.uber.org/fx", []string{"Invoke"}, []string{"app"},
		"app asks for what a process needs; nothing else invokes"},
}

func TestRules(t *testing.T) {
	root := os.DirFS("..")
	var found []string
	files := 0
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if _, err := fs.Stat(root, path.Join(name, "go.mod")); name != "." && (err == nil || strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata") {
				return fs.SkipDir // another module, or not Go's
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		files++
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		broken, err := check(name, text)
		found = append(found, broken...)
		return err
	})
	require.NoError(t, err)
	require.Greater(t, files, 50, "the repository was not found")
	for _, f := range found {
		t.Error(f)
	}
}

func TestRulesSeeWhatTheyForbid(t *testing.T) {
	for text, want := range map[string]string{
		`import "os"; var x = os.Getenv("A")`:         "os.Getenv",
		`import sys "os"; func f() { sys.Environ() }`: "os.Environ",
		`import . "os"`: "dot",
		`import "go.uber.org/fx"; var M = fx.Invoke(f)`:                                           "fx.Invoke",
		`import "` + poolPackage + `"; func f() { pgxpool.New(nil, "") }`:                         "pgxpool.New",
		`import "` + poolPackage + `"; func f() { f := pgxpool.NewWithConfig; f() }`:              "pgxpool.NewWithConfig",
		`import "` + poolPackage + `"; var pool *pgxpool.Pool`:                                    "package-level pool",
		`import p "` + poolPackage + `"; var pools = map[string]*p.Pool{}`:                        "package-level pool",
		`import "` + poolPackage + `"; var pool atomic.Pointer[pgxpool.Pool]`:                     "package-level pool",
		`import "` + poolPackage + `"; var s struct { pool *pgxpool.Pool }`:                       "package-level pool",
		`import "` + poolPackage + `"; var get = sync.OnceValue(func() *pgxpool.Pool)`:            "package-level pool",
		`import "` + poolPackage + `"; var M = fx.Provide(func(p *pgxpool.Pool) int)`:             "",
		`import "` + poolPackage + `"; type R struct { pool *pgxpool.Pool }; var r R`:             "package-level pool",
		`import "` + poolPackage + `"; func f(p *pgxpool.Pool) { var q = p; _ = q }`:              "",
		`import "` + poolPackage + `"; type R struct { pool *pgxpool.Pool }; var _ I = (*R)(nil)`: "",
		`import "os"; func f() { os.Exit(1) }`:                                                    "",
	} {
		found, err := check("services/x/x.go", []byte("package x\n"+text))
		require.NoError(t, err, text)
		if want == "" {
			require.Empty(t, found, text)
		} else {
			require.Contains(t, strings.Join(found, "\n"), want, text)
		}
	}
	for _, r := range rules { // and let through where it belongs
		for _, place := range r.places {
			found, err := check(place+"/x.go", []byte("package x\nimport p \""+r.pkg+"\"\nfunc f() { p."+r.functions[0]+"() }"))
			require.NoError(t, err)
			require.Empty(t, found)
			require.DirExists(t, filepath.Join("..", filepath.FromSlash(place)))
		}
	}
}

// check reads one file, named from the repository's root.
func check(name string, text []byte) (found []string, err error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, text, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	tell := func(at token.Pos, what, why string) {
		found = append(found, fmt.Sprintf("%s: %s: %s", fset.Position(at), what, why))
	}
	imported := map[string]string{} // by the name that the file gives it
	for _, i := range file.Imports {
		pkg, _ := strconv.Unquote(i.Path.Value)
		local := path.Base(pkg)
		if i.Name != nil {
			local = i.Name.Name
		}
		imported[local] = pkg
		if local == "." {
			tell(i.Pos(), "dot import", "it hides what a name belongs to")
		}
	}
	// selected is the package and name of an expression such as os.Getenv.
	selected := func(n ast.Node) (pkg, name string) {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok {
				return imported[x.Name], s.Sel.Name
			}
		}
		return "", ""
	}
	ast.Inspect(file, func(n ast.Node) bool {
		pkg, function := selected(n)
		for _, r := range rules {
			within := func(place string) bool { return strings.HasPrefix(name, place+"/") }
			if pkg == r.pkg && slices.Contains(r.functions, function) && !slices.ContainsFunc(r.places, within) {
				tell(n.Pos(), path.Base(pkg)+"."+function, r.why)
			}
		}
		return true
	})

	// Pools in package-level variables: by their type, by a type of this file
	// that holds one, or by a function that hands one out.
	holders := map[string]bool{}
	var holds func(ast.Node) bool
	holds = func(n ast.Node) (yes bool) {
		ast.Inspect(n, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncType:
				if n.Results != nil {
					yes = yes || holds(n.Results)
				}
				return false
			case *ast.BlockStmt:
				return false // a function's own variables
			case *ast.Ident:
				yes = yes || holders[n.Name]
			}
			pkg, name := selected(n)
			yes = yes || pkg == poolPackage && name == "Pool"
			return !yes
		})
		return yes
	}
	for _, kind := range []token.Token{token.TYPE, token.VAR} {
		for _, d := range file.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != kind {
				continue
			}
			for _, spec := range g.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					if _, isInterface := spec.Type.(*ast.InterfaceType); !isInterface && holds(spec.Type) {
						holders[spec.Name.Name] = true
					}
				case *ast.ValueSpec:
					claim := len(spec.Names) == 1 && spec.Names[0].Name == "_" // that a type has a method set
					if !claim && holds(spec) {
						tell(spec.Pos(), "package-level pool", "the container owns the pool and hands it out")
					}
				}
			}
		}
	}
	return found, nil
}
