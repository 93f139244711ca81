package storage

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/postgres"
	"uaol/services"
)

const (
	exportPage = 200
	eraseBatch = 200
)

type place struct {
	At time.Time
	ID uuid.UUID
}

// Export is a part of what services.Keeper hands out. Contents are fetched one by one, by their ids.
func (s *Service) Export(ctx context.Context, in services.ExportRequest) (services.Part, error) {
	return services.PartOf(in, "files", func(h services.Holding, after *place) ([]File, error) {
		if after == nil {
			after = &place{}
		}
		return s.repository.held(ctx, h, *after, exportPage)
	}, func(f File) place { return place{f.CreatedAt.Time, f.ID} })
}

// Erase is a part of services.Keeper's. What is cut short is found again: files by their
// rows, contents by theirs.
func (s *Service) Erase(ctx context.Context, who services.Person) error {
	for {
		files, err := s.repository.some(ctx, who.Organizations, eraseBatch)
		if err != nil {
			return err
		}
		if len(files) == 0 {
			break
		}
		for _, f := range files {
			if err := s.remove(ctx, f.Organization, f.ID); err != nil && !services.Is(err, services.NotFound) {
				return err
			}
		}
	}
	contents, err := s.repository.disband(ctx, who.Organizations)
	if err != nil {
		return err
	}
	for _, c := range contents {
		if err := s.discard(ctx, c); err != nil {
			return err
		}
	}
	if err := s.repository.cease(ctx, who.Organizations); err != nil || who.Guest {
		return err
	}
	return s.repository.disown(ctx, who.Account)
}

func (r *Repository) held(ctx context.Context, h services.Holding, after place, limit int) ([]File, error) {
	return allLocated(postgres.All[File](ctx, r.pool, `
		SELECT `+columns+` FROM uaol_storage.files
		WHERE organization_id = $1 AND ($2::uuid IS NULL OR account_id = $2::uuid) AND (created_at, file_id) > ($3::timestamptz, $4::uuid)
		ORDER BY created_at, file_id LIMIT $5`, h.Organization, h.Maker, after.At, after.ID, limit))
}

// owned is a file and whose it is.
type owned struct {
	ID           uuid.UUID `db:"file_id"`
	Organization uuid.UUID `db:"organization_id"`
}

// some gives files of the organisations, in any order.
func (r *Repository) some(ctx context.Context, organizations []uuid.UUID, limit int) ([]owned, error) {
	return postgres.All[owned](ctx, r.pool, `
		SELECT file_id, organization_id FROM uaol_storage.files WHERE organization_id = ANY ($1::text[]::uuid[]) LIMIT $2`,
		postgres.UUIDs(organizations), limit)
}

// disband lets all contents of organisations leave, also those that are coming.
func (r *Repository) disband(ctx context.Context, organizations []uuid.UUID) ([]content, error) {
	return postgres.All[content](ctx, r.pool, `
		UPDATE uaol_storage.contents SET state = 'leaving' WHERE organization_id = ANY ($1::text[]::uuid[]) RETURNING `+contentColumns, postgres.UUIDs(organizations))
}

// cease removes what else is known of organisations.
func (r *Repository) cease(ctx context.Context, organizations []uuid.UUID) error {
	return postgres.InTx(ctx, r.pool, func(tx pgx.Tx) error {
		for _, sql := range []string{
			`DELETE FROM uaol_storage.tickets WHERE organization_id = ANY ($1::text[]::uuid[])`,
			`DELETE FROM uaol_storage.usage WHERE organization_id = ANY ($1::text[]::uuid[]) AND files = 0`,
		} {
			if _, err := postgres.Exec(ctx, tx, sql, postgres.UUIDs(organizations)); err != nil {
				return err
			}
		}
		return nil
	})
}

// disown makes files in other organisations nobody's: they are those
// organisations' own.
func (r *Repository) disown(ctx context.Context, account uuid.UUID) error {
	_, err := postgres.Exec(ctx, r.pool, `UPDATE uaol_storage.files SET account_id = $2 WHERE account_id = $1`, account, uuid.Nil)
	if err == nil {
		_, err = postgres.Exec(ctx, r.pool, `UPDATE uaol_storage.tickets SET account_id = $2 WHERE account_id = $1`, account, uuid.Nil)
	}
	return err
}
