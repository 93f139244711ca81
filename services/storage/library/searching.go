package library

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"uaol/providers/postgres"
	"uaol/services"
)

// Question is what somebody looks for in documents.
type Question struct {
	Query string
	Files []uuid.UUID // nil for all of the caller's
	Limit int
}

// Search gives the passages of the caller's documents that answer a question, the best
// first: by their words and, where there is a model for vectors, by their meaning.
func (s *Service) Search(ctx context.Context, caller services.Caller, in Question) ([]Passage, error) {
	where := scope{organization: caller.Organization}
	var files []File
	var err error
	if in.Files != nil {
		if files, err = s.found(ctx, caller, in.Files); err != nil {
			return nil, err
		}
		where.only = contentsOf(files)
	}
	found, err := s.search(ctx, where, in.Query, in.Limit)
	if err != nil {
		return nil, err
	}
	if in.Files == nil {
		if files, err = s.repository.filesOf(ctx, caller.Organization, found); err != nil {
			return nil, err
		}
	}
	passages := make([]Passage, 0, len(found))
	for _, p := range found {
		// One whose last file has just been removed has none.
		if at := slices.IndexFunc(files, func(f File) bool { return f.Content == p.Content }); at >= 0 {
			passages = append(passages, p.of(files[at]))
		}
	}
	return passages, nil
}

type fileRow struct {
	ID       uuid.UUID `db:"file_id"`
	Content  uuid.UUID `db:"content_id"`
	Filename string    `db:"filename"`
}

// filesOf gives, for each content, the organisation's newest file that has it.
func (r *Repository) filesOf(ctx context.Context, organization uuid.UUID, found []stored) ([]File, error) {
	contents := make([]uuid.UUID, len(found))
	for i, p := range found {
		contents[i] = p.Content
	}
	rows, err := postgres.All[fileRow](ctx, r.pool, `
		SELECT DISTINCT ON (content_id) file_id, content_id, filename FROM uaol_storage.files
		WHERE organization_id = $1 AND content_id = ANY ($2::text[]::uuid[]) ORDER BY content_id, created_at DESC, file_id DESC`, organization, postgres.UUIDs(contents))
	files := make([]File, len(rows))
	for i, row := range rows {
		files[i] = File{row.ID, organization, row.Content, row.Filename}
	}
	return files, err
}
