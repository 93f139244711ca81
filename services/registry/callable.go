package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/google/uuid"

	"uaol/providers/postgres"
	"uaol/services"
)

// CallableRequest asks for tools that a caller may call: the named ones, or those that a
// text is most likely about.
type CallableRequest struct {
	Caller services.Caller `json:"caller"`
	Named  []string        `json:"named,omitempty"` // ids and slugs; without them Text and Limit choose
	Text   string          `json:"text,omitempty"`
	Limit  int             `json:"limit,omitempty"`
}

// Callable implements Catalog.
func (s *Service) Callable(ctx context.Context, in CallableRequest) ([]Offer, error) {
	ids, err := s.repository.named(ctx, in.Caller, in.Named)
	if err == nil && len(in.Named) == 0 {
		ids, err = s.repository.likely(ctx, in)
	}
	if err != nil {
		return nil, err
	}
	offers, err := s.Offers(ctx, ToolsRequest{IDs: ids})
	if err != nil {
		return nil, err
	}
	for _, name := range in.Named {
		if !slices.ContainsFunc(offers, func(o Offer) bool { return o.Slug == name || o.ToolID.String() == name }) {
			return nil, services.Errorf(services.NotFound, "There is no approved tool %.100q that you may call", name)
		}
	}
	slices.SortFunc(offers, func(a, b Offer) int { return slices.Index(ids, a.ToolID) - slices.Index(ids, b.ToolID) })
	return offers, nil
}

const callable = ` FROM uaol_registry.tools t WHERE t.status = 'Approved'
	AND (t.visibility = 'public' OR t.organization_id = $1 AND (t.visibility = 'organization' OR t.developer_id = $2))`

// named gives those of the tools that a caller may call, in the order of their names.
func (r *Repository) named(ctx context.Context, caller services.Caller, names []string) ([]uuid.UUID, error) {
	if len(names) == 0 {
		return nil, nil
	}
	return postgres.Values[uuid.UUID](ctx, r.pool, `
		SELECT t.tool_id`+callable+` AND (t.slug = ANY ($3::text[]) OR t.tool_id::text = ANY ($3::text[])) ORDER BY t.name, t.tool_id`,
		caller.Organization, caller.Account, names)
}

// likely gives tools that share words with a text, those that share most first, and
// then others.
func (r *Repository) likely(ctx context.Context, in CallableRequest) ([]uuid.UUID, error) {
	var ids []uuid.UUID
	if words := wordsOf(in.Text, maxAsked*4); len(words) > 0 {
		var err error
		if ids, err = postgres.Values[uuid.UUID](ctx, r.pool, `
			SELECT t.tool_id`+callable+` AND t.search @@ $3::text::tsquery ORDER BY ts_rank(t.search, $3::text::tsquery) DESC, t.name, t.tool_id LIMIT $4`,
			in.Caller.Organization, in.Caller.Account, "'"+strings.Join(words, "' | '")+"'", in.Limit); err != nil {
			return nil, err
		}
	}
	others, err := postgres.Values[uuid.UUID](ctx, r.pool, `
		SELECT t.tool_id`+callable+` AND NOT t.tool_id::text = ANY ($3::text[]) ORDER BY t.organization_id = $1 DESC, t.name, t.tool_id LIMIT $4`,
		in.Caller.Organization, in.Caller.Account, postgres.UUIDs(ids), in.Limit-len(ids))
	return append(ids, others...), err
}

// VisibleRequest asks for all tools that a caller may call.
type VisibleRequest struct {
	Caller services.Caller `json:"caller"`
}

// MostVisible is how many tools one caller is shown at once.
const MostVisible = 5_000

// Visible implements Catalog.
func (s *Service) Visible(ctx context.Context, in VisibleRequest) ([]uuid.UUID, error) {
	return s.repository.visible(ctx, in.Caller, MostVisible)
}

// visible gives the tools that a caller may call, its organisation's first where there
// are more than may be given, and then all by their slugs.
func (r *Repository) visible(ctx context.Context, caller services.Caller, limit int) ([]uuid.UUID, error) {
	return postgres.Values[uuid.UUID](ctx, r.pool, `
		SELECT tool_id FROM (
			SELECT t.tool_id, t.slug`+callable+` ORDER BY t.organization_id = $1 DESC, t.slug LIMIT $3) v
		ORDER BY v.slug`, caller.Organization, caller.Account, limit)
}

// What the APIs of models take as the name of a tool.
const (
	mostName  = 64
	nameBytes = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
)

// MethodName is what a tool's method is called where a name has to be one word for all
// tools, as in chat and in MCP: slug__method. What is too long or has other characters
// ends in a digest of the whole, so that two methods never have one name.
func MethodName(slug, method string) string {
	name := slug + "__" + method
	strange := func(r rune) bool { return !strings.ContainsRune(nameBytes, r) }
	if len(name) <= mostName && !strings.ContainsFunc(name, strange) {
		return name
	}
	sum := sha256.Sum256([]byte(method))
	end := "_" + hex.EncodeToString(sum[:8])
	plain := strings.Map(func(r rune) rune {
		if strange(r) {
			return '_'
		}
		return r
	}, name)
	return plain[:min(len(plain), mostName-len(end))] + end
}
