package prove

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os/exec"
	"strings"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"uaol/providers/postgres/embedded"
)

// database is where the proof takes place: one of its own, and gone afterwards.
type database struct {
	url     string
	restart func(ctx context.Context, crash bool) error // nil when it can't be restarted
	close   func() error
}

// openDatabase starts a private PostgreSQL, or makes a database on somebody's.
func openDatabase(ctx context.Context, archive, dir string, o Options) (*database, error) {
	if o.Database == "" {
		return private(ctx, dir, archive)
	}
	address, err := url.Parse(o.Database)
	if err != nil || address.Scheme != "postgres" && address.Scheme != "postgresql" {
		return nil, errors.New("--database must be an address such as postgres://user:password@host:5432/postgres")
	}
	name := "uaol_prove_" + strings.ToLower(rand.Text()[:10])
	if err := execute(ctx, o.Database, "CREATE DATABASE "+name); err != nil {
		return nil, fmt.Errorf("a database for the proof cannot be made, and it uses no other: %w", err)
	}
	d := &database{close: func() error {
		return execute(context.WithoutCancel(ctx), o.Database, "DROP DATABASE "+name+" WITH (FORCE)")
	}}
	address.Path = "/" + name
	d.url = address.String()
	if o.Restart != "" {
		d.restart = func(ctx context.Context, _ bool) error {
			if output, err := exec.CommandContext(ctx, "sh", "-c", o.Restart).CombinedOutput(); err != nil {
				return fmt.Errorf("%s: %w: %s", o.Restart, err, output)
			}
			return nil
		}
	}
	return d, nil
}

// private is a PostgreSQL of the proof's own, as durable as any.
func private(ctx context.Context, dir, archive string) (*database, error) {
	server, err := embedded.New(embedded.Config{DataDir: dir, Archive: archive, Settings: map[string]string{"max_connections": "200"}}, zap.NewNop())
	if err != nil {
		return nil, err
	}
	if err := server.Start(ctx); err != nil {
		return nil, err
	}
	return &database{
		url: server.URL(),
		restart: func(ctx context.Context, crash bool) error {
			if crash {
				server.Crash()
			}
			if err := server.Stop(ctx); err != nil {
				return err
			}
			return server.Start(ctx)
		},
		close: func() error { return server.Stop(context.WithoutCancel(ctx)) },
	}, nil
}

func execute(ctx context.Context, address, sql string) error {
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, sql)
	return errors.Join(err, conn.Close(ctx))
}
