package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Bounds of a request to cancel a statement.
const (
	tellingTakes = 2 * time.Second        // at most, and the answer to the statement too
	arrivesIn    = 100 * time.Millisecond // from the server's word to the statement's process
)

// canceller tells the server to end a statement whose time is up, and sees that request
// through to its end, also when the statement ends meanwhile. pgx's own lets go of it
// then, of which PgBouncer 1.18 dies (its issue 801).
type canceller struct {
	conn *pgconn.PgConn
	told chan struct{}
}

// HandleCancel is called when the statement's context has ended.
func (c *canceller) HandleCancel(context.Context) {
	told := make(chan struct{})
	c.told = told
	_ = c.conn.Conn().SetDeadline(time.Now().Add(tellingTakes))
	go func() {
		defer close(told)
		ctx, cancel := context.WithTimeout(context.Background(), tellingTakes)
		defer cancel()
		_ = c.conn.CancelRequest(ctx)
		time.Sleep(arrivesIn) // what comes late would end the next statement
	}()
}

// HandleUnwatchAfterCancel is called when the statement has ended after that.
func (c *canceller) HandleUnwatchAfterCancel() {
	<-c.told
	_ = c.conn.Conn().SetDeadline(time.Time{})
}
