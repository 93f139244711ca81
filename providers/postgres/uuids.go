package postgres

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	pgxuuid "github.com/vgarvardt/pgx-google-uuid/v5"
)

// KnowUUIDs lets a new connection send ids as 16 bytes; without it each goes
// through its text and back, which a quick request feels.
func KnowUUIDs(_ context.Context, conn *pgx.Conn) error {
	pgxuuid.Register(conn.TypeMap())
	return nil
}

// UUIDs are ids as a parameter that is cast, $1::text[]::uuid[]: through a
// pooler a parameter's type is not known beforehand.
func UUIDs(ids []uuid.UUID) []string {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = id.String()
	}
	return texts
}
