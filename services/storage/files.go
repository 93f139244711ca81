package storage

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"uaol/providers/events"
	"uaol/providers/postgres"
	"uaol/services"
)

// File is what is known of a stored file.
type File struct {
	ID           uuid.UUID     `json:"fileId" db:"file_id"`
	Organization uuid.UUID     `json:"-" db:"organization_id"`
	Content      uuid.UUID     `json:"-" db:"content_id"`
	Filename     string        `json:"filename" db:"filename"`
	ContentType  string        `json:"contentType" db:"content_type" doc:"as its content looks, whatever was said when it was uploaded"`
	Size         int64         `json:"size" db:"size" doc:"bytes"`
	SHA256       string        `json:"sha256" db:"sha256"`
	URL          string        `json:"url" db:"-" doc:"a path on this host, for the file's owner"`
	CreatedAt    services.Time `json:"createdAt" db:"created_at"`
	Repeated     bool          `json:"-" db:"-"` // it was there already: the same upload, sent again
}

// pathOf is where a file is fetched.
func pathOf(id uuid.UUID) string { return "/uploads/" + id.String() }

// Repository is storage's SQL.
type Repository struct {
	pool   *pgxpool.Pool
	outbox events.Outbox
	told   bool // there is a broker, and so somebody to tell of files
}

// NewRepository makes a Repository.
func NewRepository(pool *pgxpool.Pool) *Repository {
	return &Repository{pool: pool, outbox: events.NewOutbox(services.Storage)}
}

// Telling lets it write, or not, what only those outside want to know.
func (r *Repository) Telling(told bool) *Repository {
	r.told = told
	return r
}

// tell appends an event where there is somebody to tell.
func (r *Repository) tell(ctx context.Context, tx postgres.Querier, e events.Event) error {
	if !r.told {
		return nil
	}
	return r.outbox.Append(ctx, tx, e)
}

const columns = `file_id, organization_id, content_id, filename, content_type, size, sha256, created_at`

func (r *Repository) insert(ctx context.Context, q postgres.Querier, account uuid.UUID, f File) (File, error) {
	return located(postgres.One[File](ctx, q, `
		INSERT INTO uaol_storage.files (file_id, organization_id, account_id, content_id, filename, content_type, size, sha256)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING `+columns,
		f.ID, f.Organization, account, f.Content, f.Filename, f.ContentType, f.Size, f.SHA256))
}

func (r *Repository) byID(ctx context.Context, q postgres.Querier, id uuid.UUID) (File, error) {
	return located(postgres.One[File](ctx, q, `SELECT `+columns+` FROM uaol_storage.files WHERE file_id = $1`, id))
}

// owned lists an organisation's files, newest first, before the given one.
func (r *Repository) owned(ctx context.Context, organization uuid.UUID, before time.Time, beforeID uuid.UUID, limit int) ([]File, error) {
	return allLocated(postgres.All[File](ctx, r.pool, `
		SELECT `+columns+` FROM uaol_storage.files
		WHERE organization_id = $1 AND (created_at, file_id) < ($2::timestamptz, $3::uuid)
		ORDER BY created_at DESC, file_id DESC LIMIT $4`, organization, before, beforeID, limit))
}

// rename gives a file another name; kind NotFound.
func (r *Repository) rename(ctx context.Context, organization, id uuid.UUID, name string) (File, error) {
	return located(postgres.One[File](ctx, r.pool, `
		UPDATE uaol_storage.files SET filename = $3 WHERE file_id = $1 AND organization_id = $2 RETURNING `+columns, id, organization, name))
}

// older gives ids of files that were stored before a moment, oldest first.
func (r *Repository) older(ctx context.Context, organization uuid.UUID, days int64, limit int) ([]uuid.UUID, error) {
	return postgres.Values[uuid.UUID](ctx, r.pool, `
		SELECT file_id FROM uaol_storage.files WHERE organization_id = $1 AND created_at < now() - $2::bigint * interval '1 day'
		ORDER BY created_at LIMIT $3`, organization, days, limit)
}

func located(f File, err error) (File, error) {
	f.URL = pathOf(f.ID)
	return f, err
}

func allLocated(files []File, err error) ([]File, error) {
	for i := range files {
		files[i].URL = pathOf(files[i].ID)
	}
	return files, err
}
