package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/fx"
	"go.uber.org/zap"

	"uaol/providers/config"
	"uaol/providers/postgres/dialect"
	"uaol/providers/postgres/embedded"
)

// Dialer opens the pool's connections; tests count with one of their own.
type Dialer func(ctx context.Context, network, address string) (net.Conn, error)

// Ping asks the server for its version, in the words of version(). Tests of
// the wiring replace it; nothing else does.
type Ping func(ctx context.Context, pool *pgxpool.Pool) (version string, err error)

// Module provides the pool and, when no DATABASE_URL is set, the embedded
// server behind it.
var Module = fx.Module("postgres",
	config.For[Config](),
	fx.Supply(Dialer((&net.Dialer{Timeout: 5 * time.Second, KeepAlive: time.Minute}).DialContext)),
	fx.Supply(Ping(askVersion)),
	fx.Provide(newEmbedded, NewPool),
)

// newEmbedded gives nil when the database is somebody else's.
func newEmbedded(cfg Config, _ config.Checked, carry embedded.Carry, log *zap.Logger) (*embedded.Server, error) {
	if !cfg.Embedded() {
		return nil, nil
	}
	return embedded.New(EmbeddedConfig(cfg, carry), log)
}

// EmbeddedConfig is where this process's own PostgreSQL lives, and what takes its data
// over to a later release.
func EmbeddedConfig(cfg Config, carry embedded.Carry) embedded.Config {
	return embedded.Config{DataDir: cfg.DataDir, Archive: cfg.Archive, Carry: carry}
}

// PoolParams is what a pool can't exist without. Checked is among them: every
// config of the process has been read and found good before a pool is made.
type PoolParams struct {
	fx.In
	Config     Config
	Checked    config.Checked
	Env        *config.Environment
	Embedded   *embedded.Server
	Dialer     Dialer
	Ping       Ping
	Metrics    *prometheus.Registry `optional:"true"`
	Log        *zap.Logger
	Lifecycle  fx.Lifecycle
	Shutdowner fx.Shutdowner
	Tracers    []pgx.QueryTracer `group:"statements"` // who else sees what is asked of the database
}

// NewPool makes the pool. It dials nothing before the process starts: until
// then a gate holds every connection back.
func NewPool(p PoolParams) (*pgxpool.Pool, error) {
	log := p.Log.Named("postgres")
	announce(log, p.Env, p.Config)
	cfg := p.Config.parsed
	if p.Embedded != nil {
		var err error
		if cfg, err = pgxpool.ParseConfig(p.Embedded.URL()); err != nil {
			return nil, fmt.Errorf("embedded database: %w", err)
		}
	}
	cfg = cfg.Copy()
	cfg.MaxConns, cfg.MinConns = clamp(log, p.Config)
	cfg.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		return p.Dialer(ctx, network, address)
	}
	if cfg.ConnConfig.RuntimeParams["application_name"] == "" {
		cfg.ConnConfig.RuntimeParams["application_name"] = "uaol"
	}
	gate := make(chan struct{})
	connections := &connections{limits: p.Config.limits(), gate: gate, log: log}
	if p.Embedded != nil {
		connections.route.Store(int32(direct))
	} else {
		connections.password = passwordOf(p.Config, p.Env)
		connections.route.Store(int32(p.Config.route))
	}
	equip(cfg, connections, append([]pgx.QueryTracer{tracer{}}, p.Tracers...)...)
	address := addressOf(cfg.ConnConfig)
	stopping := make(chan struct{})
	pool, err := pgxpool.NewWithConfig(context.Background(), cfg)
	if err != nil {
		return nil, fmt.Errorf("database pool: %w", err)
	}
	if p.Metrics != nil {
		p.Metrics.MustRegister(figures{pool})
	}
	log.Info("database pool created", zap.String("host", address.Host), zap.String("database", address.Database),
		zap.Int32("max", cfg.MaxConns))
	p.Lifecycle.Append(fx.Hook{
		OnStart: func(ctx context.Context) error {
			if p.Embedded != nil {
				if err := p.Embedded.Start(ctx); err != nil {
					return err
				}
			}
			close(gate)
			version, err := pingUntil(ctx, pool, p.Ping, p.Config.Ping)
			if err != nil {
				closePool(ctx, pool)
				if p.Embedded != nil {
					err = errors.Join(err, p.Embedded.Stop(context.WithoutCancel(ctx)))
				}
				return fmt.Errorf("DATABASE_URL: no connection to %s, database %s, within %s: %s",
					address.Host, address.Database, p.Config.Ping, Cause(err))
			}
			if p.Embedded != nil {
				go endWith(p.Embedded.Done(), stopping, p.Shutdowner)
			}
			log.Info("database connection established", zap.String("kind", dialect.Name(version)),
				zap.String("host", address.Host), zap.String("database", address.Database))
			return nil
		},
		OnStop: func(ctx context.Context) error {
			close(stopping)
			closePool(ctx, pool)
			if p.Embedded != nil {
				return p.Embedded.Stop(ctx)
			}
			return nil
		},
	})
	return pool, nil
}

// endWith stops the process when its own PostgreSQL ends by itself: whoever
// runs the process starts both again.
func endWith(ended, stopping <-chan struct{}, shutdowner fx.Shutdowner) {
	select {
	case <-ended:
		_ = shutdowner.Shutdown(fx.ExitCode(1))
	case <-stopping:
	}
}

// announce logs the seed's first indicators: the file was read, the module
// starts after it, and the database's address is set.
func announce(log *zap.Logger, env *config.Environment, cfg Config) {
	if env.File != "" {
		log.Info(".env loaded", zap.String("file", env.File), zap.Int("variables", env.Count()))
	} else {
		log.Info(".env not present, environment only")
	}
	log.Info("database module starting")
	if cfg.Embedded() {
		log.Info("DATABASE_URL not set, using the embedded database", zap.String("directory", cfg.DataDir))
	} else {
		log.Info("DATABASE_URL set", zap.String("source", env.Source("DATABASE_URL")))
	}
}

func clamp(log *zap.Logger, cfg Config) (most, least int32) {
	most, least = cfg.PoolMax, cfg.PoolMin
	if most > mostConnections {
		log.Warn("DATABASE_POOL_MAX is too large, taking the most", zap.Int32("holds", most), zap.Int32("taken", mostConnections))
		most = mostConnections
	}
	return most, min(least, most)
}

func askVersion(ctx context.Context, pool *pgxpool.Pool) (string, error) {
	var version string
	err := pool.QueryRow(ctx, "SELECT version()").Scan(&version)
	return version, err
}

// pingUntil tries with growing pauses until the database answers, its deadline
// passes, or the server refuses us for a reason that waiting does not mend.
func pingUntil(ctx context.Context, pool *pgxpool.Pool, ping Ping, deadline time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	var last error
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		version, err := ping(ctx, pool)
		if err == nil {
			return version, nil
		}
		if last == nil || ctx.Err() == nil {
			last = err // later errors only say that time ran out
		}
		if permanent(err) {
			return "", err
		}
		select {
		case <-ctx.Done():
			return "", last
		case <-time.After(pause/2 + rand.N(pause/2)):
		}
	}
}

// closePool waits for borrowed connections, but not beyond its context.
func closePool(ctx context.Context, pool *pgxpool.Pool) {
	done := make(chan struct{})
	go func() { pool.Close(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// Open makes a pool for a command, which has no graph; the caller closes it. Commands
// look through whole tables: their statements are bound by no time.
func Open(ctx context.Context, url string) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errDown(err)
	}
	Equip(cfg)
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, errDown(err)
	}
	return pool, nil
}
