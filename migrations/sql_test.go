//go:build !race

// Nothing here runs at once, and under the race detector the SQL parser alone
// takes half a minute to begin.

package migrations_test

import (
	"encoding/json"
	"fmt"
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

	"uaol/migrations"
	"uaol/providers/postgres/dialect/rules"
	"uaol/providers/postgres/pgtest"
	"uaol/services"
)

// statement is a piece of SQL and where it stands.
type statement struct{ where, sql string }

// looksLikeSQL is what a string in Go source is taken for a statement by.
var looksLikeSQL = regexp.MustCompile(`^\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH|CREATE|ALTER|DROP|TRUNCATE|LISTEN|UNLISTEN|NOTIFY|LOCK|SET|RESET|BEGIN|COPY|DO|VACUUM|DECLARE|PREPARE|EXECUTE|GRANT|COMMENT ON|MERGE|EXPLAIN|REFRESH|VALUES)\s+\S`)

// sqlOfPackage finds the statements in a package's Go files. A statement must be
// put together from constants alone: then it can be read here, and no user's
// word can be in it.
func sqlOfPackage(dir string) (found []statement, err error) {
	files := token.NewFileSet()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	var parsed []*ast.File
	constants := map[string]ast.Expr{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(files, name, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		parsed = append(parsed, file)
		ast.Inspect(file, func(n ast.Node) bool {
			if decl, ok := n.(*ast.GenDecl); ok && decl.Tok == token.CONST {
				for _, spec := range decl.Specs {
					values := spec.(*ast.ValueSpec)
					for i, value := range values.Values {
						constants[values.Names[i].Name] = value
					}
				}
			}
			return true
		})
	}
	for _, file := range parsed {
		ast.Inspect(file, func(n ast.Node) bool {
			if decl, ok := n.(*ast.GenDecl); ok && decl.Tok == token.CONST {
				return false // it may be a part; it is read where it is used
			}
			expr, ok := n.(ast.Expr)
			if !ok || err != nil {
				return err == nil
			}
			text, constant, isText := fold(expr, constants)
			if !isText {
				return true
			}
			if looksLikeSQL.MatchString(text) {
				if !constant {
					err = fmt.Errorf("%s: SQL is put together from something that is no constant: %q", files.Position(n.Pos()), text)
				}
				found = append(found, statement{where: files.Position(n.Pos()).String(), sql: text})
			}
			return false // what it consists of has been seen
		})
	}
	return found, err
}

// fold evaluates a text of literals, constants and +. Of anything else in a sum
// it says that it is no constant.
func fold(expr ast.Expr, constants map[string]ast.Expr) (text string, constant, isText bool) {
	switch e := expr.(type) {
	case *ast.BasicLit:
		if e.Kind != token.STRING {
			return "", false, false
		}
		text, err := strconv.Unquote(e.Value)
		return text, err == nil, err == nil
	case *ast.ParenExpr:
		return fold(e.X, constants)
	case *ast.Ident:
		if value, ok := constants[e.Name]; ok {
			return fold(value, constants)
		}
	case *ast.BinaryExpr:
		if e.Op != token.ADD {
			return "", false, false
		}
		left, constantLeft, isTextLeft := fold(e.X, constants)
		right, constantRight, isTextRight := fold(e.Y, constants)
		return left + right, constantLeft && constantRight, isTextLeft || isTextRight
	}
	return "", false, false
}

// faultsOf says what is wrong with one service's statement; owner names it.
func faultsOf(owner services.Name, sql string) (faults []string) {
	parsed, err := rules.Parse(sql)
	if err != nil {
		return []string{err.Error()}
	}
	faults = rules.Faults(parsed)
	own := migrations.Schema(owner)
	var withs []string
	rules.Walk(parsed, func(_ string, node map[string]any) {
		if name, ok := node["ctename"].(string); ok {
			withs = append(withs, name)
		}
	})
	complain := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	named := func(schema, table string) {
		if schema != own && (schema != "" || !slices.Contains(withs, table)) {
			complain("it names %s.%s, which is not a table of %s", schema, table, own)
		}
	}
	rules.Walk(parsed, func(key string, node map[string]any) {
		delete(node, "lockedRels") // FOR UPDATE OF names what FROM does, by its alias
		if table, ok := node["relname"].(string); ok {
			schema, _ := node["schemaname"].(string)
			named(schema, table)
		}
		if key == "DropStmt" {
			for _, object := range rules.List(node["objects"]) {
				names := rules.Texts(object)
				named(strings.Join(names[:len(names)-1], "."), names[len(names)-1])
			}
		}
		if key == "TypeName" || key == "typeName" {
			if names := rules.Texts(node["names"]); len(names) > 1 && names[0] != "pg_catalog" && names[0] != own {
				complain("it names the type %s", strings.Join(names, "."))
			}
		}
		if key == "CreateSchemaStmt" || key == "CreateFunctionStmt" || key == "CreateTrigStmt" || key == "DoStmt" {
			complain("%s: this test can't look into it", key)
		}
	})
	return faults
}

// TestSQL reads every statement of every service.
func TestSQL(t *testing.T) {
	t.Parallel()
	owners := migrations.Owners()
	dirs, err := filepath.Glob("../services/*")
	require.NoError(t, err)
	seen := 0
	for _, dir := range dirs {
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			continue
		}
		name := services.Name(filepath.Base(dir))
		t.Run(string(name), func(t *testing.T) {
			var all []statement
			require.NoError(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
				if err != nil || !entry.IsDir() || entry.Name() == "testdata" {
					return err
				}
				found, err := sqlOfPackage(path)
				all = append(all, found...)
				return err
			}))
			if !slices.Contains(owners, name) {
				require.Empty(t, all, "it owns no tables")
				return
			}
			require.NotEmpty(t, all)
			seen += len(all)
			files, err := fs.Glob(migrations.FS, string(name)+"/*.sql")
			require.NoError(t, err)
			require.NotEmpty(t, files)
			for _, file := range files {
				text, err := fs.ReadFile(migrations.FS, file)
				require.NoError(t, err)
				all = append(all, statement{where: "migrations/" + file, sql: string(text)})
			}
			for _, s := range all {
				for _, fault := range faultsOf(name, s.sql) {
					t.Errorf("%s: %s\n%s", s.where, fault, s.sql)
				}
			}
		})
	}
	require.Greater(t, seen, 30, "they are found at all")
}

// TestStatementsThatRan reads what UAOL_TEST_STATEMENTS collected while other tests ran
// (make statements): each statement by the rules, and one of a service also by whose
// tables it names.
func TestStatementsThatRan(t *testing.T) {
	t.Parallel()
	file := os.Getenv("UAOL_TEST_STATEMENTS_OF")
	if file == "" {
		t.Skip("make statements runs it, with what other tests have collected")
	}
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	distinct, callers := map[string]bool{}, map[string]bool{}
	for line := range strings.Lines(string(text)) {
		var s pgtest.Statement
		require.NoError(t, json.Unmarshal([]byte(line), &s))
		callers[s.From] = true
		key := s.SQL
		owner, _, _ := strings.Cut(strings.TrimPrefix(s.From, "services/"), ".")
		owner, _, _ = strings.Cut(owner, "/")
		if strings.Contains(s.SQL, "uaol_database.") { // on behalf of whoever has a transaction
			s.From, owner = "services/database", "database"
		}
		owned := strings.HasPrefix(s.From, "services/") && slices.Contains(migrations.Owners(), services.Name(owner))
		if owned {
			key += owner
		}
		if distinct[key] {
			continue
		}
		distinct[key] = true
		var faults []string
		if owned {
			faults = faultsOf(services.Name(owner), s.SQL)
		} else if tree, err := rules.Parse(s.SQL); err != nil {
			faults = []string{err.Error()}
		} else {
			faults = rules.Faults(tree)
		}
		for _, fault := range faults {
			t.Errorf("%s: %s\n%s", s.From, fault, s.SQL)
		}
	}
	fmt.Printf("%d distinct statements of %d functions were seen; all keep to the %d rules: %t\n", len(distinct), len(callers), len(rules.Refused), !t.Failed())
	require.Greater(t, len(distinct), 100, "they are collected at all")
}

// TestOutboxSQL: the outbox's statements name their table at run time.
func TestOutboxSQL(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../providers/events/events.go")
	require.NoError(t, err)
	dir := t.TempDir()
	constant := strings.NewReplacer("o.table", `"uaol_auth.outbox"`).Replace(string(text))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "events.go"), []byte(constant), 0o600))
	found, err := sqlOfPackage(dir)
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(found), 2)
	for _, s := range found {
		require.Empty(t, faultsOf(services.Auth, s.sql), s.sql)
	}
}

// TestTheTestSees what it is there for.
func TestTheTestSees(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string]string{
		`SELECT 1 FROM uaol_auth.accounts a WHERE EXISTS (SELECT 1 FROM uaol_auth.api_keys)`:        "",
		`WITH x AS (SELECT 1 FROM uaol_auth.accounts) INSERT INTO uaol_auth.outbox SELECT * FROM x`: "",
		`SELECT account_id FROM uaol_auth.accounts FOR UPDATE SKIP LOCKED`:                          "",
		`SELECT 1 FROM uaol_auth.accounts a, (SELECT 1) x FOR UPDATE OF a`:                          "",
		`SELECT 1 FROM uaol_jobs.jobs a, (SELECT 1) x FOR UPDATE OF a`:                              "it names uaol_jobs.jobs",
		`SELEKT 1`:                      "it is not PostgreSQL's SQL",
		`SELECT 1 FROM accounts`:        "it names .accounts, which",
		`SELECT 1 FROM public.accounts`: "it names public.accounts, which",
		`SELECT 1 FROM uaol_auth.accounts a JOIN uaol_billing.accounts b ON true`:                "it names uaol_billing.accounts",
		`SELECT (SELECT 1 FROM uaol_billing.accounts)`:                                           "it names uaol_billing.accounts",
		`WITH x AS (DELETE FROM uaol_jobs.jobs RETURNING 1) SELECT 1 FROM uaol_auth.accounts, x`: "it names uaol_jobs.jobs",
		`UPDATE uaol_auth.accounts SET admin = true FROM uaol_jobs.jobs`:                         "it names uaol_jobs.jobs",
		`CREATE TABLE uaol_auth.x (id int REFERENCES uaol_billing.accounts (id))`:                "it names uaol_billing.accounts",
		`CREATE TABLE uaol_auth.x (id int, FOREIGN KEY (id) REFERENCES public.y (id))`:           "it names public.y",
		`ALTER TABLE uaol_auth.x ADD FOREIGN KEY (id) REFERENCES uaol_auth.y (id) DEFERRABLE`:    "deferrable",
		`CREATE TABLE uaol_auth.x (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)`:                 "DEFERR",
		`CREATE INDEX i ON uaol_jobs.jobs (x)`:                                                   "it names uaol_jobs.jobs",
		`DROP TABLE uaol_jobs.jobs`:                                                              "it names uaol_jobs.jobs",
		`DROP TABLE jobs`:                                                                        "it names .jobs",
		`TRUNCATE uaol_jobs.jobs`:                                                                "it names uaol_jobs.jobs",
		`LISTEN x`:                                                                               "LISTEN",
		`NOTIFY x`:                                                                               "NOTIFY",
		`SELECT pg_notify('a', 'b')`:                                                             "NOTIFY",
		`SELECT pg_advisory_xact_lock(1)`:                                                        "advisory",
		`SELECT pg_catalog.pg_try_advisory_lock(1)`:                                              "advisory",
		`LOCK TABLE uaol_auth.accounts`:                                                          "LOCK TABLE",
		`CREATE DATABASE x TEMPLATE y`:                                                           "CREATE DATABASE",
		`SELECT websearch_to_tsquery('x')`:                                                       "full text search",
		`SELECT a.xmin FROM uaol_auth.accounts a`:                                                "system columns",
		`DELETE FROM uaol_auth.accounts WHERE ctid = '(0,1)'`:                                    "system columns",
		`SELECT txid_current()`:                                                                  "snapshots",
		`SELECT pg_current_snapshot()`:                                                           "snapshots",
		`SET search_path = x`:                                                                    "no session state",
		`SET LOCAL statement_timeout = 1`:                                                        "",
		`SELECT no_such_function(1)`:                                                             "not known to be a function",
		`SELECT count(*) FROM uaol_auth.accounts GROUP BY ROLLUP (admin)`:                        "GROUPING SETS",
		`CREATE TEMP TABLE uaol_auth_x (id int)`:                                                 "temporary tables",
	} {
		faults := strings.Join(faultsOf(services.Auth, sql), "; ")
		if want == "" {
			require.Empty(t, faults, sql)
		} else {
			require.Contains(t, faults, want, sql)
		}
	}

	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "x.go"), []byte("package x\nconst columns = `a, b`\nvar s = f(1, `\n\tSELECT `+columns+` FROM x`)\nvar no = `SELECTED by hand`\n"), 0o600))
	found, err := sqlOfPackage(dir)
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.Equal(t, "SELECT a, b FROM x", strings.TrimSpace(found[0].sql))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "y.go"), []byte("package x\nfunc f(name string) string { return `SELECT 1 FROM ` + name }\n"), 0o600))
	_, err = sqlOfPackage(dir)
	require.ErrorContains(t, err, "something that is no constant")
}
