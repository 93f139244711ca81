package pgtest

import (
	"context"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
)

// Plans reads the plan of every statement that is sent through its pool, and fails
// the test where one of the tables is read from end to end.
type Plans struct {
	Pool *pgxpool.Pool

	t      testing.TB
	others *pgxpool.Pool
	schema string
	whole  *regexp.Regexp
	seen   atomic.Int64
	last   atomic.Pointer[string]
}

// Explain opens another pool on a database. The tables are those of the schema that
// have too many rows to be read.
func Explain(t testing.TB, pool *pgxpool.Pool, schema string, tables ...string) *Plans {
	t.Helper()
	p := &Plans{t: t, others: pool, schema: schema + ".", whole: regexp.MustCompile(`Seq Scan on (` + strings.Join(tables, "|") + `)\b`)}
	cfg := pool.Config()
	cfg.ConnConfig.Tracer = p
	watched, err := pgxpool.NewWithConfig(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(watched.Close)
	p.Pool = watched
	return p
}

// Last is the plan of the last statement.
func (p *Plans) Last() string { return *p.last.Load() }

// Seen is how many plans were read.
func (p *Plans) Seen() int { return int(p.seen.Load()) }

// TraceQueryStart implements pgx.QueryTracer.
func (p *Plans) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	if !strings.Contains(q.SQL, p.schema) {
		return ctx
	}
	p.seen.Add(1)
	rows, err := p.others.Query(ctx, "EXPLAIN "+q.SQL, q.Args...)
	if err != nil {
		p.t.Errorf("%v: %s", err, q.SQL)
		return ctx
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	plan := strings.Join(lines, "\n")
	p.last.Store(&plan)
	if err != nil || p.whole.MatchString(plan) {
		p.t.Errorf("%v\n%s", err, plan)
	}
	return ctx
}

// TraceQueryEnd implements pgx.QueryTracer.
func (p *Plans) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
