package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"uaol/services"
)

// classify gives a database error its kind. It is the one place that knows
// SQLSTATEs; see appendix A of PostgreSQL's manual.
func classify(err error) error {
	if err == nil {
		return nil
	}
	var known *services.Error
	if errors.As(err, &known) {
		return err
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return services.Errorf(services.NotFound, "Not found").Because(err)
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) { // the connection, not the statement
		return services.Errorf(services.Unavailable, "The database cannot be reached; try again").Because(err)
	}
	switch {
	case pg.Code == "22021", pg.Code == "22P05", pg.Code == "22P02": // a NUL, broken UTF-8, half a surrogate
		return services.Errorf(services.Invalid, "A text holds a character that cannot be stored").Because(err)
	case strings.HasPrefix(pg.Code, "54"): // program_limit_exceeded
		return services.Errorf(services.Invalid, "The input is too large or too complex to be stored").Because(err)
	case pg.Code == "22003": // numeric value out of range
		return services.Errorf(services.Invalid, "A number is out of range").Because(err)
	case pg.Code == "23505":
		return services.Errorf(services.Conflict, "It exists already").WithDetails(nil).Because(err)
	case retryable(err), strings.HasPrefix(pg.Code, "08"), strings.HasPrefix(pg.Code, "53"),
		strings.HasPrefix(pg.Code, "57P"), pg.Code == "57014", pg.Code == "3D000", strings.HasPrefix(pg.Code, "28"),
		pg.Code == "40003", pg.Code == "55P03", pg.Code == "25P03": // how it ended is unknown; a lock, or its client, was waited for too long
		return services.Errorf(services.Unavailable, "The database cannot serve this just now; try again").Because(err)
	}
	return fmt.Errorf("database: %w", err)
}

// Violates reports whether err is the violation of the named constraint or index.
func Violates(err error, constraint string) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.ConstraintName == constraint
}

// retryable errors mean that the statement had no effect and may have one now.
func retryable(err error) bool {
	if errors.Is(err, errLost) {
		return true
	}
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "40001" || pg.Code == "40P01")
}

// unsent reports that a statement never left: no connection could be made, or the one
// at hand was closed before anything was written.
func unsent(err error) bool {
	var connect *pgconn.ConnectError
	return errors.As(err, &connect) || pgconn.SafeToRetry(err)
}

// broken reports that the connection ended, with the server or on the way, while a
// statement was in flight: it may have been executed. What the caller's own context
// ended is not among that.
func broken(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) { // shutting down, crashed; connection failures, also a pooler's; completion unknown
		return pg.Code == "57P01" || pg.Code == "57P02" || pg.Code == "40003" || strings.HasPrefix(pg.Code, "08")
	}
	var network *net.OpError
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, pgconn.ErrConnClosed)
}

// permanent errors are refusals that waiting does not mend: a wrong password,
// a database that does not exist.
func permanent(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (strings.HasPrefix(pg.Code, "28") || pg.Code == "3D000")
}

// Cause is an error's innermost text without the connection string around it:
// "connection refused", "password authentication failed for user …".
func Cause(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Message
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return "cannot look up " + dns.Name + ": " + dns.Err
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err.Error()
	}
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}
