package library

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"uaol/providers/postgres"
	"uaol/services/storage/documents"
)

// Repository is the library's SQL.
type Repository struct {
	pool     *pgxpool.Pool
	pgvector atomic.Pointer[bool] // whether the database has it, once that is known
}

// NewRepository makes a Repository.
func NewRepository(pool *pgxpool.Pool) *Repository { return &Repository{pool: pool} }

// Enter notes, in the transaction that keeps a content, that it is to be read.
func Enter(ctx context.Context, tx pgx.Tx, content, organization uuid.UUID, filename string) error {
	_, err := postgres.Exec(ctx, tx, `
		INSERT INTO uaol_storage.documents (content_id, organization_id, filename, status) VALUES ($1, $2, $3, 'waiting')`, content, organization, filename)
	return err
}

// record is what is known of a document, without its text.
type record struct {
	Content      uuid.UUID `db:"content_id"`
	Organization uuid.UUID `db:"organization_id"`
	Status       Status    `db:"status"`
	Done         int       `db:"pages_done"`
	Total        int       `db:"pages_total"`
	Kind         string    `db:"kind"`
	Pages        int       `db:"pages"`
	Rows         int       `db:"rows"`
	Columns      int       `db:"columns"`
	Bytes        int       `db:"bytes"`
	Passages     int       `db:"passages"`
	Terms        int64     `db:"terms"`
	Warnings     []string  `db:"warnings"`
	Code         string    `db:"code"`
	Error        string    `db:"error"`
	Model        string    `db:"model"`
}

const recordColumns = `content_id, organization_id, status, pages_done, pages_total, kind, pages, rows, columns,
	octet_length(content) AS bytes, passages, terms, warnings, code, error, model`

func (r *Repository) records(ctx context.Context, contents []uuid.UUID) ([]record, error) {
	return postgres.All[record](ctx, r.pool, `SELECT `+recordColumns+` FROM uaol_storage.documents WHERE content_id = ANY ($1::text[]::uuid[])`, postgres.UUIDs(contents))
}

// text gives the beginning of what a document says, in characters.
func (r *Repository) text(ctx context.Context, content uuid.UUID, most int) (string, error) {
	return postgres.Value[string](ctx, r.pool, `SELECT left(content, $2) FROM uaol_storage.documents WHERE content_id = $1`, content, most)
}

// again lets a document be read once more, if it is not being read; what was read of
// it stays until then. False when it is no document.
func (r *Repository) again(ctx context.Context, content uuid.UUID, filename string) (bool, error) {
	n, err := postgres.Exec(ctx, r.pool, `
		UPDATE uaol_storage.documents SET status = CASE WHEN status IN ('read', 'failed') THEN 'waiting' ELSE status END,
			attempts = CASE WHEN status IN ('read', 'failed') THEN 0 ELSE attempts END, filename = $2, updated_at = now()
		WHERE content_id = $1`, content, filename)
	return n > 0, err
}

// claimed is a document that somebody is to read.
type claimed struct {
	Content      uuid.UUID `db:"content_id"`
	Organization uuid.UUID `db:"organization_id"`
	Filename     string    `db:"filename"`
	Attempts     int       `db:"attempts"`
	Claim        uuid.UUID `db:"claim"`
}

// leaseTime is for how long a document is its reader's, from each sign of life.
const leaseTime = time.Minute

const lease = `now() + interval '1 minute'`

// claim gives the document that has waited longest, also one whose reader has died;
// kind NotFound when none waits.
func (r *Repository) claim(ctx context.Context) (claimed, error) {
	return postgres.One[claimed](ctx, r.pool, `
		UPDATE uaol_storage.documents SET status = 'reading', attempts = attempts + 1, claim = $1, lease_until = `+lease+`,
			pages_done = 0, pages_total = 0, updated_at = now()
		WHERE content_id = (
			SELECT content_id FROM uaol_storage.documents
			WHERE status IN ('waiting', 'reading') AND (status = 'waiting' OR lease_until < now())
			ORDER BY created_at LIMIT 1 FOR UPDATE SKIP LOCKED)
		RETURNING content_id, organization_id, filename, attempts, claim`, uuid.New())
}

// renew is a reader's sign of life; false when the document is its own no more.
func (r *Repository) renew(ctx context.Context, c claimed, done, total int) (bool, error) {
	n, err := postgres.Exec(ctx, r.pool, `
		UPDATE uaol_storage.documents SET lease_until = `+lease+`, pages_done = $3, pages_total = $4, updated_at = now()
		WHERE content_id = $1 AND claim = $2 AND status = 'reading'`, c.Content, c.Claim, done, total)
	return n > 0, err
}

// giveBack lets another reader have the document, at once or when the lease is over:
// it is not the document's fault.
func (r *Repository) giveBack(ctx context.Context, c claimed, atOnce bool) error {
	_, err := postgres.Exec(ctx, r.pool, `
		UPDATE uaol_storage.documents SET attempts = attempts - 1, status = CASE WHEN $3 THEN 'waiting' ELSE status END, updated_at = now()
		WHERE content_id = $1 AND claim = $2 AND status = 'reading'`, c.Content, c.Claim, atOnce)
	return err
}

func (r *Repository) fail(ctx context.Context, c claimed, code, message string) error {
	_, err := postgres.Exec(ctx, r.pool, `
		UPDATE uaol_storage.documents SET status = 'failed', code = $3, error = $4, updated_at = now()
		WHERE content_id = $1 AND claim = $2 AND status = 'reading'`, c.Content, c.Claim, code, message)
	return err
}

// finish stores what was read, unless the document is another's by now or gone: passages
// first, some at a time, so that nobody waits for all of them, and then that it is read.
func (r *Repository) finish(ctx context.Context, c claimed, doc documents.Document, text string) error {
	if _, err := postgres.Exec(ctx, r.pool, `DELETE FROM uaol_storage.passages WHERE content_id = $1`+stillOurs, c.Content, c.Claim); err != nil {
		return err
	}
	count, total := 0, int64(0)
	for batch := range inBatches(passagesOf(doc), insertBatch) {
		terms, held, err := r.insert(ctx, c, count, batch)
		if err != nil || !held {
			return err
		}
		count, total = count+len(batch), total+terms
	}
	warnings := doc.Warnings
	if warnings == nil {
		warnings = []string{}
	}
	_, err := postgres.Exec(ctx, r.pool, `
		UPDATE uaol_storage.documents SET status = 'read', kind = $3, pages = $4, rows = $5, columns = $6, content = $7, warnings = $8::text[],
			passages = $9, terms = $10, pages_done = pages_total, code = '', error = '', model = '', making = '', lease_until = NULL, updated_at = now()
		WHERE content_id = $1 AND claim = $2 AND status = 'reading'`,
		c.Content, c.Claim, doc.Type, doc.Pages, doc.Rows, doc.Columns, postgres.Text(text), warnings, count, total)
	return err
}

// stillOurs holds for a document that the reader $2 has claimed.
const stillOurs = ` AND EXISTS (SELECT 1 FROM uaol_storage.documents d WHERE d.content_id = $1 AND d.claim = $2 AND d.status = 'reading')`
