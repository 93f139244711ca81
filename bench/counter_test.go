package bench

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// counter counts our statements, and what claims bring and take.
type counter struct {
	statements, claims, claimed, claiming atomic.Int64
}

type asked struct {
	at    time.Time
	takes bool // it is the claim itself, not the look for lanes before
}

func (c *counter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	c.statements.Add(1)
	takes := strings.Contains(data.SQL, "DELETE FROM uaol_jobs.queue") && strings.Contains(data.SQL, "INSERT INTO uaol_jobs.runs")
	if !takes && !strings.Contains(data.SQL, "RECURSIVE lanes") {
		return ctx
	}
	return context.WithValue(ctx, asked{}, asked{time.Now(), takes})
}

func (c *counter) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	q, ok := ctx.Value(asked{}).(asked)
	n := data.CommandTag.RowsAffected()
	if !ok || data.Err != nil || n == 0 {
		return
	}
	c.claiming.Add(int64(time.Since(q.at)))
	if q.takes {
		c.claims.Add(1)
		c.claimed.Add(n)
	}
}
