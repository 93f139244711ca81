package billing

import "github.com/jackc/pgx/v5/pgxpool"

// Repository is billing's SQL, by subject: accounts.go, journal.go, holds.go,
// settlements.go, releases.go, caps.go and what stands beside the use cases.
type Repository struct {
	pool  *pgxpool.Pool
	meter *meter // nil where nobody counts
	told  bool   // there is a broker, and so somebody to tell of charges
	low   lows
}

// Telling lets it write, or not, what only those outside want to know.
func (r *Repository) Telling(told bool) *Repository {
	r.told = told
	return r
}

// NewRepository makes a Repository.
func NewRepository(pool *pgxpool.Pool) *Repository { return &Repository{pool: pool} }
