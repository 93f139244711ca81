package billing

import "github.com/jackc/pgx/v5/pgxpool"

// Repository is billing's SQL, by subject: accounts.go, journal.go, holds.go,
// settlements.go, releases.go, caps.go and what stands beside the use cases.
type Repository struct{ pool *pgxpool.Pool }

// NewRepository makes a Repository.
func NewRepository(pool *pgxpool.Pool) *Repository { return &Repository{pool: pool} }
