// Package rules says what SQL of ours may not use, because CockroachDB has not got it or
// a pooler in transaction mode does not keep it. It is for tests: the parser, which is
// PostgreSQL's own, is no part of the program.
package rules

import (
	"encoding/json"
	"fmt"
	"slices"

	pgquery "github.com/wasilibs/go-pgquery/parser"
)

// Rule is something that is refused. Its name is a function, a column, or a node or a
// value of the parser's tree.
type Rule struct{ Name, Reason, Source string }

const (
	issues     = "https://github.com/cockroachdb/cockroach/issues/"
	docs       = "https://www.cockroachlabs.com/docs/stable/"
	compatible = docs + "postgresql-compatibility"
	functions  = docs + "functions-and-operators"
	ours       = "docs/architecture.md" // a pooler in transaction mode keeps no session
)

// Refused is a list and not a proof: no CockroachDB can be had here.
var Refused = []Rule{
	{"ListenStmt", "LISTEN: there are no notifications", issues + "41522"},
	{"UnlistenStmt", "UNLISTEN: there are no notifications", issues + "41522"},
	{"NotifyStmt", "NOTIFY: there are no notifications", issues + "41522"},
	{"pg_notify", "NOTIFY: there are no notifications", issues + "41522"},

	{"pg_advisory_lock", "advisory locks are accepted and lock nothing", issues + "13546"},
	{"pg_advisory_xact_lock", "advisory locks are accepted and lock nothing", issues + "13546"},
	{"pg_advisory_lock_shared", "advisory locks are accepted and lock nothing", issues + "13546"},
	{"pg_advisory_xact_lock_shared", "advisory locks are accepted and lock nothing", issues + "13546"},
	{"pg_advisory_unlock", "advisory locks are accepted and lock nothing", issues + "13546"},
	{"pg_advisory_unlock_shared", "advisory locks are accepted and lock nothing", issues + "13546"},
	{"pg_advisory_unlock_all", "advisory locks are accepted and lock nothing", issues + "13546"},
	{"pg_try_advisory_lock", "advisory locks are accepted and lock nothing", issues + "13546"},
	{"pg_try_advisory_xact_lock", "advisory locks are accepted and lock nothing", issues + "13546"},
	{"pg_try_advisory_lock_shared", "advisory locks are accepted and lock nothing", issues + "13546"},
	{"pg_try_advisory_xact_lock_shared", "advisory locks are accepted and lock nothing", issues + "13546"},
	{"LockStmt", "LOCK TABLE", issues + "22829"},

	{"deferrable", "deferrable constraints", issues + "31632"},
	{"initdeferred", "deferrable constraints", issues + "31632"},
	{"CONSTR_ATTR_DEFERRABLE", "deferrable constraints", issues + "31632"},
	{"CONSTR_ATTR_DEFERRED", "deferrable constraints", issues + "31632"},
	{"ConstraintsSetStmt", "deferrable constraints", issues + "31632"},
	{"CONSTR_EXCLUSION", "exclusion constraints", issues + "46657"},
	{"CreatedbStmt", "CREATE DATABASE: of templates only template0 is taken", docs + "create-database"},

	{"websearch_to_tsquery", "full text search lacks it", docs + "full-text-search"},
	{"ts_headline", "full text search lacks it", docs + "full-text-search"},

	{"xmin", "system columns: there are no tuples with transaction ids", issues + "14211"},
	{"xmax", "system columns: there are no tuples with transaction ids", issues + "14211"},
	{"cmin", "system columns: there are no tuples with transaction ids", issues + "14211"},
	{"cmax", "system columns: there are no tuples with transaction ids", issues + "14211"},
	{"ctid", "system columns: there are no tuples with transaction ids", issues + "14211"},

	{"pg_current_snapshot", "snapshots and transaction ids are not PostgreSQL's", functions},
	{"pg_current_xact_id", "snapshots and transaction ids are not PostgreSQL's", functions},
	{"pg_current_xact_id_if_assigned", "snapshots and transaction ids are not PostgreSQL's", functions},
	{"pg_snapshot_xmin", "snapshots and transaction ids are not PostgreSQL's", functions},
	{"pg_snapshot_xmax", "snapshots and transaction ids are not PostgreSQL's", functions},
	{"pg_visible_in_snapshot", "snapshots and transaction ids are not PostgreSQL's", functions},
	{"pg_xact_status", "snapshots and transaction ids are not PostgreSQL's", functions},
	{"txid_current", "snapshots and transaction ids are not PostgreSQL's", functions},
	{"txid_current_snapshot", "snapshots and transaction ids are not PostgreSQL's", functions},
	{"txid_current_if_assigned", "snapshots and transaction ids are not PostgreSQL's", functions},
	{"txid_snapshot_xmin", "snapshots and transaction ids are not PostgreSQL's", functions},
	{"txid_snapshot_xmax", "snapshots and transaction ids are not PostgreSQL's", functions},
	{"txid_visible_in_snapshot", "snapshots and transaction ids are not PostgreSQL's", functions},

	{"CreateExtensionStmt", "extensions", compatible},
	{"CreateRangeStmt", "range types", issues + "27791"},
	{"CreateDomainStmt", "domains", issues + "27796"},
	{"inhRelations", "table inheritance", issues + "22456"},
	{"RuleStmt", "rules", compatible},
	{"ClusterStmt", "CLUSTER", compatible},
	{"MergeStmt", "MERGE", compatible},
	{"VacuumStmt", "VACUUM, ANALYZE with options", compatible},
	{"ReindexStmt", "REINDEX", compatible},
	{"RangeTableSample", "TABLESAMPLE", compatible},
	{"WithoutOids", "oids", compatible},
	{"GroupingSet", "GROUPING SETS, ROLLUP, CUBE", issues + "46280"},
	{"JsonTable", "JSON_TABLE", functions},

	{"VariableSetStmt", "SET: no session state outside a transaction", ours},
	{"PrepareStmt", "PREPARE: no session state outside a transaction", ours},
	{"DeclareCursorStmt", "DECLARE: no session state outside a transaction", ours},
	{"RELPERSISTENCE_TEMP", "temporary tables: no session state outside a transaction", ours},
}

// known are the functions that ours may call: those that are used and that CockroachDB
// has (functions, and full-text-search for ts_rank). Another one is to be looked up
// there first.
var known = []string{
	"abs", "array_agg", "array_remove", "bool_or", "cardinality", "clock_timestamp", "count", "date_trunc", "decode", "extract", "gen_random_uuid",
	"jsonb_agg", "jsonb_array_elements", "jsonb_array_elements_text", "jsonb_build_array", "jsonb_build_object", "left", "length",
	"lower", "max", "min", "now", "octet_length", "pg_backend_pid", "power", "replace", "right", "row_number", "split_part",
	"string_to_array", "strpos", "substring", "sum", "timezone", "to_regtype", "to_tsvector", "ts_rank", "unnest", "version", "width_bucket",
}

// Parse gives a text's tree, as PostgreSQL reads it.
func Parse(sql string) (any, error) {
	text, err := pgquery.ParseToJSON(sql)
	if err != nil {
		return nil, fmt.Errorf("it is not PostgreSQL's SQL: %w", err)
	}
	var tree any
	return tree, json.Unmarshal([]byte(text), &tree)
}

// Faults are the rules that a tree breaks.
func Faults(tree any) (faults []string) {
	Walk(tree, func(key string, node map[string]any) {
		if key == "FuncCall" {
			names := Texts(node["funcname"])
			if name := names[len(names)-1]; !slices.Contains(known, name) {
				faults = append(faults, name+": not known to be a function of CockroachDB's ("+functions+")")
			}
		}
		if key == "relation" && node["relpersistence"] == "t" {
			faults = append(faults, "temporary tables: no session state outside a transaction ("+ours+")")
		}
		for _, rule := range Refused {
			if breaks(rule.Name, key, node) {
				faults = append(faults, fmt.Sprintf("%s: %s (%s)", rule.Name, rule.Reason, rule.Source))
			}
		}
	})
	return faults
}

func breaks(name, key string, node map[string]any) bool {
	value, there := node[name]
	if inner, ok := value.(map[string]any); ok && name == "VariableSetStmt" && inner["is_local"] == true ||
		key == name && node["is_local"] == true {
		return false // SET LOCAL ends with its transaction
	}
	return key == name || there && value != false || node["contype"] == name ||
		key == "FuncCall" && slices.Contains(Texts(node["funcname"]), name) ||
		key == "ColumnRef" && slices.Contains(Texts(node["fields"]), name)
}

// Walk visits every object of a tree with the key it stands under.
func Walk(v any, visit func(key string, node map[string]any)) { walkAt("", v, visit) }

func walkAt(key string, v any, visit func(string, map[string]any)) {
	switch v := v.(type) {
	case map[string]any:
		visit(key, v)
		for key, inner := range v {
			walkAt(key, inner, visit)
		}
	case []any:
		for _, inner := range v {
			walkAt(key, inner, visit)
		}
	}
}

// List is an array of a tree.
func List(v any) []any {
	items, _ := v.([]any)
	return items
}

// Texts collects the strings of a tree, in order.
func Texts(v any) (all []string) {
	switch v := v.(type) {
	case map[string]any:
		for _, key := range []string{"String", "List", "items", "sval"} {
			if inner, ok := v[key]; ok {
				all = append(all, Texts(inner)...)
			}
		}
	case []any:
		for _, inner := range v {
			all = append(all, Texts(inner)...)
		}
	case string:
		all = append(all, v)
	}
	return all
}
