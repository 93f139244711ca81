package proxy

import (
	"context"
	"time"

	"github.com/google/uuid"

	"uaol/providers/postgres"
	"uaol/services"
)

// Calls is what has been called: shown, exported, erased and, in time, forgotten.
type Calls struct {
	repository *Repository
	days       int
}

// NewCalls makes a Calls.
func NewCalls(cfg Config, repository *Repository) *Calls {
	return &Calls{repository: repository, days: cfg.Days}
}

const (
	exportPage  = 500
	eraseBatch  = 1_000
	forgetBatch = 5_000
	forgetEvery = 10 * time.Minute
)

// List gives the calls that a caller may see, before a moment and an id, newest
// first: members' own, an organisation's for its admins, any for the platform's.
// Kind Forbidden for others.
func (c *Calls) List(ctx context.Context, caller services.Caller, f Filter, before time.Time, beforeID uuid.UUID, limit int) ([]Record, error) {
	if f.Organization == uuid.Nil {
		f.Organization = caller.Organization
	}
	switch {
	case caller.Admin():
	case f.Organization != caller.Organization:
		return nil, services.Errorf(services.Forbidden, "Only a platform admin sees other organisations' calls")
	case caller.OrgRole.AtLeast(services.OrgAdmin):
	case f.Account != uuid.Nil && f.Account != caller.Account:
		return nil, services.Errorf(services.Forbidden, "Only an admin of the organisation sees other members' calls")
	default:
		f.Account = caller.Account
	}
	return c.repository.list(ctx, f, before, beforeID, limit)
}

// Find gives a call that the caller may see; kind NotFound for others.
func (c *Calls) Find(ctx context.Context, caller services.Caller, id uuid.UUID) (Record, error) {
	record, err := c.repository.find(ctx, id)
	sees := caller.Admin() || caller.Owns(record.Organization) && (record.Account == caller.Account || caller.OrgRole.AtLeast(services.OrgAdmin))
	if services.Is(err, services.NotFound) || err == nil && !sees {
		return Record{}, services.Errorf(services.NotFound, "Call not found")
	}
	return record, err
}

// Forget removes what is older than it is kept.
func (c *Calls) Forget(ctx context.Context) error {
	err := batches(forgetBatch, func(limit int) (int64, error) { return c.repository.forget(ctx, c.days, limit) })
	if err == nil {
		err = batches(forgetBatch, func(limit int) (int64, error) { return c.repository.forgetMinutes(ctx, limit) })
	}
	if err != nil {
		return err
	}
	return batches(forgetBatch, func(limit int) (int64, error) { return c.repository.forgetKeys(ctx, limit) })
}

// batches repeats what works on so many rows at once until there are fewer.
func batches(limit int, f func(limit int) (int64, error)) error {
	for {
		n, err := f(limit)
		if err != nil || n < int64(limit) {
			return err
		}
	}
}

type place struct {
	At time.Time
	ID uuid.UUID
}

// Export implements services.Keeper.
func (c *Calls) Export(ctx context.Context, in services.ExportRequest) (services.Part, error) {
	return services.Sections(ctx, in, c.exportCalls, c.exportProfiles)
}

func (c *Calls) exportCalls(ctx context.Context, in services.ExportRequest) (services.Part, error) {
	return services.PartOf(in, "calls", func(h services.Holding, after *place) ([]Record, error) {
		if after == nil {
			after = &place{}
		}
		return c.repository.held(ctx, h, *after, exportPage)
	}, func(r Record) place { return place{r.CreatedAt.Time, r.ID} })
}

// Erase implements services.Keeper. Calls for other people's organisations are
// those organisations' own: they stay, as nobody's. Counts name nobody but the
// organisation, and go with it.
func (c *Calls) Erase(ctx context.Context, who services.Person) error {
	err := batches(eraseBatch, func(limit int) (int64, error) {
		return c.repository.removeKeys(ctx, who.Account, who.Organizations, limit)
	})
	if err == nil {
		err = c.eraseProfiles(ctx, who)
	}
	if err != nil {
		return err
	}
	err = batches(eraseBatch, func(limit int) (int64, error) { return c.repository.remove(ctx, who.Organizations, limit) })
	if err == nil {
		err = batches(eraseBatch, func(limit int) (int64, error) { return c.repository.removeMinutes(ctx, who.Organizations, limit) })
	}
	if err != nil || who.Guest {
		return err
	}
	return batches(eraseBatch, func(limit int) (int64, error) { return c.repository.disown(ctx, who.Account, limit) })
}

func (r *Repository) held(ctx context.Context, h services.Holding, after place, limit int) ([]Record, error) {
	return postgres.All[Record](ctx, r.pool, `
		SELECT `+recordColumns+` FROM uaol_proxy.calls
		WHERE organization_id = $1 AND ($2::uuid IS NULL OR account_id = $2::uuid) AND (created_at, call_id) > ($3::timestamptz, $4::uuid)
		ORDER BY created_at, call_id LIMIT $5`, h.Organization, h.Maker, after.At, after.ID, limit)
}

func (r *Repository) remove(ctx context.Context, organizations []uuid.UUID, limit int) (int64, error) {
	return postgres.Exec(ctx, r.pool, `
		DELETE FROM uaol_proxy.calls WHERE call_id IN (
			SELECT call_id FROM uaol_proxy.calls WHERE organization_id = ANY ($1::text[]::uuid[]) ORDER BY call_id LIMIT $2)`,
		postgres.UUIDs(organizations), limit)
}

func (r *Repository) removeMinutes(ctx context.Context, organizations []uuid.UUID, limit int) (int64, error) {
	return postgres.Exec(ctx, r.pool, `
		DELETE FROM uaol_proxy.call_minutes WHERE (organization_id, minute, shard, outcome, latency) IN (
			SELECT organization_id, minute, shard, outcome, latency FROM uaol_proxy.call_minutes
			WHERE organization_id = ANY ($1::text[]::uuid[]) LIMIT $2)`, postgres.UUIDs(organizations), limit)
}

func (r *Repository) disown(ctx context.Context, account uuid.UUID, limit int) (int64, error) {
	return postgres.Exec(ctx, r.pool, `
		UPDATE uaol_proxy.calls SET account_id = '00000000-0000-0000-0000-000000000000', key_id = NULL WHERE call_id IN (
			SELECT call_id FROM uaol_proxy.calls WHERE account_id = $1 ORDER BY call_id LIMIT $2)`, account, limit)
}
