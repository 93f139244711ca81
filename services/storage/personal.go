package storage

import (
	"context"
	"time"

	"github.com/google/uuid"

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

// Export implements services.Keeper. Contents are fetched one by one, by their ids.
func (s *Service) Export(ctx context.Context, in services.ExportRequest) (services.Part, error) {
	return services.PartOf(in, "files", func(h services.Holding, after *place) ([]File, error) {
		if after == nil {
			after = &place{}
		}
		return s.repository.held(ctx, h, *after, exportPage)
	}, func(f File) place { return place{f.CreatedAt.Time, f.ID} })
}

// Erase implements services.Keeper. The content goes before its row: what is
// cut short is found again by the row.
func (s *Service) Erase(ctx context.Context, who services.Person) error {
	for {
		ids, err := s.repository.some(ctx, who.Organizations, eraseBatch)
		if err != nil || len(ids) == 0 {
			if err == nil && !who.Guest {
				err = s.repository.disown(ctx, who.Account)
			}
			return err
		}
		for _, id := range ids {
			if err := s.blobs.Delete(ctx, id.String()); err != nil {
				return err
			}
			if err := s.repository.delete(ctx, id); err != nil {
				return err
			}
		}
	}
}

func (r *Repository) held(ctx context.Context, h services.Holding, after place, limit int) ([]File, error) {
	return postgres.All[File](ctx, r.pool, `
		SELECT `+columns+` FROM uaol_storage.files
		WHERE organization_id = $1 AND ($2::uuid IS NULL OR account_id = $2::uuid) AND (created_at, file_id) > ($3::timestamptz, $4::uuid)
		ORDER BY created_at, file_id LIMIT $5`, h.Organization, h.Maker, after.At, after.ID, limit)
}

// some gives ids of files of the organisations, in any order.
func (r *Repository) some(ctx context.Context, organizations []uuid.UUID, limit int) ([]uuid.UUID, error) {
	return postgres.Values[uuid.UUID](ctx, r.pool, `
		SELECT file_id FROM uaol_storage.files WHERE organization_id = ANY ($1::text[]::uuid[]) LIMIT $2`,
		postgres.UUIDs(organizations), limit)
}

// disown makes files in other organisations nobody's: they are those
// organisations' own.
func (r *Repository) disown(ctx context.Context, account uuid.UUID) error {
	_, err := postgres.Exec(ctx, r.pool, `UPDATE uaol_storage.files SET account_id = $2 WHERE account_id = $1`, account, uuid.Nil)
	return err
}
