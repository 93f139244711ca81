package storage

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/events"
	"uaol/providers/postgres"
	"uaol/services"
	"uaol/services/storage/library"
)

// content is what one or several files contain, as its row says.
type content struct {
	ID           uuid.UUID `db:"content_id"`
	Organization uuid.UUID `db:"organization_id"`
	Store        string    `db:"store"`
	Secret       []byte    `db:"secret"` // sealed
	Size         *int64    `db:"size"`
}

const contentColumns = `content_id, organization_id, store, secret, size`

// coming notes a content before its first byte is stored.
func (r *Repository) coming(ctx context.Context, c content) error {
	_, err := postgres.Exec(ctx, r.pool, `
		INSERT INTO uaol_storage.contents (content_id, organization_id, store, state, secret) VALUES ($1, $2, $3, 'coming', $4)`,
		c.ID, c.Organization, c.Store, c.Secret)
	return err
}

func (r *Repository) content(ctx context.Context, id uuid.UUID) (content, error) {
	return postgres.One[content](ctx, r.pool, `SELECT `+contentColumns+` FROM uaol_storage.contents WHERE content_id = $1 AND state <> 'leaving'`, id)
}

// Usage is what an organisation has stored.
type Usage struct {
	Bytes int64 `json:"bytes" db:"bytes" doc:"of contents; those of equal files count once"`
	Files int64 `json:"files" db:"files"`
	Limit int64 `json:"limit" db:"-" doc:"bytes that the plan allows; 0 for any number"`
}

func (r *Repository) usage(ctx context.Context, organization uuid.UUID) (Usage, error) {
	used, err := postgres.One[Usage](ctx, r.pool, `SELECT bytes, files FROM uaol_storage.usage WHERE organization_id = $1`, organization)
	if services.Is(err, services.NotFound) {
		err = nil
	}
	return used, err
}

// locked is an organisation's usage for who is about to change it: whatever adds or
// removes its files waits here for whoever does so at the same time.
func (r *Repository) locked(ctx context.Context, tx pgx.Tx, organization uuid.UUID) (Usage, error) {
	if _, err := postgres.Exec(ctx, tx, `INSERT INTO uaol_storage.usage (organization_id) VALUES ($1) ON CONFLICT DO NOTHING`, organization); err != nil {
		return Usage{}, err
	}
	return postgres.One[Usage](ctx, tx, `SELECT bytes, files FROM uaol_storage.usage WHERE organization_id = $1 FOR UPDATE`, organization)
}

// keep makes a file's row and settles what its content is: the one that came with it,
// or an equal one that is kept already; then the other is leaving. limit is the most
// bytes that the organisation may have, 0 for any number. Kinds: Forbidden over the
// limit, Conflict when the content is not coming any more or the file is there.
func (r *Repository) keep(ctx context.Context, account uuid.UUID, f File, limit int64) (kept File, spare bool, err error) {
	err = postgres.InTx(ctx, r.pool, func(tx pgx.Tx) error {
		used, err := r.locked(ctx, tx, f.Organization)
		if err != nil {
			return err
		}
		row, added := f, int64(0)
		equal, err := postgres.Value[uuid.UUID](ctx, tx, `
			SELECT content_id FROM uaol_storage.contents WHERE organization_id = $1 AND sha256 = $2 AND state = 'kept'`, f.Organization, f.SHA256)
		switch {
		case err == nil:
			spare = true
			err = moves(ctx, tx, `UPDATE uaol_storage.contents SET state = 'leaving' WHERE content_id = $1 AND state = 'coming'`, f.Content)
			row.Content = equal
		case services.Is(err, services.NotFound):
			spare, added = false, f.Size
			if limit > 0 && used.Bytes+f.Size > limit {
				return overLimit(used.Bytes, limit)
			}
			err = moves(ctx, tx, `UPDATE uaol_storage.contents SET state = 'kept', sha256 = $2, size = $3 WHERE content_id = $1 AND state = 'coming'`,
				f.Content, f.SHA256, f.Size)
			if err == nil && readable(f) {
				err = library.Enter(ctx, tx, f.Content, f.Organization, f.Filename)
			}
		}
		if err != nil {
			return err
		}
		if kept, err = r.insert(ctx, tx, account, row); err != nil {
			return err
		}
		if _, err := postgres.Exec(ctx, tx, `DELETE FROM uaol_storage.tickets WHERE file_id = $1`, f.ID); err != nil {
			return err
		}
		_, err = postgres.Exec(ctx, tx, `UPDATE uaol_storage.usage SET bytes = bytes + $2, files = files + 1 WHERE organization_id = $1`, f.Organization, added)
		if err != nil {
			return err
		}
		return r.tell(ctx, tx, events.New("file.stored", f.ID.String(), f.Organization, map[string]any{"contentType": f.ContentType, "size": f.Size, "sha256": f.SHA256}))
	})
	return kept, spare, err
}

// moves is a change of a content's state that somebody else may have been quicker with.
func moves(ctx context.Context, tx pgx.Tx, sql string, args ...any) error {
	n, err := postgres.Exec(ctx, tx, sql, args...)
	if err == nil && n == 0 {
		err = services.Errorf(services.Conflict, "The upload took too long; upload the file again")
	}
	return err
}

func overLimit(used, limit int64) error {
	return services.Errorf(services.Forbidden, "The plan's storage is full: %s of %s are used; remove files or take a larger plan", humanBytes(used), humanBytes(limit)).WithCode(codeQuota)
}

const codeQuota = "QUOTA_EXCEEDED"

// drop removes a file's row; last says which content goes with it, if no other file
// has it. Kind NotFound.
func (r *Repository) drop(ctx context.Context, organization, id uuid.UUID) (last *content, err error) {
	err = postgres.InTx(ctx, r.pool, func(tx pgx.Tx) error {
		if _, err := r.locked(ctx, tx, organization); err != nil {
			return err
		}
		of, err := postgres.Value[uuid.UUID](ctx, tx, `DELETE FROM uaol_storage.files WHERE file_id = $1 AND organization_id = $2 RETURNING content_id`, id, organization)
		if err != nil {
			return err
		}
		gone, err := postgres.All[content](ctx, tx, `
			UPDATE uaol_storage.contents SET state = 'leaving' WHERE content_id = $1
				AND NOT EXISTS (SELECT 1 FROM uaol_storage.files WHERE content_id = $1) RETURNING `+contentColumns, of)
		if err != nil {
			return err
		}
		freed := int64(0)
		if last = nil; len(gone) == 1 {
			last, freed = &gone[0], *gone[0].Size
		}
		_, err = postgres.Exec(ctx, tx, `UPDATE uaol_storage.usage SET bytes = bytes - $2, files = files - 1 WHERE organization_id = $1`, organization, freed)
		if err != nil {
			return err
		}
		return r.tell(ctx, tx, events.New("file.removed", id.String(), organization, nil))
	})
	return last, err
}

// leaves marks a content that came to nothing, unless a file has it: then it is kept.
func (r *Repository) leaves(ctx context.Context, id uuid.UUID) (kept bool, err error) {
	if _, err := postgres.Exec(ctx, r.pool, `UPDATE uaol_storage.contents SET state = 'leaving' WHERE content_id = $1 AND state = 'coming'`, id); err != nil {
		return false, err
	}
	return postgres.Value[bool](ctx, r.pool, `SELECT EXISTS (SELECT 1 FROM uaol_storage.contents WHERE content_id = $1 AND state = 'kept')`, id)
}

// forget removes a content's row once the store has removed it.
func (r *Repository) forget(ctx context.Context, id uuid.UUID) error {
	_, err := postgres.Exec(ctx, r.pool, `DELETE FROM uaol_storage.contents WHERE content_id = $1 AND state = 'leaving'`, id)
	return err
}

// unsettled gives contents to remove: those that are leaving, and those that have been
// coming for longer than an upload takes, which are leaving from now on.
func (r *Repository) unsettled(ctx context.Context, limit int) ([]content, error) {
	if _, err := postgres.Exec(ctx, r.pool, `
		UPDATE uaol_storage.contents c SET state = 'leaving' WHERE state = 'coming' AND created_at < now() - interval '24 hours'
			AND NOT EXISTS (SELECT 1 FROM uaol_storage.tickets t WHERE t.content_id = c.content_id AND t.expires_at > now() - interval '24 hours')`); err != nil {
		return nil, err
	}
	return postgres.All[content](ctx, r.pool, `
		SELECT `+contentColumns+` FROM uaol_storage.contents WHERE state = 'leaving' AND created_at < now() - interval '1 minute' ORDER BY created_at LIMIT $1`, limit)
}
