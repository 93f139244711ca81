package migrations

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/fx"
	"go.uber.org/zap"

	"uaol/providers/config"
	"uaol/providers/health"
	"uaol/providers/postgres"
	"uaol/services"
)

// Config says whether this process migrates when it starts, and over which connection.
type Config struct {
	config.Process
	Migrate   *bool  `env:"UAOL_MIGRATE" want:"true or false" doc:"whether the start applies migrations; default: in development only"`
	URL       string `env:"UAOL_MIGRATE_DATABASE_URL" secret:"true" want:"a URL such as postgres://user:password@host:5432/database" doc:"a direct connection for migrations, when DATABASE_URL goes through a pooler in transaction mode"`
	Plaintext bool   `env:"UAOL_DATABASE_PLAINTEXT" want:"true or false" doc:"as for DATABASE_URL"`
}

// Check reads the URL as DATABASE_URL is read.
func (c *Config) Check() error {
	if err := c.Process.Check(); err != nil || c.URL == "" {
		return err
	}
	to := postgres.Config{Process: c.Process, URL: c.URL, PoolMax: 1, Plaintext: c.Plaintext}
	err := to.Check()
	var fault *config.Fault
	if errors.As(err, &fault) {
		fault.Variable = "UAOL_MIGRATE_DATABASE_URL"
		return fault
	}
	if to.Pooled() {
		return &config.Fault{Variable: "UAOL_MIGRATE_DATABASE_URL", Value: c.URL, Want: "a direct connection, or a pooler's in session mode"}
	}
	c.URL = to.URL
	return err
}

// Address is the URL to migrate over: the one of its own, or the database's. A pooler
// in transaction mode would keep a migration's lock for ever, on a connection that
// is somebody else's by then.
func (c Config) Address(database postgres.Config) (string, error) {
	switch {
	case c.URL != "":
		return database.Filled(c.URL)
	case database.Pooled():
		return "", &config.Fault{Variable: "UAOL_MIGRATE_DATABASE_URL", Want: "a direct connection, because DATABASE_URL leads through a pooler in transaction mode"}
	}
	return database.Current()
}

// AtStart reports whether the start applies migrations.
func (c Config) AtStart() bool {
	if c.Migrate != nil {
		return *c.Migrate
	}
	return !c.Production()
}

// Set is the services of this process that own tables.
type Set []services.Name

// Module provides the Current state of this process.
var Module = fx.Module("migrations",
	config.For[Config](),
	fx.Provide(NewCurrent, checks),
)

// Current is the state of this process's tables: what depends on it starts
// after the migrations have run.
type Current struct {
	owners Set
	pool   *pgxpool.Pool
}

type params struct {
	fx.In
	Config    Config
	Database  postgres.Config
	Pool      *pgxpool.Pool
	Owners    Set
	Log       *zap.Logger
	Lifecycle fx.Lifecycle
}

// NewCurrent ties the migrations to the process's start, after the pool's.
func NewCurrent(p params) *Current {
	current := &Current{owners: p.Owners, pool: p.Pool}
	log := p.Log.Named("migrations")
	p.Lifecycle.Append(fx.StartHook(func(ctx context.Context) error {
		if len(p.Owners) == 0 {
			return nil
		}
		if !p.Config.AtStart() {
			if states, err := Status(ctx, p.Pool, p.Owners...); err == nil && Behind(states) != "" {
				log.Warn("migrations are missing, run `uaol migrate up`", zap.String("behind", Behind(states)))
			}
			return nil
		}
		if states, err := Status(ctx, p.Pool, p.Owners...); err == nil && Behind(states) == "" {
			log.Info("migrations complete", zap.Int("services", len(states)))
			return nil
		}
		url, err := p.Config.Address(p.Database)
		if err != nil {
			return err
		}
		if url == "" { // the embedded database's
			url = p.Pool.Config().ConnString()
		}
		if err := Up(ctx, url); err != nil {
			return fmt.Errorf("the database's tables could not be brought up to date: %s", postgres.Cause(err))
		}
		states, err := Status(ctx, p.Pool, p.Owners...)
		if err != nil {
			return err
		}
		log.Info("migrations complete", zap.Int("services", len(states)))
		return nil
	}))
	return current
}

// checks contributes readiness: the database answers and its tables are as new
// as this binary.
func checks(current *Current) health.Out {
	return health.Out{Check: health.Check{Name: "database", Run: func(ctx context.Context) error {
		states, err := Status(ctx, current.pool, current.owners...)
		if err != nil {
			return errors.New("the database cannot be reached: " + postgres.Cause(err))
		}
		if behind := Behind(states); behind != "" {
			return errors.New("migrations are missing (run `uaol migrate up`): " + behind)
		}
		return current.pool.Ping(ctx)
	}}}
}
