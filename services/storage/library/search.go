package library

import (
	"cmp"
	"context"
	"slices"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"uaol/providers/postgres"
	"uaol/services/storage/retrieval"
)

// scope is where is searched: all that an organisation has, or some of it.
type scope struct {
	organization uuid.UUID
	only         []uuid.UUID // contents; nil for all
}

// contents is for SQL: NULL for all.
func (s scope) contents() []string {
	if s.only == nil {
		return nil
	}
	return postgres.UUIDs(s.only)
}

const (
	// mostCandidates bounds how many passages one question is held against.
	mostCandidates = 5000
	// mostCounted is as far as the passages are counted that have a term: what so many
	// have tells them apart no more.
	mostCounted = 20000
	// depth is how many passages of each ranking go into the one of both.
	depth = 100
)

// candidate is a passage that shares a word with a question.
type candidate struct {
	key
	Terms []string `db:"terms"`
	Above []string `db:"above"`
}

// sums are a scope's passages and all their terms.
type sums struct {
	Passages int64 `db:"passages"`
	Terms    int64 `db:"terms"`
}

func (r *Repository) sums(ctx context.Context, s scope) (sums, error) {
	return postgres.One[sums](ctx, r.pool, `
		SELECT coalesce(sum(passages), 0)::bigint AS passages, coalesce(sum(terms), 0)::bigint AS terms FROM uaol_storage.documents
		WHERE organization_id = $1 AND ($2::text[] IS NULL OR content_id = ANY ($2::text[]::uuid[]))`, s.organization, s.contents())
}

type having struct {
	Term     string `db:"term"`
	Passages int64  `db:"passages"`
}

// having counts the passages that terms are in.
func (r *Repository) having(ctx context.Context, s scope, terms []string) (map[string]int64, error) {
	counted, err := postgres.All[having](ctx, r.pool, `
		SELECT term, (SELECT count(*) FROM (SELECT 1 FROM uaol_storage.passages
			WHERE organization_id = $1 AND found_by @> ARRAY[term] AND ($2::text[] IS NULL OR content_id = ANY ($2::text[]::uuid[])) LIMIT $4) AS few) AS passages
		FROM unnest($3::text[]) AS t (term)`, s.organization, s.contents(), terms, mostCounted)
	all := make(map[string]int64, len(counted))
	for _, c := range counted {
		all[c.Term] = c.Passages
	}
	return all, err
}

func (r *Repository) candidates(ctx context.Context, s scope, terms []string) ([]candidate, error) {
	return postgres.All[candidate](ctx, r.pool, `
		SELECT content_id, ordinal, terms, above FROM uaol_storage.passages
		WHERE organization_id = $1 AND found_by && $3::text[] AND ($2::text[] IS NULL OR content_id = ANY ($2::text[]::uuid[])) LIMIT $4`,
		s.organization, s.contents(), terms, mostCandidates)
}

// byWords ranks passages by the words that they share with a question, in the way that
// rank has.
func (s *Service) byWords(ctx context.Context, in scope, question string, rank func([][]string, []retrieval.Candidate, retrieval.Corpus) []int64) ([]key, error) {
	asked := retrieval.Asked(question)
	var terms []string
	for _, forms := range asked {
		terms = append(terms, forms...)
	}
	if len(terms) == 0 {
		return nil, nil
	}
	slices.Sort(terms)
	terms = slices.Compact(terms)
	all, err := s.repository.sums(ctx, in)
	if err != nil {
		return nil, err
	}
	having, err := s.repository.having(ctx, in, terms)
	if err != nil {
		return nil, err
	}
	found, err := s.repository.candidates(ctx, in, rarest(terms, having))
	if err != nil {
		return nil, err
	}
	// In one order, so that equals stand the same whenever the question is asked.
	slices.SortFunc(found, func(a, b candidate) int { return a.compare(b.key) })
	candidates := make([]retrieval.Candidate, len(found))
	for i, c := range found {
		candidates[i] = retrieval.Candidate{ID: int64(i), Terms: c.Terms, Above: c.Above}
	}
	ranked := rank(asked, candidates, retrieval.Corpus{Passages: all.Passages, Terms: all.Terms, Having: having})
	keys := make([]key, min(len(ranked), depth))
	for i := range keys {
		keys[i] = found[ranked[i]].key
	}
	return keys, nil
}

// rarest are terms that choose the candidates: the rarest ones, as many as are in no
// more passages than can be held against the question. Those that are left out count
// in the ranking all the same.
func rarest(terms []string, having map[string]int64) []string {
	present := slices.DeleteFunc(slices.Clone(terms), func(term string) bool { return having[term] == 0 })
	slices.SortStableFunc(present, func(a, b string) int { return cmp.Compare(having[a], having[b]) })
	sum := int64(0)
	for i, term := range present {
		if sum += having[term]; sum > mostCandidates && i > 0 {
			return present[:i]
		}
	}
	return present
}

func (k key) compare(other key) int {
	return cmp.Or(slices.Compare(k.Content[:], other.Content[:]), cmp.Compare(k.Ordinal, other.Ordinal))
}

// byMeaning ranks passages by how near their vectors are to the question's. Without a
// model, or when it can't be reached, there are none: words are still there.
func (s *Service) byMeaning(ctx context.Context, in scope, question string) ([]key, error) {
	model := s.vectors.Model()
	if model == "" {
		return nil, nil
	}
	vectors, err := s.vectors.Embed(ctx, []string{question})
	if err != nil {
		if ctx.Err() == nil {
			s.log.Warn("a question has no vector, so that only its words are looked for", zap.Error(err))
		}
		return nil, ctx.Err()
	}
	there, err := s.repository.hasPgvector(ctx)
	if err != nil {
		return nil, err
	}
	if there {
		return s.repository.nearestThere(ctx, in, model, vectors[0], depth)
	}
	near := retrieval.NewNearest[key](vectors[0], depth, key.compare)
	err = s.repository.each(ctx, in, model, near.See)
	return near.Ranking(), err
}

// search gives the passages that answer a question best.
func (s *Service) search(ctx context.Context, in scope, question string, limit int) ([]stored, error) {
	meaning, err := s.byMeaning(ctx, in, question)
	if err != nil {
		return nil, err
	}
	rank := retrieval.ByWords
	if len(meaning) > 0 {
		rank = retrieval.BySureWords
	}
	words, err := s.byWords(ctx, in, question, rank)
	if err != nil {
		return nil, err
	}
	keys := together(words, meaning)
	keys = keys[:min(len(keys), limit)]
	found, err := s.repository.these(ctx, keys)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(found, func(a, b stored) int {
		return cmp.Compare(slices.Index(keys, key{a.Content, a.Ordinal}), slices.Index(keys, key{b.Content, b.Ordinal}))
	})
	return found, nil
}

// together makes one ranking of several.
func together(rankings ...[]key) []key {
	var keys []key
	ids, numbers := map[key]int64{}, make([][]int64, len(rankings))
	for i, ranking := range rankings {
		for _, k := range ranking {
			id, known := ids[k]
			if !known {
				id = int64(len(keys))
				ids[k], keys = id, append(keys, k)
			}
			numbers[i] = append(numbers[i], id)
		}
	}
	all := make([]key, 0, len(keys))
	for _, id := range retrieval.Together(numbers...) {
		all = append(all, keys[id])
	}
	return all
}
