package registry

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/events"
	"uaol/providers/postgres"
	"uaol/providers/upstream"
	"uaol/services"
)

// offerRow is an approved tool with its version in force. One statement reads it
// all, so that methods and differences are of one moment.
type offerRow struct {
	ID           uuid.UUID    `db:"tool_id"`
	Slug         string       `db:"slug"`
	Name         string       `db:"name"`
	Organization uuid.UUID    `db:"organization_id"`
	Developer    uuid.UUID    `db:"developer_id"`
	Visibility   Visibility   `db:"visibility"`
	Version      int64        `db:"version"`
	Definition   Definition   `db:"definition"`
	Pinned       bool         `db:"pinned"`
	Digest       string       `db:"digest"`
	CheckedAt    time.Time    `db:"checked_at"`
	Methods      []pinnedText `db:"methods"`
	Differences  []pinnedText `db:"differences"`
}

// pinnedText is a method as it is stored.
type pinnedText struct {
	Name       string          `json:"name"`
	Digest     string          `json:"digest"`
	Definition string          `json:"definition"`
	Kind       string          `json:"kind"`
	Flags      json.RawMessage `json:"flags"`
}

func (p pinnedText) method() (Method, error) {
	m := Method{Method: upstream.Method{Name: p.Name}, Digest: p.Digest, Difference: p.Kind}
	if p.Definition == "" {
		return m, nil
	}
	return m, json.Unmarshal([]byte(p.Definition), &m.Method)
}

const selectOffers = `
	SELECT t.tool_id, t.slug, t.name, t.organization_id, t.developer_id, t.visibility, v.version, v.definition, v.pinned, v.digest,
		coalesce(h.compared_at, v.decided_at, v.created_at) AS checked_at,
		coalesce((SELECT jsonb_agg(jsonb_build_object('name', m.name, 'digest', m.digest, 'definition', m.definition, 'flags', m.flags) ORDER BY m.position)
			FROM uaol_registry.methods m WHERE m.tool_id = t.tool_id AND m.version = v.version), '[]'::jsonb) AS methods,
		coalesce((SELECT jsonb_agg(jsonb_build_object('name', d.name, 'digest', d.digest, 'definition', d.definition, 'kind', d.kind) ORDER BY d.name)
			FROM uaol_registry.differences d WHERE d.tool_id = t.tool_id), '[]'::jsonb) AS differences
	FROM uaol_registry.tools t JOIN uaol_registry.versions v ON v.tool_id = t.tool_id AND v.version = t.approved_version
	LEFT JOIN uaol_registry.health h ON h.tool_id = t.tool_id
	WHERE t.status = 'Approved'`

func (r *Repository) offers(ctx context.Context, ids []uuid.UUID) ([]offerRow, error) {
	return postgres.All[offerRow](ctx, r.pool, selectOffers+` AND t.tool_id = ANY ($1::text[]::uuid[])`, postgres.UUIDs(ids))
}

// live is an offer's methods as they were pinned, and how the server differs.
type live struct {
	pinned    []Method
	flags     []json.RawMessage // of the pinned ones
	different []Method
}

func (row offerRow) live() (l live, err error) {
	for _, text := range row.Methods {
		m, err := text.method()
		if err != nil {
			return live{}, err
		}
		l.pinned, l.flags = append(l.pinned, m), append(l.flags, text.Flags)
	}
	for _, text := range row.Differences {
		m, err := text.method()
		if err != nil {
			return live{}, err
		}
		l.different = append(l.different, m)
	}
	return l, nil
}

// offer is the row as calls need it: pinned methods in the server's order, those
// that differ marked, then those that were added.
func (row offerRow) offer() (Offer, error) {
	o := Offer{
		ToolID: row.ID, Slug: row.Slug, Name: row.Name, Version: row.Version, Organization: row.Organization, Developer: row.Developer,
		Definition: row.Definition, Pinned: row.Pinned, Digest: row.Digest, CheckedAt: row.CheckedAt,
	}
	o.Visibility = row.Visibility // it may have been narrowed since
	l, err := row.live()
	if err != nil {
		return Offer{}, err
	}
	kinds := map[string]string{}
	for _, m := range l.different {
		kinds[m.Name] = m.Difference
	}
	for _, m := range l.pinned {
		m.Difference = kinds[m.Name]
		o.Methods = append(o.Methods, m)
	}
	for _, m := range l.different {
		if m.Difference == added {
			o.Methods = append(o.Methods, m)
		}
	}
	return o, nil
}

// claim takes the turn of some tools whose server is to be looked at: nobody
// else does for as long as a look may last.
func (r *Repository) claim(ctx context.Context, lasts time.Duration, limit int) ([]uuid.UUID, error) {
	return postgres.Values[uuid.UUID](ctx, r.pool, `
		UPDATE uaol_registry.health SET due_at = now() + $1::bigint * interval '1 millisecond'
		WHERE tool_id IN (SELECT tool_id FROM uaol_registry.health WHERE due_at <= now() ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED)
		RETURNING tool_id`, lasts.Milliseconds(), limit)
}

// look is what was found at a tool's server.
type look struct {
	tool     uuid.UUID
	version  int64 // that is in force
	asked    bool  // somebody could look
	healthy  bool
	latency  time.Duration
	err      string
	compared bool     // it gave a list
	now      []Method // of it, what differs from what is pinned
}

// longestBackoff is how many times longer the pause between looks gets while a
// server does not answer.
const longestBackoff = 16

// note writes how a server is. It is no event: nothing changes for callers.
func (r *Repository) note(ctx context.Context, l look, every time.Duration) error {
	_, err := postgres.Exec(ctx, r.pool, `
		UPDATE uaol_registry.health SET healthy = CASE WHEN $2 THEN $3::boolean END, latency_ms = $4, error = $5, checked_at = now(),
			compared_at = CASE WHEN $6 THEN now() ELSE compared_at END,
			since = CASE WHEN healthy IS NOT DISTINCT FROM CASE WHEN $2 THEN $3::boolean END THEN coalesce(since, now()) ELSE now() END,
			failures = CASE WHEN $2 AND NOT $3::boolean THEN least(failures + 1, 30) ELSE 0 END,
			due_at = now() + $7::bigint * interval '1 millisecond'
				* CASE WHEN $2 AND NOT $3::boolean THEN least(power(2, least(failures, 10))::bigint, $8::bigint) ELSE 1 END
		WHERE tool_id = $1`, l.tool, l.asked, l.healthy, l.latency.Milliseconds(), l.err, l.compared, every.Milliseconds(), longestBackoff)
	return err
}

// differ writes how a server differs from the version in force, as the change it
// is for callers. Nothing happens when another version is in force by now.
func (r *Repository) differ(ctx context.Context, l look) (happened []events.Event, err error) {
	err = postgres.InTx(ctx, r.pool, func(tx pgx.Tx) error {
		happened = nil
		organization, err := postgres.Value[uuid.UUID](ctx, tx, `
			SELECT organization_id FROM uaol_registry.tools WHERE tool_id = $1 AND approved_version = $2 FOR UPDATE`, l.tool, l.version)
		if services.Is(err, services.NotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		gone, came, err := r.replaceDifferences(ctx, tx, l)
		if err != nil || (gone == 0 && came == 0) {
			return err
		}
		act, names := quarantined, summary(l.now)
		if len(l.now) == 0 {
			act, names = restored, ""
		}
		if err := r.decided(ctx, tx, Decided{ToolID: l.tool, Version: l.version, Act: act, Reason: names}); err != nil {
			return err
		}
		happened = []events.Event{events.New("tool."+string(act), l.tool.String(), organization, map[string]any{"version": l.version, "status": Approved})}
		return r.outbox.Append(ctx, tx, happened...)
	})
	return happened, err
}

// replaceDifferences leaves those that are as they were, with when they were
// first seen.
func (r *Repository) replaceDifferences(ctx context.Context, tx pgx.Tx, l look) (gone, came int64, err error) {
	var names, kinds, digests, definitions []string
	for _, m := range l.now {
		definition, err := json.Marshal(m.Method)
		if err != nil {
			return 0, 0, err
		}
		if m.Difference == removed {
			definition = nil
		}
		names, kinds, digests, definitions = append(names, m.Name), append(kinds, m.Difference), append(digests, m.Digest), append(definitions, string(definition))
	}
	gone, err = postgres.Exec(ctx, tx, `
		DELETE FROM uaol_registry.differences d WHERE d.tool_id = $1 AND NOT EXISTS (
			SELECT 1 FROM unnest($2::text[], $3::text[], $4::text[]) AS n (name, kind, digest)
			WHERE n.name = d.name AND n.kind = d.kind AND n.digest = d.digest)`, l.tool, names, kinds, digests)
	if err != nil {
		return 0, 0, err
	}
	came, err = postgres.Exec(ctx, tx, `
		INSERT INTO uaol_registry.differences (tool_id, name, kind, digest, definition)
		SELECT $1, n.name, n.kind, n.digest, n.definition FROM unnest($2::text[], $3::text[], $4::text[], $5::text[]) AS n (name, kind, digest, definition)
		ON CONFLICT (tool_id, name) DO NOTHING`, l.tool, names, kinds, digests, definitions)
	return gone, came, err
}

// summary names what differs, in a line for the history.
func summary(different []Method) string {
	var parts []string
	for _, m := range different {
		parts = append(parts, m.Difference+" "+printable(m.Name))
	}
	const most = 10
	if len(parts) > most {
		parts = append(parts[:most], "…")
	}
	return strings.Join(parts, ", ")
}
