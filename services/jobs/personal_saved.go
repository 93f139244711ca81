package jobs

import (
	"context"
	"encoding/json"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/postgres"
	"uaol/services"
)

const exportPage = 20 // workflows, with all versions of each

// exportedWorkflow is a workflow with all that it has ever said.
type exportedWorkflow struct {
	Workflow
	Versions json.RawMessage `json:"versions" db:"versions"`
}

func (s *Service) exportWorkflows(ctx context.Context, in services.ExportRequest) (services.Part, error) {
	return services.PartOf(in, "workflows", func(h services.Holding, after *place) ([]exportedWorkflow, error) {
		if after == nil {
			after = &place{}
		}
		return s.repository.heldWorkflows(ctx, h, *after, exportPage)
	}, func(w exportedWorkflow) place { return place{w.CreatedAt.Time, w.ID} })
}

// heldWorkflows gives those that somebody made, and of others' nothing but the
// versions that it wrote.
func (r *Repository) heldWorkflows(ctx context.Context, h services.Holding, after place, limit int) ([]exportedWorkflow, error) {
	return postgres.All[exportedWorkflow](ctx, r.pool, `
		SELECT w.workflow_id, coalesce($2::uuid, w.account_id) AS account_id, w.version, w.archived_at, w.created_at, w.updated_at, NULL::text AS definition,
			CASE WHEN $2::uuid IS NULL OR w.account_id = $2::uuid THEN w.name ELSE '' END AS name,
			CASE WHEN $2::uuid IS NULL OR w.account_id = $2::uuid THEN w.description ELSE '' END AS description, (
			SELECT jsonb_agg(jsonb_build_object('version', v.version, 'workflow_definition', v.definition, 'created_at', v.created_at) ORDER BY v.version)
			FROM uaol_jobs.workflow_versions v WHERE v.workflow_id = w.workflow_id AND ($2::uuid IS NULL OR v.account_id = $2::uuid)) AS versions
		FROM uaol_jobs.workflows w
		WHERE w.organization_id = $1 AND (w.created_at, w.workflow_id) > ($3::timestamptz, $4::uuid)
			AND ($2::uuid IS NULL OR w.account_id = $2::uuid OR w.workflow_id IN (
				SELECT v.workflow_id FROM uaol_jobs.workflow_versions v WHERE v.workflow_id = w.workflow_id AND v.account_id = $2::uuid))
		ORDER BY w.created_at, w.workflow_id LIMIT $5`, h.Organization, h.Maker, after.At, after.ID, limit)
}

func (s *Service) exportSchedules(ctx context.Context, in services.ExportRequest) (services.Part, error) {
	return services.PartOf(in, "schedules", func(h services.Holding, after *place) ([]Schedule, error) {
		if after == nil {
			after = &place{}
		}
		return s.repository.heldSchedules(ctx, h, *after, exportPage)
	}, func(s Schedule) place { return place{s.CreatedAt.Time, s.ID} })
}

func (r *Repository) heldSchedules(ctx context.Context, h services.Holding, after place, limit int) ([]Schedule, error) {
	return postgres.All[Schedule](ctx, r.pool, `
		SELECT `+scheduleColumns+`, s.definition FROM uaol_jobs.schedules s
		WHERE s.organization_id = $1 AND ($2::uuid IS NULL OR s.account_id = $2::uuid) AND (s.created_at, s.schedule_id) > ($3::timestamptz, $4::uuid)
		ORDER BY s.created_at, s.schedule_id LIMIT $5`, h.Organization, h.Maker, after.At, after.ID, limit)
}

// eraseSaved removes what organisations that end have saved, and makes what the
// account saved elsewhere nobody's; a schedule acts for nobody and is disabled.
func (r *Repository) eraseSaved(ctx context.Context, who services.Person) error {
	organizations := postgres.UUIDs(who.Organizations)
	return postgres.InTx(ctx, r.pool, func(tx pgx.Tx) error {
		for _, removal := range []string{
			`DELETE FROM uaol_jobs.schedule_runs u USING uaol_jobs.schedules s WHERE s.schedule_id = u.schedule_id AND s.organization_id = ANY ($1::text[]::uuid[])`,
			`DELETE FROM uaol_jobs.schedules WHERE organization_id = ANY ($1::text[]::uuid[])`,
			`DELETE FROM uaol_jobs.workflow_versions v USING uaol_jobs.workflows w WHERE w.workflow_id = v.workflow_id AND w.organization_id = ANY ($1::text[]::uuid[])`,
			`DELETE FROM uaol_jobs.workflows WHERE organization_id = ANY ($1::text[]::uuid[])`,
		} {
			if _, err := postgres.Exec(ctx, tx, removal, organizations); err != nil {
				return err
			}
		}
		for _, disowning := range []string{
			`UPDATE uaol_jobs.workflows SET account_id = $2 WHERE account_id = $1`,
			`UPDATE uaol_jobs.workflow_versions SET account_id = $2 WHERE account_id = $1`,
		} {
			if _, err := postgres.Exec(ctx, tx, disowning, who.Account, uuid.Nil); err != nil {
				return err
			}
		}
		_, err := postgres.Exec(ctx, tx, `
			UPDATE uaol_jobs.schedules SET account_id = $2, key_id = NULL, enabled = false, next_at = NULL, as_of = NULL, claimed_until = NULL,
				last_error = 'Whose account it was is gone', revision = revision + 1
			WHERE account_id = $1`, who.Account, uuid.Nil)
		return err
	})
}
