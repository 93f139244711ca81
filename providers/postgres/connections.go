package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/multitracer"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/zap"
)

// Limits bound what a statement or a transaction may take of the server; 0 means no
// limit.
type Limits struct {
	Statement time.Duration // from its start to its last row
	Lock      time.Duration // waiting for what another transaction holds
	Idle      time.Duration // between a transaction's statements
}

// limits of what serves. No transaction of ours waits for anything but the database,
// so that one which is idle for long has lost its process.
func (c Config) limits() Limits {
	return Limits{Statement: c.Statement, Lock: 10 * time.Second, Idle: time.Minute}
}

// settings are the limits as the server names them, in milliseconds.
func (l Limits) settings() map[string]string {
	all := map[string]string{}
	for name, limit := range map[string]time.Duration{
		"statement_timeout": l.Statement, "lock_timeout": l.Lock, "idle_in_transaction_session_timeout": l.Idle,
	} {
		if limit > 0 {
			all[name] = strconv.FormatInt(limit.Milliseconds(), 10)
		}
	}
	return all
}

// begin is the start of a transaction that is bound whatever connection it runs on.
func (l Limits) begin() string {
	text := "begin"
	for _, name := range []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"} {
		if value, ok := l.settings()[name]; ok {
			text += "; SET LOCAL " + name + " = " + value
		}
	}
	return text
}

// connections is what a pool knows of its connections beyond what they are made with:
// what they lead through, the password of the moment, and since when there are none.
type connections struct {
	limits   Limits
	password *password // nil: the URL's for ever
	gate     <-chan struct{}
	log      *zap.Logger
	keepMode bool // the URL says how statements are sent

	asking chan struct{} // held by whoever asks for the route
	route  atomic.Int32

	turns *turns
}

// equip ties a pool's config to what its connections need; tracers see its statements.
func equip(cfg *pgxpool.Config, c *connections, tracers ...pgx.QueryTracer) {
	c.asking, c.turns = make(chan struct{}, 1), newTurns()
	c.keepMode = strings.Contains(cfg.ConnString(), modeParameter+"=")
	if c.log == nil {
		c.log = zap.NewNop()
	}
	cfg.BeforeConnect, cfg.AfterConnect, cfg.PrepareConn = c.beforeConnect, c.afterConnect, alive
	cfg.ConnConfig.Tracer = multitracer.New(append([]pgx.QueryTracer{c}, tracers...)...)
}

// Equip makes a pool's config one as the process's own is: for tests, which make pools
// of their own. Statements are bound by no time.
func Equip(cfg *pgxpool.Config, tracers ...pgx.QueryTracer) { equip(cfg, &connections{}, tracers...) }

// connectionsOf finds them again. It copies the pool's config: for when something went wrong.
func connectionsOf(q Querier) *connections {
	pool, ok := q.(*pgxpool.Pool)
	if !ok {
		return nil
	}
	if tracers, ok := pool.Config().ConnConfig.Tracer.(*multitracer.Tracer); ok {
		for _, tracer := range tracers.QueryTracers {
			if c, ok := tracer.(*connections); ok {
				return c
			}
		}
	}
	return nil
}

// beforeConnect waits for a connection's turn and prepares it.
func (c *connections) beforeConnect(ctx context.Context, to *pgx.ConnConfig) error {
	if err := c.turns.take(ctx); err != nil {
		return err
	}
	err := c.prepare(ctx, to)
	if err != nil { // there is no try whose end would be noted
		c.turns.end(err)
	}
	return err
}

// prepare gives a connection its password, its limits and how it sends statements.
func (c *connections) prepare(ctx context.Context, to *pgx.ConnConfig) error {
	if c.gate != nil {
		select {
		case <-c.gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if c.password != nil {
		to.Password = c.password.now()
	}
	found, err := c.ask(ctx, to)
	if err != nil {
		return err
	}
	if found == direct {
		for name, value := range c.limits.settings() {
			if to.RuntimeParams[name] == "" {
				to.RuntimeParams[name] = value
			}
		}
		return nil
	}
	if found == transaction && !c.keepMode {
		to.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	// A pooler whose client goes away in the middle ends the server's connection too;
	// and the server goes on with the statement unless it is told.
	to.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &canceller{conn: conn}
	}
	return nil
}

func (c *connections) afterConnect(ctx context.Context, conn *pgx.Conn) error {
	if c.found() != direct && c.limits != (Limits{}) {
		conn.PgConn().CustomData()[beginning] = c.limits.begin()
	}
	return KnowUUIDs(ctx, conn)
}

func (c *connections) found() route { return route(c.route.Load()) }

// ask finds out, once, whether a pooler stands between: the server's process is then
// another than the one that the connection was told at its start, because poolers
// answer with numbers of their own, for requests to cancel. CockroachDB's
// pg_backend_pid() is the number of its session, which it tells likewise. A pooler
// that is found so is taken for one in transaction mode: what that needs works in
// session mode too.
func (c *connections) ask(ctx context.Context, to *pgx.ConnConfig) (route, error) {
	if found := c.found(); found != unknown {
		return found, nil
	}
	select {
	case c.asking <- struct{}{}:
		defer func() { <-c.asking }()
	case <-ctx.Done():
		return unknown, ctx.Err()
	}
	if found := c.found(); found != unknown {
		return found, nil
	}
	conn, err := pgx.ConnectConfig(ctx, to)
	if err != nil {
		return unknown, err
	}
	defer func() { _ = conn.Close(ctx) }()
	var pid int64
	if err := conn.QueryRow(ctx, "SELECT pg_backend_pid()", pgx.QueryExecModeSimpleProtocol).Scan(&pid); err != nil {
		return unknown, &unsentError{err}
	}
	found := direct
	if uint32(pid) != conn.PgConn().PID() {
		found = transaction
		c.log.Info("the database is behind a pooler; nothing is kept in its connections")
	}
	c.route.Store(int32(found))
	return found, nil
}

// unsentError is a failure before the statement in question was sent.
type unsentError struct{ error }

func (e *unsentError) Unwrap() error     { return e.error }
func (e *unsentError) SafeToRetry() bool { return true }

// TraceConnectStart implements pgx.ConnectTracer.
func (c *connections) TraceConnectStart(ctx context.Context, _ pgx.TraceConnectStartData) context.Context {
	return ctx
}

// TraceConnectEnd implements pgx.ConnectTracer: it notes how it went. A server that
// refuses may do so because of the password, whatever it says: poolers differ.
func (c *connections) TraceConnectEnd(_ context.Context, data pgx.TraceConnectEndData) {
	var refusal *pgconn.PgError
	if c.password != nil && errors.As(data.Err, &refusal) {
		c.password.wasRefused()
	}
	c.turns.end(data.Err)
}

// down is for how long no connection could be made.
func (c *connections) down() time.Duration {
	if c == nil {
		return 0
	}
	return c.turns.down()
}

type deadlineKey struct{}

var errStatement = errors.New("the statement took too long")

// TraceQueryStart implements pgx.QueryTracer. Through a pooler the server is told no
// limit that holds for a connection, so the statement's own time is bound here, and
// the server is told to cancel it when that is over.
func (c *connections) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	if c.limits.Statement == 0 || c.found() == direct {
		return ctx
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.limits.Statement, errStatement)
	return context.WithValue(ctx, deadlineKey{}, cancel)
}

// TraceQueryEnd implements pgx.QueryTracer.
func (c *connections) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryEndData) {
	if cancel, ok := ctx.Value(deadlineKey{}).(context.CancelFunc); ok {
		cancel()
	}
}

// beginning is where a connection's data keeps how its transactions begin.
const beginning = "uaol begins"

// options are how a transaction begins on a connection.
func options(conn *pgx.Conn) pgx.TxOptions {
	text, _ := conn.PgConn().CustomData()[beginning].(string)
	return pgx.TxOptions{BeginQuery: text}
}

// errDown is what a command says of a URL that cannot be used.
func errDown(err error) error { return fmt.Errorf("DATABASE_URL cannot be used: %s", Cause(err)) }
