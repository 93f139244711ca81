package postgres

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"uaol/providers/telemetry"
)

// tracer makes a span of each statement that is part of a trace. It tells the
// statement's text, which is constant, and none of its arguments.
type tracer struct{}

// TraceQueryStart implements pgx.QueryTracer.
func (tracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if !telemetry.On(ctx) {
		return ctx
	}
	text := strings.Join(strings.Fields(data.SQL), " ")
	ctx, span := telemetry.Call(ctx, statementName(text))
	span.Text("db.system.name", "postgresql")
	span.Text("db.query.text", text)
	return ctx
}

// TraceQueryEnd implements pgx.QueryTracer.
func (tracer) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	span := telemetry.Current(ctx)
	if !span.On() {
		return
	}
	span.Number("db.response.returned_rows", data.CommandTag.RowsAffected())
	var said *pgconn.PgError
	if errors.As(data.Err, &said) {
		span.Fail(said.Code) // its words may quote a value
		span.End(nil)
		return
	}
	span.End(data.Err)
}

// statementName is what a statement does, and to the first table it names.
func statementName(text string) string {
	verb, rest, _ := strings.Cut(text, " ")
	_, table, ok := strings.Cut(rest, "uaol_")
	if !ok {
		return verb
	}
	if end := strings.IndexFunc(table, func(r rune) bool { return r != '.' && r != '_' && (r < 'a' || r > 'z') }); end >= 0 {
		table = table[:end]
	}
	return verb + " uaol_" + table
}
