package jobs

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/events"
	"uaol/providers/postgres"
	"uaol/services"
	"uaol/services/billing"
	"uaol/services/jobs/workflow"
	"uaol/services/registry"
)

// Retry takes a job up again that has failed or was cancelled, where it stood:
// what has succeeded is not done again, and not paid again. A step whose outcome
// is unknown stays so until somebody decides.
func (s *Service) Retry(ctx context.Context, caller services.Caller, id uuid.UUID) (Job, error) {
	job, err := s.find(ctx, caller, id)
	if err != nil {
		return Job{}, err
	}
	if job.Status != Failed && job.Status != Cancelled {
		return Job{}, services.Errorf(services.Conflict, "The job is %s: only one that has failed or was cancelled is tried again", job.Status)
	}
	if job.archived != nil {
		return Job{}, errArchived
	}
	if err := s.repository.drivenAgain(ctx, id); err != nil {
		return Job{}, err
	}
	cost, calls, err := s.left(ctx, caller, job)
	if err != nil {
		return Job{}, err
	}
	retries := job.Retries + 1
	if cost > 0 {
		_, err := s.meter.Hold(ctx, billing.HoldRequest{ID: holdOf(id, retries), Caller: caller, Owner: billing.OwnerJob, Job: id, Amount: cost, Calls: calls, Lifetime: holdFirst})
		if err != nil {
			return Job{}, err
		}
	}
	taken, err := s.repository.retry(ctx, id, retries, cost)
	if err != nil {
		return Job{}, err
	}
	if !taken {
		return Job{}, services.Errorf(services.Conflict, "The job was tried again meanwhile")
	}
	s.bus.Publish(events.New("job.created", "", caller.Organization, nil))
	return s.Get(ctx, caller, id)
}

// left is what the steps cost that have not succeeded, as far as it is known. Kind
// Conflict when one of them would call a tool that is not what it was when the job
// was made: it would only fail again.
func (s *Service) left(ctx context.Context, caller services.Caller, job jobRow) (cost, calls int64, err error) {
	definition, err := s.repository.definitions.of(string(job.Definition))
	if err != nil {
		return 0, 0, err
	}
	frozen, err := planOf(job.Plan)
	if err != nil {
		return 0, 0, err
	}
	rows, err := s.repository.steps(ctx, job.ID)
	if err != nil {
		return 0, 0, err
	}
	done := make([]bool, len(frozen))
	for _, row := range rows {
		if row.Item == whole && row.Status == Success && row.Position < len(frozen) {
			frozen[row.Position].Price, done[row.Position] = 0, true
		}
	}
	cost, calls = frozen.cost(definition)
	return cost, calls, s.unchanged(ctx, caller, job.ID, definition, frozen, done)
}

// unchanged reports whether the tools of the steps that are not done are those that
// they were.
func (s *Service) unchanged(ctx context.Context, caller services.Caller, job uuid.UUID, d *workflow.Definition, frozen plan, done []bool) error {
	pricing := pricer{service: s, caller: caller, known: map[uuid.UUID]*registry.Offer{}}
	if err := pricing.look(ctx, d); err != nil {
		return err
	}
	for i := range d.Steps {
		tool := d.Steps[i].Tool
		if tool == nil || i >= len(frozen) || done[i] {
			continue
		}
		changed := "is not to be had any more"
		if offer := pricing.known[tool.ToolID]; offer != nil && offer.VisibleTo(caller) {
			if offer.Version == frozen[i].Version {
				continue
			}
			changed = fmt.Sprintf("has version %d now, and the job is for version %d", offer.Version, frozen[i].Version)
		}
		return services.Errorf(services.Conflict, "The tool of step %s %s; redrive the job instead: it is made anew then (POST /jobs/dead/redrive, uaol jobs redrive %s)", d.Steps[i].ID, changed, job)
	}
	return nil
}

// retry puts a job that has ended back into the queue; false when it was not as
// it was looked at any more.
func (r *Repository) retry(ctx context.Context, id uuid.UUID, retries int, cost int64) (taken bool, err error) {
	err = postgres.InTx(ctx, r.pool, func(tx pgx.Tx) error {
		n, err := postgres.Exec(ctx, tx, `
			UPDATE uaol_jobs.jobs SET status = 'Queued', end_time = NULL, error_message = NULL, retries = $2, cost = $3, deadline = now() + timeout_ms * interval '1 millisecond',
				turn = NULL, updated_at = now()
			WHERE job_id = $1 AND status IN ('Failed', 'Cancelled') AND retries = $2 - 1`, id, retries, cost)
		if taken = n == 1; err != nil || !taken {
			return err
		}
		if _, err := postgres.Exec(ctx, tx, `DELETE FROM uaol_jobs.steps WHERE job_id = $1 AND status IN ('Failed', 'Cancelled')`, id); err != nil {
			return err
		}
		// What was decided about a step that begins anew is no word about it now.
		if _, err := postgres.Exec(ctx, tx, `
			DELETE FROM uaol_jobs.decisions d WHERE d.job_id = $1 AND NOT EXISTS (
				SELECT 1 FROM uaol_jobs.steps s WHERE s.job_id = d.job_id AND s.position = d.position AND s.item = d.item)`, id); err != nil {
			return err
		}
		if _, err := postgres.Exec(ctx, tx, `
			UPDATE uaol_jobs.steps SET end_time = NULL, asks = (SELECT organization_id FROM uaol_jobs.jobs WHERE job_id = $1) WHERE job_id = $1 AND status = 'Unknown'`, id); err != nil {
			return err
		}
		if n, err = postgres.Exec(ctx, tx, `DELETE FROM uaol_jobs.failures WHERE job_id = $1 AND redriven IS NULL`, id); err != nil || n == 0 {
			taken = false
			return errors.Join(err, errTaken)
		}
		_, err = postgres.Exec(ctx, tx, `
			INSERT INTO uaol_jobs.queue (job_id, lane, priority, fence, status, started_at)
			SELECT job_id, account_id, priority, greatest(attempts, 1), 'Queued', start_time FROM uaol_jobs.jobs WHERE job_id = $1`, id)
		if err != nil || !r.outward {
			return err
		}
		_, err = postgres.Exec(ctx, tx, `
			INSERT INTO uaol_jobs.outbox (event_id, type, subject, organization_id, data)
			SELECT gen_random_uuid(), 'job.signalled', job_id::text, organization_id, '{}' FROM uaol_jobs.jobs WHERE job_id = $1`, id)
		return err
	})
	if errors.Is(err, errTaken) {
		err = nil
	}
	return taken, err
}

// errTaken rolls a retry back whose job another has taken up meanwhile.
var errTaken = errors.New("the job was taken up meanwhile")

// drivenAgain is a Conflict for a job that another was made of: both would do the work.
func (r *Repository) drivenAgain(ctx context.Context, id uuid.UUID) error {
	another, err := postgres.Value[*uuid.UUID](ctx, r.pool, `SELECT max(redriven::text)::uuid FROM uaol_jobs.failures WHERE job_id = $1`, id)
	if err == nil && another != nil {
		err = services.Errorf(services.Conflict, "The job was driven again as %s, which does its work", another)
	}
	return err
}
