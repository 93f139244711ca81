package library

import (
	"context"
	"encoding/binary"
	"math"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"uaol/providers/postgres"
	"uaol/services"
)

// Vectors makes vectors of texts; texts that mean the same have near ones.
type Vectors interface {
	// Model names what makes them, so that vectors of two names are never compared; ""
	// when there is none.
	Model() string
	// Embed gives a vector for each text, in their order.
	Embed(ctx context.Context, texts []string) ([][]float32, error)
}

// literal writes a vector as PostgreSQL reads it: a list in braces, or, for pgvector, in
// brackets.
func literal(v []float32, begin, end string) string {
	var b strings.Builder
	b.WriteString(begin)
	for i, x := range v {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.FormatFloat(float64(x), 'g', -1, 32))
	}
	b.WriteString(end)
	return b.String()
}

// placed is a passage's vector as it comes over the wire: PostgreSQL's binary form of
// a real[] is read by unpacked, a tenfold faster than number by number.
type placed struct {
	key
	Vector pgtype.UndecodedBytes `db:"vector"`
}

// unpacked reads a real[] in PostgreSQL's text, which comes through a pooler, or in its
// binary form: the number of dimensions, whether there are NULLs, the
// elements' type, their number and the first one's place, then each with its length.
func unpacked(wire []byte, into []float32) ([]float32, bool) {
	const head, each = 20, 8
	if len(wire) > 0 && wire[0] == '{' {
		text := string(wire[1:])
		return listed(strings.TrimSuffix(text, "}"), into[:0])
	}
	if len(wire) < head || (len(wire)-head)%each != 0 || binary.BigEndian.Uint32(wire) != 1 || binary.BigEndian.Uint32(wire[4:]) != 0 {
		return nil, false
	}
	n := int(binary.BigEndian.Uint32(wire[12:]))
	if n != (len(wire)-head)/each {
		return nil, false
	}
	into = into[:0]
	for at := head; at < len(wire); at += each {
		into = append(into, math.Float32frombits(binary.BigEndian.Uint32(wire[at+4:])))
	}
	return into, true
}

func listed(text string, into []float32) ([]float32, bool) {
	for number := range strings.SplitSeq(text, ",") {
		x, err := strconv.ParseFloat(number, 32)
		if err != nil {
			return nil, false
		}
		into = append(into, float32(x))
	}
	return into, true
}

// unembedded is a document whose vectors are to be made.
type unembedded struct {
	Content uuid.UUID `db:"content_id"`
	Begun   bool      `db:"begun"` // some of them are there
	Claim   uuid.UUID `db:"-"`
}

// claimUnembedded gives a document whose vectors are not the model's, without those of
// another one; what was made of this one before stays. Kind NotFound when there is none.
func (r *Repository) claimUnembedded(ctx context.Context, model string) (u unembedded, err error) {
	err = postgres.InTx(ctx, r.pool, func(tx pgx.Tx) error {
		var err error
		u, err = postgres.One[unembedded](ctx, tx, `
			SELECT content_id, making = $1 AS begun FROM uaol_storage.documents
			WHERE status = 'read' AND (model < $1 OR model > $1) AND (lease_until IS NULL OR lease_until < now())
			LIMIT 1 FOR UPDATE SKIP LOCKED`, model)
		if err != nil {
			return err
		}
		u.Claim = uuid.New()
		if _, err := postgres.Exec(ctx, tx, `
			UPDATE uaol_storage.documents SET model = '', making = $3, claim = $2, lease_until = `+lease+` WHERE content_id = $1`, u.Content, u.Claim, model); err != nil || u.Begun {
			return err
		}
		_, err = postgres.Exec(ctx, tx, `UPDATE uaol_storage.passages SET vector = NULL WHERE content_id = $1 AND vector IS NOT NULL`, u.Content)
		return err
	})
	return u, err
}

// keepsUnembedded is an embedder's sign of life; false when the document is its own no
// more.
func (r *Repository) keepsUnembedded(ctx context.Context, u unembedded) (bool, error) {
	n, err := postgres.Exec(ctx, r.pool, `
		UPDATE uaol_storage.documents SET lease_until = `+lease+` WHERE content_id = $1 AND claim = $2 AND status = 'read'`, u.Content, u.Claim)
	return n > 0, err
}

// after gives passages of a document that have no vector, in their order, from an ordinal
// on.
func (r *Repository) after(ctx context.Context, content uuid.UUID, ordinal, limit int) ([]stored, error) {
	return postgres.All[stored](ctx, r.pool, `
		SELECT `+storedColumns+` FROM uaol_storage.passages p WHERE p.content_id = $1 AND p.ordinal > $2 AND p.vector IS NULL ORDER BY p.ordinal LIMIT $3`, content, ordinal, limit)
}

// embed stores vectors of passages while the document is the embedder's own.
func (r *Repository) embed(ctx context.Context, u unembedded, of []stored, vectors [][]float32) (bool, error) {
	ordinals, lists := make([]int32, len(of)), make([]string, len(of))
	for i, p := range of {
		ordinals[i], lists[i] = int32(p.Ordinal), literal(vectors[i], "{", "}")
	}
	n, err := postgres.Exec(ctx, r.pool, `
		UPDATE uaol_storage.passages p SET vector = v.list::real[]
		FROM unnest($3::integer[], $4::text[]) AS v (ordinal, list)
		WHERE p.content_id = $1 AND p.ordinal = v.ordinal
			AND EXISTS (SELECT 1 FROM uaol_storage.documents d WHERE d.content_id = $1 AND d.claim = $2 AND d.status = 'read')`,
		u.Content, u.Claim, ordinals, lists)
	return n > 0, err
}

// embedded says that all vectors of a document are the model's.
func (r *Repository) embedded(ctx context.Context, u unembedded, model string) error {
	_, err := postgres.Exec(ctx, r.pool, `
		UPDATE uaol_storage.documents SET model = $3, lease_until = NULL WHERE content_id = $1 AND claim = $2 AND status = 'read'`, u.Content, u.Claim, model)
	return err
}

// hasPgvector reports whether the database can compare vectors by itself. It is asked once
// in a process: who adds the extension starts anew.
func (r *Repository) hasPgvector(ctx context.Context) (bool, error) {
	if known := r.pgvector.Load(); known != nil {
		return *known, nil
	}
	there, err := postgres.Value[bool](ctx, r.pool, `SELECT to_regtype('vector') IS NOT NULL`)
	if err == nil {
		r.pgvector.Store(&there)
	}
	return there, err
}

// nearestThere is nearest by pgvector, which is exact as well: only the keys travel.
func (r *Repository) nearestThere(ctx context.Context, s scope, model string, asked []float32, limit int) ([]key, error) {
	return postgres.All[key](ctx, r.pool, `
		SELECT p.content_id, p.ordinal FROM uaol_storage.passages p JOIN uaol_storage.documents d ON d.content_id = p.content_id
		WHERE d.organization_id = $1 AND d.model = $2 AND ($3::text[] IS NULL OR d.content_id = ANY ($3::text[]::uuid[]))
			AND cardinality(p.vector) = $4
		ORDER BY p.vector::vector <=> $5::text::vector, p.content_id, p.ordinal LIMIT $6`,
		s.organization, model, s.contents(), len(asked), literal(asked, "[", "]"), limit)
}

// each hands out the vectors of a scope's passages, one after the other.
func (r *Repository) each(ctx context.Context, s scope, model string, f func(key, []float32)) error {
	var vector []float32
	return postgres.Each(ctx, r.pool, func(p placed) error {
		var ok bool
		if vector, ok = unpacked(p.Vector, vector); !ok {
			return services.Errorf(services.Internal, "a vector is stored in a form that is not known here")
		}
		f(p.key, vector)
		return nil
	}, `
		SELECT p.content_id, p.ordinal, p.vector FROM uaol_storage.passages p JOIN uaol_storage.documents d ON d.content_id = p.content_id
		WHERE d.organization_id = $1 AND d.model = $2 AND ($3::text[] IS NULL OR d.content_id = ANY ($3::text[]::uuid[])) AND p.vector IS NOT NULL`,
		s.organization, model, s.contents())
}
