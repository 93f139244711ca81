package storage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"uaol/providers/blobs"
	"uaol/providers/postgres"
	"uaol/services"
)

// File is what is known of a stored file.
type File struct {
	ID           uuid.UUID     `json:"fileId" db:"file_id"`
	Organization uuid.UUID     `json:"-" db:"organization_id"`
	Filename     string        `json:"filename" db:"filename"`
	ContentType  string        `json:"contentType" db:"content_type"`
	Size         int64         `json:"size" db:"size"`
	SHA256       string        `json:"sha256" db:"sha256"`
	CreatedAt    services.Time `json:"createdAt" db:"created_at"`
}

// Repository is storage's SQL.
type Repository struct{ pool *pgxpool.Pool }

// NewRepository makes a Repository.
func NewRepository(pool *pgxpool.Pool) *Repository { return &Repository{pool: pool} }

const columns = `file_id, organization_id, filename, content_type, size, sha256, created_at`

func (r *Repository) insert(ctx context.Context, account uuid.UUID, f File) (File, error) {
	return postgres.One[File](ctx, r.pool, `
		INSERT INTO uaol_storage.files (file_id, organization_id, account_id, filename, content_type, size, sha256)
		VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING `+columns,
		f.ID, f.Organization, account, f.Filename, f.ContentType, f.Size, f.SHA256)
}

func (r *Repository) byID(ctx context.Context, id uuid.UUID) (File, error) {
	return postgres.One[File](ctx, r.pool, `SELECT `+columns+` FROM uaol_storage.files WHERE file_id = $1`, id)
}

func (r *Repository) owned(ctx context.Context, organization uuid.UUID, before time.Time, beforeID uuid.UUID, limit int) ([]File, error) {
	return postgres.All[File](ctx, r.pool, `
		SELECT `+columns+` FROM uaol_storage.files
		WHERE organization_id = $1 AND (created_at, file_id) < ($2::timestamptz, $3::uuid)
		ORDER BY created_at DESC, file_id DESC LIMIT $4`, organization, before, beforeID, limit)
}

func (r *Repository) delete(ctx context.Context, id uuid.UUID) error {
	_, err := postgres.Exec(ctx, r.pool, `DELETE FROM uaol_storage.files WHERE file_id = $1`, id)
	return err
}

// Service is storage's use cases.
type Service struct {
	repository *Repository
	blobs      *blobs.Store
}

// NewService makes a Service.
func NewService(repository *Repository, store *blobs.Store) *Service {
	return &Service{repository: repository, blobs: store}
}

// Upload stores a file of the caller's. The content is there before anybody
// can find its row.
func (s *Service) Upload(ctx context.Context, caller services.Caller, filename, contentType string, content []byte) (File, error) {
	sum := sha256.Sum256(content)
	f := File{
		ID: uuid.Must(uuid.NewV7()), Organization: caller.Organization, Filename: filename,
		ContentType: contentType, Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:]),
	}
	if err := s.blobs.Put(ctx, f.ID.String(), content); err != nil {
		return File{}, err
	}
	stored, err := s.repository.insert(ctx, caller.Account, f)
	if err != nil && !services.Is(err, services.Unavailable) { // then nobody knows whether the row is there
		_ = s.blobs.Delete(ctx, f.ID.String())
	}
	return stored, err
}

// Get gives what is known of one of the caller's files.
func (s *Service) Get(ctx context.Context, caller services.Caller, id uuid.UUID) (File, error) {
	f, err := s.repository.byID(ctx, id)
	if services.Is(err, services.NotFound) || (err == nil && !caller.Owns(f.Organization)) {
		return File{}, services.Errorf(services.NotFound, "File not found")
	}
	return f, err
}

// List gives the caller's files, newest first.
func (s *Service) List(ctx context.Context, caller services.Caller, before time.Time, beforeID uuid.UUID, limit int) ([]File, error) {
	return s.repository.owned(ctx, caller.Organization, before, beforeID, limit)
}

// Delete removes one of the caller's files: its row first, so that nobody
// finds a file without content.
func (s *Service) Delete(ctx context.Context, caller services.Caller, id uuid.UUID) error {
	if _, err := s.Get(ctx, caller, id); err != nil {
		return err
	}
	if err := s.repository.delete(ctx, id); err != nil {
		return err
	}
	return s.blobs.Delete(ctx, id.String())
}
