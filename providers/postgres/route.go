package postgres

import (
	"net/url"
	"strings"
)

// route is what lies between this process and the server.
type route int32

const (
	unknown     route = iota // asked for with the first connection
	direct                   // nothing that speaks the protocol
	session                  // a pooler that gives a client one connection of the server's
	transaction              // a pooler that gives each transaction any of them
)

func (r route) String() string {
	return [...]string{"unknown", "direct", "session", "transaction"}[r]
}

// modeParameter is pgx's name for how statements are sent, in a URL.
const modeParameter = "default_query_exec_mode"

// supabasePorts are those of Supabase's poolers, whose hosts are …pooler.supabase.com
// (Supavisor, both) or the project's own, db.….supabase.co (pgbouncer, on 6543):
// https://supabase.com/docs/guides/database/connecting-to-postgres
var supabasePorts = map[string]route{"": session, "5432": session, "6543": transaction}

// routeOf reads a URL; what it does not tell is asked of the server.
func routeOf(u *url.URL) route {
	host := u.Hostname()
	switch {
	case u.Query().Get("pgbouncer") == "true": // as other clients want it
		return transaction
	case strings.HasSuffix(host, ".pooler.supabase.com"):
		return supabasePorts[u.Port()]
	case strings.HasSuffix(host, ".supabase.co") && u.Port() == "6543":
		return transaction
	}
	return unknown
}

// throughPooler gives a URL that leads to a pooler in transaction mode the query
// mode that needs nothing of the connection before it, and takes away what the
// server would refuse as settings that it does not know.
//
// Of pgx's modes for that, cache_describe is the quicker one: it asks once for a
// statement's types and then speaks in binary, where exec sends texts
// (BenchmarkModes: see docs/architecture.md). cache_statement names statements
// that another connection of the server's has never heard of.
func throughPooler(u *url.URL, r route) {
	query := u.Query()
	if r == transaction && !query.Has(modeParameter) {
		query.Set(modeParameter, "cache_describe")
	}
	for _, foreign := range []string{"pgbouncer", "connection_limit", "pool_timeout"} {
		query.Del(foreign)
	}
	u.RawQuery = query.Encode()
}
