package registry

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/events"
	"uaol/providers/postgres"
	"uaol/services"
)

// approval puts a version of a tool in force.
type approval struct {
	tool    uuid.UUID
	version int64 // that was looked at
	pending bool  // it waits for a decision; otherwise it is what the tool shows
	status  Status
	fresh   bool // not that version itself but a new one of the same definition: its methods are others
	pins    *pins
	seen    bool          // the server has just answered
	every   time.Duration // to the next look at the server
	by      uuid.UUID
	reason  string
}

// approve is one transaction; kind Conflict when the tool is not what was looked
// at any more.
func (r *Repository) approve(ctx context.Context, a approval) (Tool, events.Event, error) {
	return r.change(ctx, "tool.approved", a.tool, func(tx pgx.Tx) error {
		version, err := postgres.Value[int64](ctx, tx, `
			UPDATE uaol_registry.tools t SET status = 'Approved', pending_version = NULL,
				approved_version = CASE WHEN $5 THEN t.latest_version + 1 ELSE v.version END,
				version = CASE WHEN $5 THEN t.latest_version + 1 ELSE v.version END,
				latest_version = CASE WHEN $5 THEN t.latest_version + 1 ELSE t.latest_version END,
				gateway_url = v.definition->>'gateway_url', protocol = v.definition->>'protocol',
				credit_cost_per_call = (v.definition->>'credit_cost_per_call')::bigint,
				method_costs = coalesce(v.definition->'method_costs', '{}'::jsonb),
				visibility = CASE WHEN $3 THEN v.definition->>'visibility' ELSE t.visibility END, updated_at = now()
			FROM uaol_registry.versions v
			WHERE t.tool_id = $1 AND v.tool_id = t.tool_id AND v.version = $2 AND t.status = $4
				AND CASE WHEN $3 THEN t.pending_version = $2 ELSE t.pending_version IS NULL AND t.version = $2 END
			RETURNING t.version`, a.tool, a.version, a.pending, string(a.status), a.fresh)
		if services.Is(err, services.NotFound) {
			return errOvertaken
		}
		if err != nil {
			return err
		}
		if err := r.putInForce(ctx, tx, a, version); err != nil {
			return err
		}
		return r.decided(ctx, tx, Decided{ToolID: a.tool, Version: version, Act: approved, Account: &a.by, Reason: a.reason})
	})
}

func (r *Repository) putInForce(ctx context.Context, tx pgx.Tx, a approval, version int64) error {
	if _, err := postgres.Exec(ctx, tx, `
		UPDATE uaol_registry.versions SET status = 'Superseded' WHERE tool_id = $1 AND status = 'Approved' AND version <> $2`, a.tool, version); err != nil {
		return err
	}
	if version != a.version {
		if _, err := postgres.Exec(ctx, tx, `
			INSERT INTO uaol_registry.versions (tool_id, version, status, definition, created_by)
			SELECT v.tool_id, $3, 'Pending', v.definition || jsonb_build_object('visibility', t.visibility), $4
			FROM uaol_registry.versions v JOIN uaol_registry.tools t ON t.tool_id = v.tool_id
			WHERE v.tool_id = $1 AND v.version = $2`, a.tool, a.version, version, a.by); err != nil {
			return err
		}
	}
	digest := ""
	if a.pins != nil {
		digest = a.pins.Digest
	}
	if _, err := postgres.Exec(ctx, tx, `
		UPDATE uaol_registry.versions SET status = 'Approved', pinned = $3, digest = $4, decided_by = $5, decided_at = now(), reason = $6
		WHERE tool_id = $1 AND version = $2`, a.tool, version, a.pins != nil, digest, a.by, a.reason); err != nil {
		return err
	}
	if err := r.insertMethods(ctx, tx, a.tool, version, a.pins); err != nil {
		return err
	}
	if _, err := postgres.Exec(ctx, tx, `DELETE FROM uaol_registry.differences WHERE tool_id = $1`, a.tool); err != nil {
		return err
	}
	// Where nobody has seen the server the next look is due at once.
	_, err := postgres.Exec(ctx, tx, `
		INSERT INTO uaol_registry.health AS h (tool_id, healthy, checked_at, compared_at, since, due_at)
		SELECT $1, CASE WHEN $2 THEN true END, CASE WHEN $2 THEN now() END, CASE WHEN $2 THEN now() END, CASE WHEN $2 THEN now() END,
			now() + CASE WHEN $2 THEN $3::bigint ELSE 0 END * interval '1 millisecond'
		ON CONFLICT (tool_id) DO UPDATE SET healthy = excluded.healthy, latency_ms = 0, error = '', failures = 0, checked_at = excluded.checked_at,
			compared_at = excluded.compared_at, since = CASE WHEN h.healthy AND excluded.healthy THEN h.since ELSE excluded.since END, due_at = excluded.due_at`,
		a.tool, a.seen, a.every.Milliseconds())
	return err
}

// insertMethods pins a version's methods. Those of a version that was in force
// before are there: the same ones, or it would be a new version.
func (r *Repository) insertMethods(ctx context.Context, tx pgx.Tx, id uuid.UUID, version int64, p *pins) error {
	if p == nil {
		return nil
	}
	var names, digests, definitions, flags []string
	for _, m := range p.Methods {
		definition, err := json.Marshal(m.Method)
		if err != nil {
			return err
		}
		flagged, err := json.Marshal(flagsOf(m.Method))
		if err != nil {
			return err
		}
		names, digests, definitions, flags = append(names, m.Name), append(digests, m.Digest), append(definitions, string(definition)), append(flags, string(flagged))
	}
	_, err := postgres.Exec(ctx, tx, `
		INSERT INTO uaol_registry.methods (tool_id, version, name, position, digest, definition, flags)
		SELECT $1, $2, m.name, m.position, m.digest, m.definition, m.flags::jsonb
		FROM unnest($3::text[], $4::text[], $5::text[], $6::text[]) WITH ORDINALITY AS m (name, digest, definition, flags, position)
		ON CONFLICT (tool_id, version, name) DO NOTHING`, id, version, names, digests, definitions, flags)
	return err
}

// reject ends the wait of a version; kind Conflict when it does not wait any more.
func (r *Repository) reject(ctx context.Context, id uuid.UUID, version int64, by uuid.UUID, reason string) (Tool, events.Event, error) {
	return r.change(ctx, "tool.rejected", id, func(tx pgx.Tx) error {
		n, err := postgres.Exec(ctx, tx, `
			UPDATE uaol_registry.tools SET pending_version = NULL, status = CASE status WHEN 'Pending' THEN 'Rejected' ELSE status END, updated_at = now()
			WHERE tool_id = $1 AND pending_version = $2`, id, version)
		if err != nil {
			return err
		}
		if n == 0 {
			return errOvertaken
		}
		if _, err := postgres.Exec(ctx, tx, `
			UPDATE uaol_registry.versions SET status = 'Rejected', decided_by = $3, decided_at = now(), reason = $4
			WHERE tool_id = $1 AND version = $2`, id, version, by, reason); err != nil {
			return err
		}
		return r.decided(ctx, tx, Decided{ToolID: id, Version: version, Act: rejected, Account: &by, Reason: reason})
	})
}

// disable ends all calls; kind NotFound when there is no such tool.
func (r *Repository) disable(ctx context.Context, id uuid.UUID, act Act, by uuid.UUID, reason string) (Tool, events.Event, error) {
	return r.change(ctx, "tool.disabled", id, func(tx pgx.Tx) error {
		version, err := postgres.Value[int64](ctx, tx, `
			UPDATE uaol_registry.tools SET status = 'Disabled', approved_version = NULL, updated_at = now() WHERE tool_id = $1 RETURNING version`, id)
		if services.Is(err, services.NotFound) {
			return errNotFound
		}
		if err != nil {
			return err
		}
		if _, err := postgres.Exec(ctx, tx, `DELETE FROM uaol_registry.differences WHERE tool_id = $1`, id); err != nil {
			return err
		}
		if _, err := postgres.Exec(ctx, tx, `DELETE FROM uaol_registry.health WHERE tool_id = $1`, id); err != nil {
			return err
		}
		return r.decided(ctx, tx, Decided{ToolID: id, Version: version, Act: act, Account: &by, Reason: reason})
	})
}

// Act is what was done to a tool.
type Act string

// The acts.
const (
	submitted   Act = "submitted"
	approved    Act = "approved"
	rejected    Act = "rejected"
	disabled    Act = "disabled"
	deleted     Act = "deleted"     // by its owner
	quarantined Act = "quarantined" // its server lists other methods than were approved
	restored    Act = "restored"    // its server lists what was approved again
)

// Decided is an entry of a tool's history.
type Decided struct {
	ID      uuid.UUID     `json:"decision_id" db:"decision_id"`
	ToolID  uuid.UUID     `json:"-" db:"tool_id"`
	Version int64         `json:"version" db:"version"`
	Act     Act           `json:"act" db:"act" enum:"submitted,approved,rejected,disabled,deleted,quarantined,restored"`
	Account *uuid.UUID    `json:"account_id" db:"account_id" doc:"who did it; null for the platform itself"`
	Reason  string        `json:"reason" db:"reason"`
	Time    services.Time `json:"created_at" db:"created_at"`
}

func (r *Repository) decided(ctx context.Context, tx pgx.Tx, d Decided) error {
	_, err := postgres.Exec(ctx, tx, `
		INSERT INTO uaol_registry.decisions (decision_id, tool_id, version, act, account_id, reason)
		VALUES ($1, $2, $3, $4, $5::uuid, $6)`, uuid.Must(uuid.NewV7()), d.ToolID, d.Version, string(d.Act), d.Account, d.Reason)
	return err
}

// history lists what was decided about a tool, newest first.
func (r *Repository) history(ctx context.Context, id uuid.UUID, before time.Time, beforeID uuid.UUID, limit int) ([]Decided, error) {
	return postgres.All[Decided](ctx, r.pool, `
		SELECT decision_id, tool_id, version, act, account_id, reason, created_at FROM uaol_registry.decisions
		WHERE tool_id = $1 AND (created_at, decision_id) < ($2::timestamptz, $3::uuid)
		ORDER BY created_at DESC, decision_id DESC LIMIT $4`, id, before, beforeID, limit)
}

// Version is one of a tool's definitions, and what was decided about it.
type Version struct {
	Version    int64          `json:"version" db:"version"`
	Status     string         `json:"status" db:"status" enum:"Pending,Approved,Rejected,Superseded"`
	Definition Definition     `json:"definition" db:"definition"`
	Pinned     bool           `json:"pinned" db:"pinned"`
	Digest     string         `json:"digest" db:"digest"`
	CreatedBy  uuid.UUID      `json:"created_by" db:"created_by"`
	CreatedAt  services.Time  `json:"created_at" db:"created_at"`
	DecidedBy  *uuid.UUID     `json:"decided_by" db:"decided_by"`
	DecidedAt  *services.Time `json:"decided_at" db:"decided_at"`
	Reason     string         `json:"reason" db:"reason"`
}

// versions lists a tool's versions, newest first, below the given one.
func (r *Repository) versions(ctx context.Context, id uuid.UUID, below int64, limit int) ([]Version, error) {
	return postgres.All[Version](ctx, r.pool, `
		SELECT version, status, definition, pinned, digest, created_by, created_at, decided_by, decided_at, reason FROM uaol_registry.versions
		WHERE tool_id = $1 AND version < $2 ORDER BY version DESC LIMIT $3`, id, below, limit)
}

// version gives one of a tool's versions.
func (r *Repository) version(ctx context.Context, id uuid.UUID, version int64) (Version, error) {
	return postgres.One[Version](ctx, r.pool, `
		SELECT version, status, definition, pinned, digest, created_by, created_at, decided_by, decided_at, reason FROM uaol_registry.versions
		WHERE tool_id = $1 AND version = $2`, id, version)
}

// waiting is a tool's place in the review queue.
type waiting struct {
	At      time.Time `db:"at"`
	ID      uuid.UUID `db:"tool_id"`
	Version int64     `db:"version"` // that waits; 0 when it is the server's methods that changed
}

// queue lists what waits for an admin, oldest first, after the given place.
func (r *Repository) queue(ctx context.Context, after waiting, limit int) ([]waiting, error) {
	return postgres.All[waiting](ctx, r.pool, `
		SELECT q.at, q.tool_id, q.version FROM (
			SELECT v.created_at AS at, v.tool_id, v.version
			FROM uaol_registry.versions v JOIN uaol_registry.tools t ON t.tool_id = v.tool_id AND t.pending_version = v.version
			WHERE v.status = 'Pending' AND t.status <> 'Disabled'
			UNION ALL
			SELECT min(d.seen_at), d.tool_id, 0 FROM uaol_registry.differences d GROUP BY d.tool_id) q
		WHERE (q.at, q.tool_id, q.version) > ($1::timestamptz, $2::uuid, $3::bigint)
		ORDER BY q.at, q.tool_id, q.version LIMIT $4`, after.At, after.ID, after.Version, limit)
}

// proposals gives the definitions of some tools' pending versions.
func (r *Repository) proposals(ctx context.Context, ids []uuid.UUID) ([]proposal, error) {
	return postgres.All[proposal](ctx, r.pool, `
		SELECT v.tool_id, v.version, v.definition, v.created_by FROM uaol_registry.versions v
		JOIN uaol_registry.tools t ON t.tool_id = v.tool_id AND t.pending_version = v.version
		WHERE v.tool_id = ANY ($1::text[]::uuid[])`, postgres.UUIDs(ids))
}

type proposal struct {
	ID         uuid.UUID  `db:"tool_id"`
	Version    int64      `db:"version"`
	Definition Definition `db:"definition"`
	By         uuid.UUID  `db:"created_by"`
}
