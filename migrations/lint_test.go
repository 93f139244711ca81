//go:build !race

// As in sql_test.go: nothing here runs at once.

package migrations_test

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	pgquery "github.com/wasilibs/go-pgquery/parser"

	"uaol/migrations"
	"uaol/migrations/atomic"
	"uaol/providers/postgres/dialect/rules"
)

// While a migration runs, the release before serves, and it may serve again after
// one: so a step only adds (expand), and what nobody reads any more goes a release
// later (contract). And it may not hold a table up: what scans or rewrites one that
// has rows runs without a lock, or not at all.

// Files that are older than the first release and break these rules. They have run
// on no database that anybody served from.
const grandfathered = "testdata/grandfathered.txt"

// Columns that the last release reads or writes, with tables of statements that
// name them: rather too many than too few. `make reads` writes it at a release.
const reads = "testdata/reads.txt"

var update = flag.Bool("update", false, "write testdata/reads.txt")

func lines(t testing.TB, name string) map[string]bool {
	t.Helper()
	file, err := os.Open(name)
	require.NoError(t, err)
	defer file.Close()
	set := map[string]bool{}
	for scanner := bufio.NewScanner(file); scanner.Scan(); {
		if line := scanner.Text(); line != "" && !strings.HasPrefix(line, "#") {
			set[line] = true
		}
	}
	return set
}

// The parser's nodes, as far as the rules look at them.
type (
	node     = map[string]json.RawMessage
	relation struct{ Schemaname, Relname string }
	create   struct{ Relation relation }
	index    struct {
		Idxname    string
		Relation   relation
		Concurrent bool
	}
	drop struct {
		Objects    []any
		RemoveType string
		MissingOk  bool `json:"missing_ok"`
		Concurrent bool
	}
	alter struct {
		Relation relation
		Objtype  string
		Cmds     []struct {
			AlterTableCmd struct {
				Subtype, Name string
				Def           struct {
					ColumnDef  *column
					Constraint *constraint
				}
			}
		}
	}
	column struct {
		Constraints []struct{ Constraint constraint }
	}
	constraint struct {
		Contype        string
		SkipValidation bool `json:"skip_validation"`
		Indexname      string
		RawExpr        json.RawMessage `json:"raw_expr"`
	}
)

func (r relation) String() string { return r.Schemaname + "." + r.Relname }

func as[T any](t testing.TB, raw json.RawMessage) (v T) {
	t.Helper()
	require.NoError(t, json.Unmarshal(raw, &v))
	return v
}

// lint says what is wrong with a file that goes up. read are the columns that the
// release before reads.
func lint(t testing.TB, sql string, read map[string]bool) (faults []string) {
	t.Helper()
	tree, err := pgquery.ParseToJSON(sql)
	require.NoError(t, err)
	file := as[struct{ Stmts []struct{ Stmt node } }](t, json.RawMessage(tree))
	outside := strings.HasPrefix(sql, atomic.Outside)
	complain := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	if outside && len(atomic.Statements(sql)) != len(file.Stmts) {
		complain("outside of a transaction each statement ends with a semicolon at the end of a line, and nothing else does")
	}
	made := map[string]bool{}  // tables that are new: nobody waits for them
	added := map[string]bool{} // constraints that are not yet valid
	dropped := ""              // the index that the statement before has dropped, if there was one
	for _, s := range file.Stmts {
		before := dropped
		dropped = ""
		for kind, raw := range s.Stmt {
			if outside && kind != "IndexStmt" && kind != "DropStmt" {
				complain("%s: outside of a transaction stand indexes alone, since a file may be run again from its beginning", kind)
			}
			switch kind {
			case "CreateStmt":
				made[as[create](t, raw).Relation.String()] = true
			case "IndexStmt":
				i := as[index](t, raw)
				switch {
				case i.Concurrent != outside:
					complain("CREATE INDEX CONCURRENTLY stands in a file that begins with %q, and only there", atomic.Outside)
				case i.Concurrent && before != i.Relation.Schemaname+"."+i.Idxname:
					complain("CREATE INDEX CONCURRENTLY follows DROP INDEX CONCURRENTLY IF EXISTS of the same: a run that died leaves an index that is not valid")
				case !i.Concurrent && !made[i.Relation.String()]:
					complain("CREATE INDEX on %s holds up whoever writes: CONCURRENTLY, in a file of its own that begins with %q", i.Relation, atomic.Outside)
				}
			case "DropStmt":
				d := as[drop](t, raw)
				for _, object := range d.Objects {
					name := strings.Join(rules.Texts(object), ".")
					switch {
					case d.RemoveType == "OBJECT_INDEX" && d.Concurrent != outside, d.RemoveType != "OBJECT_INDEX" && outside:
						complain("DROP INDEX CONCURRENTLY stands in a file that begins with %q, and only there", atomic.Outside)
					case d.RemoveType == "OBJECT_INDEX" && outside && !d.MissingOk:
						complain("DROP INDEX CONCURRENTLY without IF EXISTS can't be run again")
					case d.RemoveType == "OBJECT_INDEX" && outside:
						dropped = name
					case d.RemoveType == "OBJECT_TABLE":
						for _, column := range slices.Sorted(maps.Keys(read)) {
							if strings.HasPrefix(column, name+".") {
								complain("DROP TABLE %s: the release before reads %s", name, column)
								break
							}
						}
					case d.RemoveType != "OBJECT_INDEX":
						complain("DROP of %s: nobody has said what the release before does with it", d.RemoveType)
					}
				}
			case "AlterTableStmt":
				lintAlter(t, as[alter](t, raw), made, added, read, complain)
			case "RenameStmt", "AlterObjectSchemaStmt":
				complain("%s: the release before knows the old name: add the new, and let the old go a release later", kind)
			case "LockStmt":
				complain("LOCK TABLE holds everybody up")
			case "TruncateStmt":
				complain("TRUNCATE takes what the release before reads")
			case "TransactionStmt":
				complain("a transaction's beginning and end are the runner's")
			case "VacuumStmt", "ClusterStmt", "ReindexStmt", "RefreshMatViewStmt":
				complain("%s is maintenance, not a migration", kind)
			}
		}
	}
	return faults
}

func lintAlter(t testing.TB, a alter, made, added, read map[string]bool, complain func(string, ...any)) {
	t.Helper()
	if made[a.Relation.String()] {
		return
	}
	for _, c := range a.Cmds {
		command := c.AlterTableCmd
		name := a.Relation.String() + "." + command.Name
		switch command.Subtype {
		case "AT_AddColumn":
			fallible, filled := false, false
			for _, k := range command.Def.ColumnDef.Constraints {
				switch k.Constraint.Contype {
				case "CONSTR_DEFAULT":
					filled = true
					if !stable(t, k.Constraint.RawExpr) {
						complain("ADD COLUMN with a default that differs from row to row writes the table anew: add it, fill it in parts, then set the default")
					}
				case "CONSTR_NOTNULL":
					fallible = true
				case "CONSTR_NULL":
				default: // UNIQUE, PRIMARY KEY, CHECK, REFERENCES, GENERATED
					complain("ADD COLUMN with %s looks at every row, or writes them: add it apart, NOT VALID or by an index", k.Constraint.Contype)
				}
			}
			if fallible && !filled {
				complain("ADD COLUMN that is NOT NULL and has no default fails where there are rows, and the release before does not fill it")
			}
		case "AT_SetNotNull":
			complain("SET NOT NULL on %s looks at every row: ADD CONSTRAINT … CHECK (… IS NOT NULL) NOT VALID, and VALIDATE it in the next file", name)
		case "AT_AlterColumnType":
			complain("ALTER TYPE of %s writes the table anew, and the release before knows the old one: add a column", name)
		case "AT_AddConstraint":
			k := command.Def.Constraint
			switch {
			case k.Indexname != "":
			case k.Contype == "CONSTR_UNIQUE" || k.Contype == "CONSTR_PRIMARY" || k.Contype == "CONSTR_EXCLUSION":
				complain("ADD CONSTRAINT on %s makes an index while nobody may write: make it CONCURRENTLY, then USING INDEX", a.Relation)
			case !k.SkipValidation:
				complain("ADD CONSTRAINT on %s looks at every row while nobody may write: NOT VALID, and VALIDATE it in the next file", a.Relation)
			default:
				added[a.Relation.String()] = true
			}
		case "AT_ValidateConstraint":
			if added[a.Relation.String()] {
				complain("VALIDATE CONSTRAINT on %s in the file that adds it keeps the lock that adding takes: in the next file", a.Relation)
			}
		case "AT_DropColumn":
			if read[name] {
				complain("DROP COLUMN %s: the release before reads it", name)
			}
		case "AT_SetTableSpace", "AT_SetLogged", "AT_SetUnLogged", "AT_SetAccessMethod":
			complain("%s writes the table anew", command.Subtype)
		}
	}
}

// stable defaults are kept once for all rows that are there: constants and the time
// of the statement; see ALTER TABLE's notes in PostgreSQL's manual.
func stable(t testing.TB, expression json.RawMessage) bool {
	t.Helper()
	steady := true
	rules.Walk(as[any](t, expression), func(key string, inner map[string]any) {
		if key == "FuncCall" && !slices.Equal(rules.Texts(inner["funcname"]), []string{"now"}) {
			steady = false
		}
	})
	return steady
}

// TestMigrationsHoldNobodyUp, and take nothing away that is read.
func TestMigrationsHoldNobodyUp(t *testing.T) {
	t.Parallel()
	read, old := lines(t, reads), lines(t, grandfathered)
	files, err := fs.Glob(migrations.FS, "*/*.up.sql")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		text, err := fs.ReadFile(migrations.FS, file)
		require.NoError(t, err)
		faults := lint(t, string(text), read)
		name := strings.TrimSuffix(file, ".up.sql")
		if old[name] {
			require.NotEmpty(t, faults, "%s breaks no rule: take it out of %s", name, grandfathered)
			require.NotContains(t, strings.Join(faults, "\n"), "the runner's", file)
			delete(old, name)
			continue
		}
		for _, fault := range faults {
			t.Errorf("%s: %s", file, fault)
		}
	}
	require.Empty(t, old, "they are not there")
	downs, err := fs.Glob(migrations.FS, "*/*.down.sql")
	require.NoError(t, err)
	require.Len(t, downs, len(files), "each step can be taken back")
}

// TestLintSees what it is there for.
func TestLintSees(t *testing.T) {
	t.Parallel()
	read := map[string]bool{"uaol_x.t.a": true}
	const outside = atomic.Outside + "\n"
	for sql, want := range map[string]string{
		`CREATE TABLE uaol_x.n (a int NOT NULL UNIQUE CHECK (a > 0)); CREATE INDEX i ON uaol_x.n (a); ALTER TABLE uaol_x.n ALTER COLUMN a TYPE bigint`: "",
		`ALTER TABLE uaol_x.t ADD COLUMN b int, ADD COLUMN c int NOT NULL DEFAULT 0, ADD COLUMN d timestamptz DEFAULT now()`:                           "",
		`ALTER TABLE uaol_x.t ADD COLUMN e text DEFAULT 'x'::text; UPDATE uaol_x.t SET e = a`:                                                          "",
		`ALTER TABLE uaol_x.t ADD CONSTRAINT k CHECK (a > 0) NOT VALID`:                                                                                "",
		`ALTER TABLE uaol_x.t VALIDATE CONSTRAINT k`:                                                                                                   "",
		`ALTER TABLE uaol_x.t ADD CONSTRAINT k UNIQUE USING INDEX i`:                                                                                   "",
		`ALTER TABLE uaol_x.t DROP COLUMN b; DROP TABLE uaol_x.u; DROP INDEX uaol_x.i`:                                                                 "",
		outside + "DROP INDEX CONCURRENTLY IF EXISTS uaol_x.i;\nCREATE INDEX CONCURRENTLY i ON uaol_x.t (a);\n":                                        "",
		outside + "DROP INDEX CONCURRENTLY IF EXISTS uaol_x.i;\n":                                                                                      "",

		`CREATE INDEX i ON uaol_x.t (a)`:                                                                            "CREATE INDEX on uaol_x.t holds up",
		`CREATE INDEX CONCURRENTLY i ON uaol_x.t (a)`:                                                               "and only there",
		outside + "CREATE INDEX i ON uaol_x.t (a);\n":                                                               "and only there",
		outside + "CREATE INDEX CONCURRENTLY i ON uaol_x.t (a);\n":                                                  "follows DROP INDEX",
		outside + "DROP INDEX CONCURRENTLY IF EXISTS uaol_x.j;\nCREATE INDEX CONCURRENTLY i ON uaol_x.t (a);\n":     "follows DROP INDEX",
		outside + "DROP INDEX CONCURRENTLY uaol_x.i;\n":                                                             "can't be run again",
		outside + "DROP INDEX CONCURRENTLY IF EXISTS uaol_x.i; CREATE INDEX CONCURRENTLY i ON uaol_x.t (a);\n":      "a semicolon at the end of a line",
		outside + "UPDATE uaol_x.t SET a = a + 1;\n":                                                                "indexes alone",
		outside + "DROP TABLE uaol_x.u;\n":                                                                          "and only there",
		`DROP INDEX CONCURRENTLY IF EXISTS uaol_x.i`:                                                                "and only there",
		`ALTER TABLE uaol_x.t ADD COLUMN b uuid DEFAULT gen_random_uuid()`:                                          "differs from row to row",
		`ALTER TABLE uaol_x.t ADD COLUMN b timestamptz DEFAULT clock_timestamp()`:                                   "differs from row to row",
		`ALTER TABLE uaol_x.t ADD COLUMN b int NOT NULL`:                                                            "NOT NULL and has no default",
		`ALTER TABLE uaol_x.t ADD COLUMN b int UNIQUE`:                                                              "CONSTR_UNIQUE",
		`ALTER TABLE uaol_x.t ADD COLUMN b int CHECK (b > 0)`:                                                       "CONSTR_CHECK",
		`ALTER TABLE uaol_x.t ADD COLUMN b int REFERENCES uaol_x.u (a)`:                                             "CONSTR_FOREIGN",
		`ALTER TABLE uaol_x.t ADD COLUMN b int GENERATED ALWAYS AS (a + 1) STORED`:                                  "CONSTR_GENERATED",
		`ALTER TABLE uaol_x.t ALTER COLUMN a SET NOT NULL`:                                                          "SET NOT NULL on uaol_x.t.a",
		`ALTER TABLE uaol_x.t ALTER COLUMN a TYPE bigint`:                                                           "ALTER TYPE of uaol_x.t.a",
		`ALTER TABLE uaol_x.t ADD CONSTRAINT k CHECK (a > 0)`:                                                       "looks at every row",
		`ALTER TABLE uaol_x.t ADD FOREIGN KEY (a) REFERENCES uaol_x.u (a)`:                                          "looks at every row",
		`ALTER TABLE uaol_x.t ADD CONSTRAINT k UNIQUE (a)`:                                                          "makes an index",
		`ALTER TABLE uaol_x.t ADD PRIMARY KEY (a)`:                                                                  "makes an index",
		`ALTER TABLE uaol_x.t ADD CONSTRAINT k CHECK (a > 0) NOT VALID; ALTER TABLE uaol_x.t VALIDATE CONSTRAINT k`: "keeps the lock",
		`ALTER TABLE uaol_x.t DROP COLUMN a`:                                                                        "the release before reads it",
		`ALTER TABLE uaol_x.t SET UNLOGGED`:                                                                         "writes the table anew",
		`DROP TABLE uaol_x.t`:                                                                                       "the release before reads uaol_x.t.a",
		`DROP SCHEMA uaol_x CASCADE`:                                                                                "OBJECT_SCHEMA",
		`ALTER TABLE uaol_x.t RENAME COLUMN a TO b`:                                                                 "the old name",
		`ALTER TABLE uaol_x.t RENAME TO u`:                                                                          "the old name",
		`ALTER TABLE uaol_x.t SET SCHEMA uaol_y`:                                                                    "the old name",
		`LOCK TABLE uaol_x.t`:                                                                                       "holds everybody up",
		`TRUNCATE uaol_x.t`:                                                                                         "TRUNCATE",
		`BEGIN; UPDATE uaol_x.t SET a = 1; COMMIT`:                                                                  "the runner's",
		`VACUUM uaol_x.t`: "maintenance",
	} {
		faults := strings.Join(lint(t, sql, read), "; ")
		if want == "" {
			require.Empty(t, faults, sql)
		} else {
			require.Contains(t, faults, want, sql)
		}
	}
}

// TestWhatIsReadIsThere: a database that has gone up still has every column that
// the release before reads.
func TestWhatIsReadIsThere(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.NoError(t, migrations.Up(t.Context(), b.url))
	rows, err := b.pool.Query(t.Context(), `SELECT table_schema || '.' || table_name, column_name FROM information_schema.columns
		WHERE table_schema LIKE 'uaol\_%' AND table_name <> 'schema_migrations'`)
	require.NoError(t, err)
	columns := map[string][]string{}
	var table, column string
	_, err = pgx.ForEachRow(rows, []any{&table, &column}, func() error {
		columns[table] = append(columns[table], column)
		return nil
	})
	require.NoError(t, err)

	found := map[string]bool{}
	require.NoError(t, filepath.WalkDir("../services", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() || entry.Name() == "testdata" {
			return err
		}
		statements, err := sqlOfPackage(path)
		for _, s := range statements {
			readBy(t, s.sql, columns, found)
		}
		return err
	}))
	if *update {
		text := "# Columns that the last release reads or writes; `make reads` writes this at a release.\n" +
			strings.Join(slices.Sorted(maps.Keys(found)), "\n") + "\n"
		require.NoError(t, os.WriteFile(reads, []byte(text), 0o644))
	}
	require.Greater(t, len(found), 200)
	require.True(t, found["uaol_billing.accounts.available"])
	last := lines(t, reads)
	require.Greater(t, len(last), 200)
	for name := range last {
		dot := strings.LastIndex(name, ".")
		require.Contains(t, columns[name[:dot]], name[dot+1:], "the release before reads %s", name)
	}
}

// readBy adds the columns that a statement may mean: whatever a table in it has of
// the names in it.
func readBy(t testing.TB, sql string, columns map[string][]string, found map[string]bool) {
	t.Helper()
	tree, err := pgquery.ParseToJSON(sql)
	require.NoError(t, err)
	named, tables, all := map[string]bool{}, map[string]bool{}, false
	rules.Walk(as[any](t, json.RawMessage(tree)), func(key string, inner map[string]any) {
		if table, ok := inner["relname"].(string); ok {
			schema, _ := inner["schemaname"].(string)
			tables[schema+"."+table] = true
		}
		switch key {
		case "A_Star":
			all = true
		case "ColumnRef":
			for _, name := range rules.Texts(inner["fields"]) {
				named[name] = true
			}
		case "ResTarget", "IndexElem":
			if name, ok := inner["name"].(string); ok {
				named[name] = true
			}
		}
	})
	for table := range tables {
		for _, column := range columns[table] {
			if all || named[column] {
				found[table+"."+column] = true
			}
		}
	}
}
