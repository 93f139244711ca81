package jobs

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/postgres"
	"uaol/services"
)

const workflowColumns = `w.workflow_id, w.account_id, w.name, w.description, w.version, w.archived_at, w.created_at, w.updated_at`

// saveWorkflow saves the first version of a workflow, or gives the one that the same request
// has saved; kind Conflict when the name is taken.
func (r *Repository) saveWorkflow(ctx context.Context, caller services.Caller, in WorkflowRequest) (Workflow, error) {
	id := services.NewID(ctx, caller.Account, caller.Organization, "workflow")
	made, err := postgres.One[Workflow](ctx, r.pool, `
		WITH version AS (
			INSERT INTO uaol_jobs.workflow_versions (workflow_id, version, definition, account_id) VALUES ($1, 1, $6, $3)
		)
		INSERT INTO uaol_jobs.workflows AS w (workflow_id, organization_id, account_id, name, description, version)
		VALUES ($1, $2, $3, $4, $5, 1) RETURNING `+workflowColumns+`, $6::text AS definition`,
		id, caller.Organization, caller.Account, in.Name, in.Description, string(in.Definition))
	if err == nil {
		return made, nil
	}
	// Of several keys that are taken, any may be told of.
	before, beforeErr := r.workflow(ctx, caller.Organization, id)
	switch {
	case services.Is(beforeErr, services.NotFound): // not by the same request
		return Workflow{}, nameTaken(err, in.Name)
	case beforeErr != nil:
		return Workflow{}, err
	case before.Name != in.Name || before.Description != in.Description || before.Version != 1 || string(before.Definition) != string(in.Definition):
		return Workflow{}, services.ErrRepeated
	}
	return before, nil
}

func nameTaken(err error, name string) error {
	if postgres.Violates(err, "workflows_name") {
		return services.Errorf(services.Conflict, "There is a workflow %q already", name).Because(err)
	}
	return err
}

func (r *Repository) workflows(ctx context.Context, organization uuid.UUID, before time.Time, beforeID uuid.UUID, limit int) ([]Workflow, error) {
	return postgres.All[Workflow](ctx, r.pool, `
		SELECT `+workflowColumns+`, NULL::text AS definition FROM uaol_jobs.workflows w
		WHERE w.organization_id = $1 AND w.archived_at IS NULL AND (w.created_at, w.workflow_id) < ($2::timestamptz, $3::uuid)
		ORDER BY w.created_at DESC, w.workflow_id DESC LIMIT $4`, organization, before, beforeID, limit)
}

func (r *Repository) workflow(ctx context.Context, organization, id uuid.UUID) (Workflow, error) {
	return postgres.One[Workflow](ctx, r.pool, `
		SELECT `+workflowColumns+`, v.definition FROM uaol_jobs.workflows w
		JOIN uaol_jobs.workflow_versions v ON v.workflow_id = w.workflow_id AND v.version = w.version
		WHERE w.workflow_id = $1 AND w.organization_id = $2`, id, organization)
}

func (r *Repository) workflowVersions(ctx context.Context, id uuid.UUID, below int64, limit int) ([]WorkflowVersion, error) {
	return postgres.All[WorkflowVersion](ctx, r.pool, `
		SELECT version, account_id, NULL::text AS definition, created_at FROM uaol_jobs.workflow_versions
		WHERE workflow_id = $1 AND version < $2 ORDER BY version DESC LIMIT $3`, id, below, limit)
}

func (r *Repository) workflowVersion(ctx context.Context, id uuid.UUID, number int64) (WorkflowVersion, error) {
	return postgres.One[WorkflowVersion](ctx, r.pool, `
		SELECT version, account_id, definition, created_at FROM uaol_jobs.workflow_versions
		WHERE workflow_id = $1 AND version = $2`, id, number)
}

// changeWorkflow writes a change under the workflow's lock. The newest version is
// read in a statement of its own: one that had to wait for the lock would join
// what it saw before.
func (r *Repository) changeWorkflow(ctx context.Context, caller services.Caller, id uuid.UUID, in WorkflowChange) (changed Workflow, err error) {
	err = postgres.InTx(ctx, r.pool, func(tx pgx.Tx) error {
		old, err := postgres.One[Workflow](ctx, tx, `
			SELECT `+workflowColumns+`, NULL::text AS definition FROM uaol_jobs.workflows w
			WHERE w.workflow_id = $1 AND w.organization_id = $2 FOR UPDATE`, id, caller.Organization)
		switch {
		case services.Is(err, services.NotFound):
			return errNoWorkflow
		case err != nil:
			return err
		case old.ArchivedAt != nil:
			return services.Errorf(services.Conflict, "The workflow is archived")
		case in.IfVersion != 0 && in.IfVersion != old.Version:
			return services.Errorf(services.Conflict, "The newest version is %d by now, not %d", old.Version, in.IfVersion).
				WithDetails(map[string]int64{"version": old.Version})
		}
		text, err := postgres.Value[string](ctx, tx, `
			SELECT definition FROM uaol_jobs.workflow_versions WHERE workflow_id = $1 AND version = $2`, id, old.Version)
		if err != nil {
			return err
		}
		number := old.Version
		if given(in.Definition) && !sameJSON(in.Definition, []byte(text)) {
			number, text = number+1, string(in.Definition)
			if _, err := postgres.Exec(ctx, tx, `
				INSERT INTO uaol_jobs.workflow_versions (workflow_id, version, definition, account_id) VALUES ($1, $2, $3, $4)`,
				id, number, text, caller.Account); err != nil {
				return err
			}
		}
		changed, err = postgres.One[Workflow](ctx, tx, `
			UPDATE uaol_jobs.workflows AS w SET version = $2, name = coalesce($3, w.name), description = coalesce($4, w.description), updated_at = now()
			WHERE w.workflow_id = $1 RETURNING `+workflowColumns+`, $5::text AS definition`, id, number, in.Name, in.Description, text)
		return err
	})
	if err != nil && in.Name != nil {
		err = nameTaken(err, *in.Name)
	}
	return changed, err
}

func (r *Repository) archiveWorkflow(ctx context.Context, organization, id uuid.UUID) (found bool, err error) {
	n, err := postgres.Exec(ctx, r.pool, `
		UPDATE uaol_jobs.workflows SET archived_at = coalesce(archived_at, now()), updated_at = now()
		WHERE workflow_id = $1 AND organization_id = $2`, id, organization)
	return n == 1, err
}
