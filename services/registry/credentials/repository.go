package credentials

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"uaol/providers/events"
	"uaol/providers/postgres"
	"uaol/services"
)

// Repository is the SQL of secrets, grants and consents.
type Repository struct {
	pool   *pgxpool.Pool
	outbox events.Outbox
}

// NewRepository makes a Repository.
func NewRepository(pool *pgxpool.Pool) *Repository {
	return &Repository{pool: pool, outbox: events.NewOutbox(services.Registry)}
}

// changed tells every process that what it keeps of a tool's credentials counts
// no more.
func changed(tool Tool) events.Event {
	return events.New("tool.credentials", tool.ID.String(), tool.Organization, nil)
}

// change runs f and adds the event that tells of it, in one transaction.
func (r *Repository) change(ctx context.Context, happened events.Event, f func(tx pgx.Tx) error) error {
	return postgres.InTx(ctx, r.pool, func(tx pgx.Tx) error {
		if err := f(tx); err != nil {
			return err
		}
		return r.outbox.Append(ctx, tx, happened)
	})
}

// holders are the three whose credentials a caller's calls of a tool may carry.
type holders struct{ tool, organization, user uuid.UUID }

func holdersOf(tool uuid.UUID, caller services.Caller) holders {
	return holders{tool: tool, organization: caller.Organization, user: caller.Account}
}

// held is the condition for rows of a tool ($1) that are one of the holders'
// ($2 the organisation, $3 the account).
const held = `tool_id = $1::uuid AND ((scope = 'tool' AND holder_id = $1::uuid)
	OR (scope = 'organization' AND holder_id = $2::uuid) OR (scope = 'user' AND holder_id = $3::uuid))`

// kept is a secret's row in the index.
type kept struct {
	place
	Sealed    []byte    `db:"sealed"`
	UpdatedAt time.Time `db:"updated_at"`
}

const keptColumns = `tool_id, scope, holder_id, name, origin, sealed, updated_at`

// secrets gives what there is for the holders, by name.
func (r *Repository) secrets(ctx context.Context, h holders) ([]kept, error) {
	return postgres.All[kept](ctx, r.pool, `
		SELECT `+keptColumns+` FROM uaol_registry.secrets WHERE NOT forgotten AND `+held+` ORDER BY name, scope, origin`, h.tool, h.organization, h.user)
}

// maxSecrets bounds how many secrets one holder may give for one address of a tool.
const maxSecrets = 50

// set stores a secret; kind NotFound when the holder has too many.
func (r *Repository) set(ctx context.Context, at place, sealed []byte, happened events.Event) (row kept, err error) {
	err = r.change(ctx, happened, func(tx pgx.Tx) (err error) {
		row, err = postgres.One[kept](ctx, tx, `
			INSERT INTO uaol_registry.secrets (tool_id, scope, holder_id, name, origin, sealed)
			SELECT $1::uuid, $2::text, $3::uuid, $4::text, $5::text, $6::bytea
			WHERE (SELECT count(*) FROM uaol_registry.secrets o
				WHERE o.tool_id = $1::uuid AND o.scope = $2::text AND o.holder_id = $3::uuid AND o.name <> $4::text
					AND o.origin = $5::text AND NOT o.forgotten) < $7
			ON CONFLICT (tool_id, scope, holder_id, name, origin) DO UPDATE SET sealed = excluded.sealed, forgotten = false, updated_at = now()
			RETURNING `+keptColumns, at.Tool, at.Scope, at.Holder, at.Name, at.Origin, sealed, maxSecrets)
		return err
	})
	return row, err
}

// forget makes a secret count no more, whatever address it was given for, and
// gives the places whose values are to be removed.
func (r *Repository) forget(ctx context.Context, at place, happened events.Event) (places []place, err error) {
	err = r.change(ctx, happened, func(tx pgx.Tx) (err error) {
		places, err = postgres.All[place](ctx, tx, `
			UPDATE uaol_registry.secrets SET forgotten = true WHERE tool_id = $1 AND scope = $2 AND holder_id = $3 AND name = $4
			RETURNING tool_id, scope, holder_id, name, origin`, at.Tool, at.Scope, at.Holder, at.Name)
		return err
	})
	return places, err
}

// drop removes a forgotten secret's row, unless it was given anew meanwhile.
func (r *Repository) drop(ctx context.Context, at place) error {
	_, err := postgres.Exec(ctx, r.pool, `
		DELETE FROM uaol_registry.secrets WHERE tool_id = $1 AND scope = $2 AND holder_id = $3 AND name = $4 AND origin = $5 AND forgotten`,
		at.Tool, at.Scope, at.Holder, at.Name, at.Origin)
	return err
}

// grant is a grant's row. What depends on the time was reckoned by the database.
type grant struct {
	Tool   uuid.UUID `db:"tool_id"`
	Scope  Scope     `db:"scope"`
	Holder uuid.UUID `db:"holder_id"`
	Bound  string    `db:"bound"`
	Sealed []byte    `db:"sealed"` // empty while the first token is being got
	Fence  int64     `db:"fence"`
	Failed int64     `db:"failed_fence"`
	Scopes string    `db:"scopes"`
	Fresh  bool      `db:"fresh"`  // need not be renewed yet
	Valid  bool      `db:"valid"`  // can still be used
	Leased bool      `db:"leased"` // somebody is renewing it
	Young  bool      `db:"young"`  // its token has just been got
	Left   *float64  `db:"seconds"`

	ExpiresAt *services.Time `db:"expires_at"`
	UpdatedAt services.Time  `db:"updated_at"`
}

const grantColumns = `tool_id, scope, holder_id, bound, sealed, fence, failed_fence, scopes,
	length(sealed) > 0 AND (renew_at IS NULL OR renew_at > now()) AS fresh,
	length(sealed) > 0 AND (expires_at IS NULL OR expires_at > now() + interval '5 seconds') AS valid,
	coalesce(leased_until > now(), false) AS leased, updated_at > now() - interval '30 seconds' AS young,
	extract(epoch FROM renew_at - now())::float8 AS seconds, expires_at, updated_at`

// grants gives what there is for the holders.
func (r *Repository) grants(ctx context.Context, h holders) ([]grant, error) {
	return postgres.All[grant](ctx, r.pool, `SELECT `+grantColumns+` FROM uaol_registry.grants WHERE `+held, h.tool, h.organization, h.user)
}

// lease is how long whoever renews a grant has for it: a request to the server
// and two writes.
const lease = 20 * time.Second

// claim takes the turn to renew a grant, if it still is as it was read and
// nobody has it: then it gives the fence that the outcome is written under.
func (r *Repository) claim(ctx context.Context, g grant) (fence int64, claimed bool, err error) {
	fence, err = postgres.Value[int64](ctx, r.pool, `
		UPDATE uaol_registry.grants SET leased_until = now() + $5 * interval '1 second', fence = fence + 1
		WHERE tool_id = $1 AND scope = $2 AND holder_id = $3 AND fence = $4 AND (leased_until IS NULL OR leased_until <= now())
		RETURNING fence`, g.Tool, g.Scope, g.Holder, g.Fence, int64(lease/time.Second))
	if services.Is(err, services.NotFound) {
		return 0, false, nil
	}
	return fence, err == nil, err
}

// begin claims a grant that is not there yet.
func (r *Repository) begin(ctx context.Context, g grant) (claimed bool, err error) {
	n, err := postgres.Exec(ctx, r.pool, `
		INSERT INTO uaol_registry.grants (tool_id, scope, holder_id, bound, sealed, fence, leased_until)
		VALUES ($1, $2, $3, $4, ''::bytea, 1, now() + $5 * interval '1 second')
		ON CONFLICT (tool_id, scope, holder_id) DO NOTHING`, g.Tool, g.Scope, g.Holder, g.Bound, int64(lease/time.Second))
	return n == 1, err
}

// lifetime is for how many seconds a token counts, and when to renew it; nil
// when the server did not say.
type lifetime struct{ expires, renew *int64 }

// renewed writes what a renewal brought, unless its turn has passed.
func (r *Repository) renewed(ctx context.Context, g grant, l lifetime) (written bool, err error) {
	n, err := postgres.Exec(ctx, r.pool, `
		UPDATE uaol_registry.grants SET bound = $5, sealed = $6, scopes = $7, updated_at = now(), leased_until = NULL,
			expires_at = now() + $8::bigint * interval '1 second', renew_at = now() + $9::bigint * interval '1 second'
		WHERE tool_id = $1 AND scope = $2 AND holder_id = $3 AND fence = $4`,
		g.Tool, g.Scope, g.Holder, g.Fence, g.Bound, g.Sealed, g.Scopes, l.expires, l.renew)
	return n == 1, err
}

// failed gives a turn back that came to nothing, so that those who waited for it
// learn that.
func (r *Repository) failed(ctx context.Context, g grant) error {
	_, err := postgres.Exec(ctx, r.pool, `
		UPDATE uaol_registry.grants SET leased_until = NULL, failed_fence = fence
		WHERE tool_id = $1 AND scope = $2 AND holder_id = $3 AND fence = $4`, g.Tool, g.Scope, g.Holder, g.Fence)
	return err
}

// end removes a grant that its server has ended.
func (r *Repository) end(ctx context.Context, g grant, happened events.Event) error {
	return r.change(ctx, happened, func(tx pgx.Tx) error {
		_, err := postgres.Exec(ctx, tx, `
			DELETE FROM uaol_registry.grants WHERE tool_id = $1 AND scope = $2 AND holder_id = $3 AND fence = $4`, g.Tool, g.Scope, g.Holder, g.Fence)
		return err
	})
}

// connect stores a grant, in place of an earlier one: whoever is renewing that
// writes nothing any more.
func (r *Repository) connect(ctx context.Context, g grant, l lifetime, happened events.Event) error {
	return r.change(ctx, happened, func(tx pgx.Tx) error {
		_, err := postgres.Exec(ctx, tx, `
			INSERT INTO uaol_registry.grants AS g (tool_id, scope, holder_id, bound, sealed, scopes, expires_at, renew_at)
			VALUES ($1, $2, $3, $4, $5, $6, now() + $7::bigint * interval '1 second', now() + $8::bigint * interval '1 second')
			ON CONFLICT (tool_id, scope, holder_id) DO UPDATE SET bound = excluded.bound, sealed = excluded.sealed, scopes = excluded.scopes,
				expires_at = excluded.expires_at, renew_at = excluded.renew_at, fence = g.fence + 1, leased_until = NULL, updated_at = now()`,
			g.Tool, g.Scope, g.Holder, g.Bound, g.Sealed, g.Scopes, l.expires, l.renew)
		return err
	})
}

// disconnect forgets a holder's grant.
func (r *Repository) disconnect(ctx context.Context, g grant, happened events.Event) error {
	return r.change(ctx, happened, func(tx pgx.Tx) error {
		_, err := postgres.Exec(ctx, tx, `
			DELETE FROM uaol_registry.grants WHERE tool_id = $1 AND scope = $2 AND holder_id = $3`, g.Tool, g.Scope, g.Holder)
		return err
	})
}

const consentLife = 10 * time.Minute

// addConsent remembers a consent under way, by its state's hash.
func (r *Repository) addConsent(ctx context.Context, hash string, c consent, sealed []byte) error {
	_, err := postgres.Exec(ctx, r.pool, `
		INSERT INTO uaol_registry.authorizations (hash, tool_id, account_id, holder_id, sealed, expires_at)
		VALUES ($1, $2, $3, $4, $5, now() + $6 * interval '1 second')`,
		hash, c.Tool, c.Account, c.Holder, sealed, int64(consentLife/time.Second))
	return err
}

// takeConsent gives a consent under way, once; kind NotFound when there is none
// of that state, or no longer, or it is another account's, who may still end it.
func (r *Repository) takeConsent(ctx context.Context, hash string, account uuid.UUID) (sealed []byte, err error) {
	return postgres.Value[[]byte](ctx, r.pool, `
		DELETE FROM uaol_registry.authorizations WHERE hash = $1 AND account_id = $2 AND expires_at > now() RETURNING sealed`, hash, account)
}

// Prune drops consents that nobody has given in time.
func (r *Repository) Prune(ctx context.Context) error {
	_, err := postgres.Exec(ctx, r.pool, `DELETE FROM uaol_registry.authorizations WHERE expires_at <= now()`)
	return err
}
