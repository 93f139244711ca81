package library

import (
	"context"
	"iter"
	"slices"
	"strings"

	"github.com/google/uuid"

	"uaol/providers/postgres"
	"uaol/services/storage/documents"
	"uaol/services/storage/retrieval"
)

// insertBatch passages are stored at once.
const insertBatch = 500

func inBatches[T any](all []T, size int) iter.Seq[[]T] { return slices.Chunk(all, size) }

// passagesOf divides what a document says.
func passagesOf(doc documents.Document) []retrieval.Passage {
	sections := make([]retrieval.Section, len(doc.Parts))
	for i, part := range doc.Parts {
		sections[i] = retrieval.Section{Place: retrieval.Place{Page: part.Page, Sheet: part.Sheet, Heading: part.Heading}, Text: part.Text}
	}
	return retrieval.Passages(sections)
}

// insert stores passages with what they are found by, and counts their terms. Lists
// of terms travel as texts with spaces, for there are none within a term, and no
// array of lists of different lengths. held is false when the document is another's.
func (r *Repository) insert(ctx context.Context, c claimed, from int, batch []retrieval.Passage) (total int64, held bool, err error) {
	var pages []int32
	var sheets, headings, contents, terms, aboves, founds []string
	for _, p := range batch {
		of := retrieval.Terms(p.Text)
		above := retrieval.Terms(strings.Join(p.Heading, " ") + " " + c.Filename)
		found := slices.Concat(of, above)
		slices.Sort(found)
		total += int64(len(of))
		pages, sheets, contents = append(pages, int32(p.Page)), append(sheets, p.Sheet), append(contents, p.Text)
		headings = append(headings, strings.Join(p.Heading, "\n"))
		terms, aboves = append(terms, strings.Join(of, " ")), append(aboves, strings.Join(above, " "))
		founds = append(founds, strings.Join(slices.Compact(found), " "))
	}
	n, err := postgres.Exec(ctx, r.pool, `
		INSERT INTO uaol_storage.passages (content_id, ordinal, organization_id, page, sheet, heading, content, terms, above, found_by)
		SELECT $1, $3::integer + place, $4, page, sheet,
			CASE WHEN heading = '' THEN '{}'::text[] ELSE string_to_array(heading, E'\n') END, content,
			CASE WHEN terms = '' THEN '{}'::text[] ELSE string_to_array(terms, ' ') END,
			CASE WHEN above = '' THEN '{}'::text[] ELSE string_to_array(above, ' ') END,
			CASE WHEN found_by = '' THEN '{}'::text[] ELSE string_to_array(found_by, ' ') END
		FROM unnest($5::integer[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[])
			WITH ORDINALITY AS p (page, sheet, heading, content, terms, above, found_by, place)
		WHERE true`+stillOurs,
		c.Content, c.Claim, from-1, c.Organization, pages, sheets, headings, contents, terms, aboves, founds)
	return total, n > 0, err
}

// stored is a passage as people see it.
type stored struct {
	Content uuid.UUID `db:"content_id"`
	Ordinal int       `db:"ordinal"`
	Page    int       `db:"page"`
	Sheet   string    `db:"sheet"`
	Heading []string  `db:"heading"`
	Text    string    `db:"content"`
}

const storedColumns = `p.content_id, p.ordinal, p.page, p.sheet, p.heading, p.content`

// key names a passage.
type key struct {
	Content uuid.UUID `db:"content_id"`
	Ordinal int       `db:"ordinal"`
}

// these gives the passages that are still there, in any order.
func (r *Repository) these(ctx context.Context, keys []key) ([]stored, error) {
	contents, ordinals := make([]string, len(keys)), make([]int32, len(keys))
	for i, k := range keys {
		contents[i], ordinals[i] = k.Content.String(), int32(k.Ordinal)
	}
	return postgres.All[stored](ctx, r.pool, `
		SELECT `+storedColumns+` FROM unnest($1::text[], $2::integer[]) AS k (content, ordinal)
		JOIN uaol_storage.passages p ON p.content_id = k.content::uuid AND p.ordinal = k.ordinal`, contents, ordinals)
}

// whole gives all passages of documents, in the order of reading.
func (r *Repository) whole(ctx context.Context, contents []uuid.UUID) ([]stored, error) {
	return postgres.All[stored](ctx, r.pool, `
		SELECT `+storedColumns+` FROM uaol_storage.passages p WHERE p.content_id = ANY ($1::text[]::uuid[]) ORDER BY p.content_id, p.ordinal`, postgres.UUIDs(contents))
}

// stretch gives a part of a document, in the order of reading; from its beginning where no
// page is that far behind.
func (r *Repository) stretch(ctx context.Context, content uuid.UUID, in Stretch) ([]stored, error) {
	return postgres.All[stored](ctx, r.pool, `
		SELECT `+storedColumns+` FROM uaol_storage.passages p WHERE p.content_id = $1 AND p.ordinal >= greatest($2::integer, CASE WHEN $3 = 0 THEN 0
			ELSE coalesce((SELECT min(o.ordinal) FROM uaol_storage.passages o WHERE o.content_id = $1 AND o.page >= $3), 0) END)
		ORDER BY p.ordinal LIMIT $4`, content, in.From, in.Page, in.Limit)
}
