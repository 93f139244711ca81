package registry

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/postgres"
	"uaol/services"
	"uaol/services/registry/imports"
)

// importedRow is a tool that was imported before.
type importedRow struct {
	ID         uuid.UUID `db:"tool_id"`
	SourceName string    `db:"source_name"`
	Slug       string    `db:"slug"`
	Status     Status    `db:"status"`
	Latest     int64     `db:"latest_version"`
	InForce    *int64    `db:"approved_version"`
	Imported   string    `db:"imported"`
	Definition string    `db:"definition"`
	Org        uuid.UUID `db:"organization_id"`
}

// importBatch registers entries of a source in one transaction; judge gives an
// entry's definition, or why it can't be taken. Rows are locked in the order of
// their ids.
func (r *Repository) importBatch(ctx context.Context, source string, caller services.Caller, entries []imports.Entry, dry bool,
	judge func(e imports.Entry, before *Definition) (Definition, string)) (b arrivals, err error) {
	err = postgres.InTx(ctx, r.pool, func(tx pgx.Tx) error {
		b = arrivals{}
		rows, err := r.importedBefore(ctx, tx, source, entries)
		if err != nil {
			return err
		}
		if err := b.sort(entries, rows, judge); err != nil {
			return err
		}
		if err := r.addImported(ctx, tx, source, caller, &b); err != nil {
			return err
		}
		if err := r.changeImported(ctx, tx, caller, &b); err != nil {
			return err
		}
		if err := r.withdrawImported(ctx, tx, &b); err != nil {
			return err
		}
		b.tell(source, caller)
		if err := r.outbox.Append(ctx, tx, b.happened...); err != nil {
			return err
		}
		if dry {
			return errDryRun
		}
		return nil
	})
	if errors.Is(err, errDryRun) {
		b.happened = nil
		return b, nil
	}
	return b, err
}

func (r *Repository) importedBefore(ctx context.Context, tx pgx.Tx, source string, entries []imports.Entry) (map[string]importedRow, error) {
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.SourceName
	}
	rows, err := postgres.All[importedRow](ctx, tx, `
		SELECT t.tool_id, t.source_name, t.slug, t.status, t.latest_version, t.approved_version, t.imported, t.organization_id, v.definition::text AS definition
		FROM uaol_registry.tools t JOIN uaol_registry.versions v ON v.tool_id = t.tool_id AND v.version = t.latest_version
		WHERE t.source = $1 AND t.source_name = ANY ($2::text[]) ORDER BY t.tool_id FOR UPDATE OF t`, source, names)
	found := make(map[string]importedRow, len(rows))
	for _, row := range rows {
		found[row.SourceName] = row
	}
	return found, err
}

// addImported inserts what is new. A slug that somebody takes meanwhile is
// replaced; what another import of the same source has just added is its own.
func (r *Repository) addImported(ctx context.Context, tx pgx.Tx, source string, caller services.Caller, b *arrivals) error {
	left := b.fresh
	b.fresh = nil
	for try := 0; len(left) > 0 && try < 5; try++ {
		if err := r.giveSlugs(ctx, tx, left, try > 0); err != nil {
			return err
		}
		added, err := r.insertImported(ctx, tx, source, caller, left)
		if err != nil {
			return err
		}
		var again []*arrival
		for _, a := range left {
			if added[a.id] {
				b.fresh = append(b.fresh, a)
			} else {
				again = append(again, a)
			}
		}
		left = again
	}
	b.unchanged += len(left)
	if err := r.insertVersions(ctx, tx, caller, b.fresh); err != nil {
		return err
	}
	return nil
}

// giveSlugs gives each a slug that is free as far as can be seen.
func (r *Repository) giveSlugs(ctx context.Context, tx pgx.Tx, left []*arrival, other bool) error {
	wanted := make([]string, len(left))
	for i, a := range left {
		wanted[i] = slugOf(a.entry.Name)
	}
	taken, err := postgres.Values[string](ctx, tx, `SELECT slug FROM uaol_registry.tools WHERE slug = ANY ($1::text[])`, wanted)
	if err != nil {
		return err
	}
	used := map[string]bool{}
	for _, slug := range taken {
		used[slug] = true
	}
	for i, a := range left {
		a.slug = wanted[i]
		if other || used[a.slug] {
			a.slug = another(a.slug)
		}
		used[a.slug] = true
	}
	return nil
}

func (r *Repository) insertImported(ctx context.Context, tx pgx.Tx, source string, caller services.Caller, list []*arrival) (map[uuid.UUID]bool, error) {
	var c importColumns
	for _, a := range list {
		if err := c.add(a); err != nil {
			return nil, err
		}
	}
	ids, err := postgres.Values[uuid.UUID](ctx, tx, `
		INSERT INTO uaol_registry.tools (tool_id, organization_id, developer_id, slug, name, gateway_url, protocol, credit_cost_per_call, status,
			description, tags, documentation_url, visibility, pending_version, source, source_name, imported, search)
		SELECT id::uuid, $1::uuid, $2::uuid, slug, name, gateway_url, protocol, price, 'Pending',
			description, ARRAY(SELECT jsonb_array_elements_text(tags::jsonb)), documentation_url, visibility, 1, $3::text, source_name, imported, search::tsvector
		FROM unnest($4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bigint[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[])
			AS x (id, slug, name, gateway_url, protocol, price, description, tags, documentation_url, visibility, source_name, imported, search)
		ON CONFLICT DO NOTHING RETURNING tool_id`,
		caller.Organization, caller.Account, source,
		c.ids, c.slugs, c.names, c.urls, c.protocols, c.prices, c.descriptions, c.tags, c.documentation, c.visibilities, c.sourceNames, c.digests, c.search)
	added := make(map[uuid.UUID]bool, len(ids))
	for _, id := range ids {
		added[id] = true
	}
	return added, err
}

// importColumns are rows turned into the arrays of one statement.
type importColumns struct {
	ids, slugs, names, urls, protocols, descriptions, tags, documentation, visibilities, sourceNames, digests, search, statuses, definitions []string
	prices, versions                                                                                                                         []int64
}

func (c *importColumns) add(a *arrival) error {
	tags, err := json.Marshal(a.tags)
	if err != nil {
		return err
	}
	definition, err := json.Marshal(a.definition)
	if err != nil {
		return err
	}
	e, d := a.entry, a.definition
	c.ids, c.slugs, c.names = append(c.ids, a.id.String()), append(c.slugs, a.slug), append(c.names, e.Name)
	c.urls, c.protocols = append(c.urls, d.GatewayURL), append(c.protocols, d.Protocol)
	c.descriptions, c.documentation = append(c.descriptions, e.Description), append(c.documentation, e.DocumentationURL)
	c.tags, c.search = append(c.tags, string(tags)), append(c.search, indexOf(e.Name, a.slug, e.Description, a.tags))
	c.visibilities, c.statuses = append(c.visibilities, string(d.Visibility)), append(c.statuses, string(a.status))
	c.sourceNames, c.digests = append(c.sourceNames, e.SourceName), append(c.digests, e.Digest())
	c.definitions = append(c.definitions, string(definition))
	c.prices, c.versions = append(c.prices, d.Price), append(c.versions, a.version)
	return nil
}

// insertVersions adds the versions that wait for a decision, with its history.
func (r *Repository) insertVersions(ctx context.Context, tx pgx.Tx, caller services.Caller, list []*arrival) error {
	var c importColumns
	var decisions []string
	for _, a := range list {
		if a.version == 0 {
			continue
		}
		if err := c.add(a); err != nil {
			return err
		}
		decisions = append(decisions, uuid.Must(uuid.NewV7()).String())
	}
	if len(c.ids) == 0 {
		return nil
	}
	if _, err := postgres.Exec(ctx, tx, `
		INSERT INTO uaol_registry.versions (tool_id, version, status, definition, created_by)
		SELECT id::uuid, version, 'Pending', definition::jsonb, $1::uuid
		FROM unnest($2::text[], $3::bigint[], $4::text[]) AS x (id, version, definition)`,
		caller.Account, c.ids, c.versions, c.definitions); err != nil {
		return err
	}
	_, err := postgres.Exec(ctx, tx, `
		INSERT INTO uaol_registry.decisions (decision_id, tool_id, version, act, account_id, reason)
		SELECT decision::uuid, id::uuid, version, 'submitted', $1::uuid, 'imported'
		FROM unnest($2::text[], $3::text[], $4::bigint[]) AS x (decision, id, version)`,
		caller.Account, decisions, c.ids, c.versions)
	return err
}

// changeImported writes what is different at the source. Texts count at once;
// another definition is a version that waits, and shows in the head only while
// none was ever in force.
func (r *Repository) changeImported(ctx context.Context, tx pgx.Tx, caller services.Caller, b *arrivals) error {
	if len(b.changed) == 0 {
		return nil
	}
	var c importColumns
	for _, a := range b.changed {
		if err := c.add(a); err != nil {
			return err
		}
	}
	if _, err := postgres.Exec(ctx, tx, `
		UPDATE uaol_registry.versions v SET status = 'Superseded'
		FROM unnest($1::text[], $2::bigint[]) AS x (id, version)
		WHERE v.tool_id = x.id::uuid AND x.version > 0 AND v.status = 'Pending'`, c.ids, c.versions); err != nil {
		return err
	}
	if err := r.insertVersions(ctx, tx, caller, b.changed); err != nil {
		return err
	}
	_, err := postgres.Exec(ctx, tx, `
		UPDATE uaol_registry.tools t
		SET name = x.name, description = x.description, tags = ARRAY(SELECT jsonb_array_elements_text(x.tags::jsonb)), documentation_url = x.documentation_url,
			search = x.search::tsvector, imported = x.imported, status = x.status, revision = t.revision + 1, updated_at = now(),
			latest_version = CASE WHEN x.version > 0 THEN x.version ELSE t.latest_version END,
			pending_version = CASE WHEN x.version > 0 THEN x.version ELSE t.pending_version END,
			gateway_url = CASE WHEN x.version > 0 AND t.approved_version IS NULL AND x.status = 'Pending' THEN x.gateway_url ELSE t.gateway_url END,
			protocol = CASE WHEN x.version > 0 AND t.approved_version IS NULL AND x.status = 'Pending' THEN x.protocol ELSE t.protocol END,
			version = CASE WHEN x.version > 0 AND t.approved_version IS NULL AND x.status = 'Pending' THEN x.version ELSE t.version END
		FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[], $9::text[], $10::text[], $11::text[])
			AS x (id, name, description, tags, documentation_url, search, imported, version, gateway_url, protocol, status)
		WHERE t.tool_id = x.id::uuid`,
		c.ids, c.names, c.descriptions, c.tags, c.documentation, c.search, c.digests, c.versions, c.urls, c.protocols, c.statuses)
	return err
}

// withdrawImported ends the calls to what its source has taken back.
func (r *Repository) withdrawImported(ctx context.Context, tx pgx.Tx, b *arrivals) error {
	if len(b.gone) == 0 {
		return nil
	}
	var ids, digests, decisions []string
	for _, a := range b.gone {
		a.status = Disabled
		ids, digests, decisions = append(ids, a.id.String()), append(digests, a.entry.Digest()), append(decisions, uuid.Must(uuid.NewV7()).String())
	}
	if _, err := postgres.Exec(ctx, tx, `
		INSERT INTO uaol_registry.decisions (decision_id, tool_id, version, act, reason)
		SELECT x.decision::uuid, t.tool_id, t.version, 'disabled', 'deleted where it was imported from'
		FROM unnest($1::text[], $2::text[]) AS x (decision, id) JOIN uaol_registry.tools t ON t.tool_id = x.id::uuid
		WHERE t.status <> 'Disabled'`, decisions, ids); err != nil {
		return err
	}
	if _, err := postgres.Exec(ctx, tx, `
		UPDATE uaol_registry.versions SET status = 'Superseded' WHERE tool_id = ANY ($1::text[]::uuid[]) AND status = 'Pending'`, ids); err != nil {
		return err
	}
	for _, live := range []string{ // nobody looks at it any more
		`DELETE FROM uaol_registry.differences WHERE tool_id = ANY ($1::text[]::uuid[])`,
		`DELETE FROM uaol_registry.health WHERE tool_id = ANY ($1::text[]::uuid[])`,
	} {
		if _, err := postgres.Exec(ctx, tx, live, ids); err != nil {
			return err
		}
	}
	_, err := postgres.Exec(ctx, tx, `
		UPDATE uaol_registry.tools t
		SET status = 'Disabled', approved_version = NULL, pending_version = NULL, imported = x.imported, revision = t.revision + 1, updated_at = now()
		FROM unnest($1::text[], $2::text[]) AS x (id, imported) WHERE t.tool_id = x.id::uuid`, ids, digests)
	return err
}

// watermark is when the last whole import of a source began, by the source's clock.
func (r *Repository) watermark(ctx context.Context, source string) (time.Time, error) {
	at, err := postgres.Value[*time.Time](ctx, r.pool, `SELECT updated_since FROM uaol_registry.imports WHERE source = $1`, source)
	if services.Is(err, services.NotFound) {
		return time.Time{}, nil
	}
	if err != nil || at == nil {
		return time.Time{}, err
	}
	return *at, nil
}

// setWatermark never goes back: two imports at once end in any order.
func (r *Repository) setWatermark(ctx context.Context, source string, at time.Time) error {
	_, err := postgres.Exec(ctx, r.pool, `
		INSERT INTO uaol_registry.imports (source, updated_since, ran_at) VALUES ($1, $2::timestamptz, now())
		ON CONFLICT (source) DO UPDATE SET updated_since = GREATEST(excluded.updated_since, uaol_registry.imports.updated_since), ran_at = now()`, source, at)
	return err
}
