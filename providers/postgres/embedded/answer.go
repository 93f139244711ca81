package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"uaol/providers/postgres/embedded/child"
)

const (
	database = "uaol"
	port     = "5432" // of the socket's name only, nothing listens on TCP

	unknownDatabase   = "3D000" // SQLSTATE invalid_catalog_name
	duplicateDatabase = "42P04" // SQLSTATE duplicate_database

	poll = 5 * time.Millisecond
)

func databaseURL(sockets, name string) string {
	return fmt.Sprintf("postgres://postgres@/%s?host=%s&port=%s", name, sockets, port)
}

func socketFile(sockets string) string { return filepath.Join(sockets, ".s.PGSQL."+port) }

// answers waits until the database can be used, or until postgres ends.
func (s *Server) answers(ctx context.Context, p *child.Child, out *logFile) error {
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	last := errors.New("its socket was not there")
	for {
		select {
		case <-p.Done():
			return &endedError{log: out.tail(), cause: p.Err()}
		case <-ctx.Done():
			return fmt.Errorf("%w (%s): %s", context.Cause(ctx), oneLine(last), out.tail())
		case <-ticker.C:
		}
		if _, err := os.Lstat(socketFile(s.sockets)); err != nil {
			continue
		}
		if last = s.probe(ctx); last == nil {
			return nil
		}
	}
}

// probe asks for the database and makes it when it is the only thing missing.
func (s *Server) probe(ctx context.Context) error {
	err := execute(ctx, s.URL(), "SELECT 1")
	if sqlstate(err) != unknownDatabase {
		return err
	}
	err = execute(ctx, databaseURL(s.sockets, "postgres"), "CREATE DATABASE "+database)
	if sqlstate(err) == duplicateDatabase {
		return nil
	}
	return err
}

func execute(ctx context.Context, url, sql string) error {
	conn, err := pgconn.Connect(ctx, url)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, sql).ReadAll()
	return errors.Join(err, conn.Close(ctx))
}

// oneLine folds an error of pgx's, which has a line for each address it tried.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

func sqlstate(err error) string {
	var answer *pgconn.PgError
	if errors.As(err, &answer) {
		return answer.Code
	}
	return ""
}

// endedError is a postgres that ended before it answered.
type endedError struct {
	log   string
	cause error
}

func (e *endedError) Error() string {
	return fmt.Sprintf("PostgreSQL did not start (%v): %s", e.cause, e.log)
}

func (e *endedError) Unwrap() error { return e.cause }
