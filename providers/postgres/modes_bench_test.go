package postgres_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"uaol/providers/postgres"
	"uaol/providers/postgres/pgtest"
)

// BenchmarkModes measures the ways of sending statements that work through pgbouncer in
// transaction mode: a row by its key, and a hundred.
func BenchmarkModes(b *testing.B) {
	server := pgtest.Start(b, nil)
	server.Do(table, `INSERT INTO things SELECT i, 'number ' || i FROM generate_series(1, 1000) i`)
	url := server.Pooler("postgres", "x", "")
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeExec, pgx.QueryExecModeCacheDescribe} {
		cfg, err := pgxpool.ParseConfig(url)
		require.NoError(b, err)
		cfg.ConnConfig.DefaultQueryExecMode, cfg.MaxConns = mode, 10
		pool, err := pgxpool.NewWithConfig(b.Context(), cfg)
		require.NoError(b, err)
		defer pool.Close()
		for name, count := range map[string]int64{"row": 1, "rows": 100} {
			b.Run(mode.String()+"/"+name, func(b *testing.B) {
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						all, err := postgres.All[row](b.Context(), pool, `SELECT id, name FROM things WHERE id >= $1 AND id < $1 + $2`, int64(7), count)
						if err != nil || len(all) != int(count) {
							b.Error(len(all), err)
						}
					}
				})
			})
		}
	}
}
