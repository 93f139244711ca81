package postgres

import (
	"context"
	"net"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Elsewhere makes a process's pool whose host's name leads to another address.
func Elsewhere(ctx context.Context, cfg Config, network, address string) (*pgxpool.Pool, error) {
	pool := cfg.parsed.Copy()
	pool.ConnConfig.LookupFunc = func(context.Context, string) ([]string, error) { return []string{"192.0.2.1"}, nil }
	pool.ConnConfig.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	c := &connections{limits: cfg.limits()}
	c.route.Store(int32(cfg.route))
	equip(pool, c)
	return pgxpool.NewWithConfig(ctx, pool)
}

// Route names what a pool found to be between it and the server.
func Route(pool *pgxpool.Pool) string { return connectionsOf(pool).found().String() }

// Settle is settle, for tests.
var Settle = settle
