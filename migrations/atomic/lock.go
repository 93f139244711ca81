package atomic

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/golang-migrate/migrate/v4/database"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// polling is how often somebody who waits asks again. A session that waits inside
// of pg_advisory_lock has a snapshot meanwhile, for which CREATE INDEX CONCURRENTLY
// would wait in turn.
const polling = 100 * time.Millisecond

type lock interface {
	take(ctx context.Context) error
	give(ctx context.Context) error
}

// session is PostgreSQL's: it ends with the connection, however that ends.
type session struct {
	conn   *pgx.Conn
	schema string
	id     string
	taken  bool
}

func (s *session) take(ctx context.Context) error {
	var name string
	if err := s.conn.QueryRow(ctx, "SELECT current_database()").Scan(&name); err != nil {
		return err
	}
	var err error
	// The name that golang-migrate's own driver gives it: a release that has
	// that one waits too.
	if s.id, err = database.GenerateAdvisoryLockId(name, s.schema, "schema_migrations"); err != nil {
		return err
	}
	for {
		if err := s.conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1::text::bigint)", s.id).Scan(&s.taken); err != nil || s.taken {
			return err
		}
		if err := pause(ctx, polling); err != nil {
			return err
		}
	}
}

func (s *session) give(ctx context.Context) error {
	if !s.taken || s.conn.IsClosed() {
		return nil
	}
	s.taken = false
	_, err := s.conn.Exec(ctx, "SELECT pg_advisory_unlock($1::text::bigint)", s.id)
	return err
}

// lasting is how long a lease is good for; it is renewed four times in that time.
const lasting = 40 * time.Second

// lease is a row, for a database without advisory locks. Whoever lost it can do no
// harm: the version is moved from what it was seen to be, or not at all.
type lease struct {
	to     *pgx.ConnConfig
	schema string
	table  string
	lost   context.CancelCauseFunc
	lasts  time.Duration
	holder string
	conn   *pgx.Conn // its own, since the other one is busy
	stop   context.CancelFunc
	done   sync.WaitGroup
}

func (l *lease) take(ctx context.Context) (err error) {
	if l.conn, err = pgx.ConnectConfig(ctx, l.to); err != nil {
		return err
	}
	l.holder = uuid.NewString()
	for {
		var got bool
		if got, err = l.try(ctx); err != nil || got {
			break
		}
		if err = pause(ctx, polling); err != nil {
			break
		}
	}
	if err != nil {
		return errors.Join(err, l.conn.Close(context.WithoutCancel(ctx)))
	}
	renewing, stop := context.WithCancel(ctx)
	l.stop = stop
	l.done.Go(func() { l.renew(renewing) })
	return nil
}

func (l *lease) try(ctx context.Context) (bool, error) {
	var pg *pgconn.PgError
	for _, sql := range []string{
		createSchema + l.schema,
		`CREATE TABLE IF NOT EXISTS ` + l.table + ` (id int NOT NULL PRIMARY KEY, holder text NOT NULL, expires_at timestamptz NOT NULL)`,
	} {
		_, err := l.conn.Exec(ctx, sql)
		if errors.As(err, &pg) && slices.Contains([]string{"23505", "42710", "42P06", "42P07", "40001"}, pg.Code) {
			return false, nil // two at once; the other one is making it
		}
		if err != nil {
			return false, err
		}
	}
	done, err := l.conn.Exec(ctx, `INSERT INTO `+l.table+` AS l (id, holder, expires_at) VALUES (1, $1, now() + $2::text::interval)
		ON CONFLICT (id) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at WHERE l.expires_at < now()`, l.holder, l.seconds())
	if errors.As(err, &pg) && pg.Code == "40001" {
		return false, nil
	}
	return done.RowsAffected() == 1, err
}

func (l *lease) renew(ctx context.Context) {
	for pause(ctx, l.lasts/4) == nil {
		done, err := l.conn.Exec(ctx, `UPDATE `+l.table+` SET expires_at = now() + $2::text::interval WHERE holder = $1`, l.holder, l.seconds())
		if ctx.Err() != nil {
			return
		}
		if err == nil && done.RowsAffected() == 0 || l.conn.IsClosed() {
			l.lost(errors.New("the lock of the migrations was lost"))
			return
		}
	}
}

func (l *lease) give(ctx context.Context) error {
	if l.stop == nil {
		return nil
	}
	l.stop()
	l.done.Wait()
	l.stop = nil
	_ = l.conn.Close(ctx) // a cancelled renewal has closed it already
	conn, err := pgx.ConnectConfig(ctx, l.to)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, `DELETE FROM `+l.table+` WHERE holder = $1`, l.holder)
	return errors.Join(err, conn.Close(ctx))
}

func (l *lease) seconds() string { return fmt.Sprintf("%d milliseconds", l.lasts.Milliseconds()) }
