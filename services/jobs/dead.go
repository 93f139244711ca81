package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/events"
	"uaol/providers/postgres"
	"uaol/services"
	"uaol/services/billing"
)

// Dead lists the caller's jobs that have failed for good, newest first.
func (s *Service) Dead(ctx context.Context, caller services.Caller, before time.Time, beforeID uuid.UUID, limit int) ([]Job, error) {
	rows, err := s.repository.failed(ctx, caller.Organization, Failed, before, beforeID, limit)
	if err != nil {
		return nil, err
	}
	return s.shown(ctx, rows...)
}

// failed lists those of an organisation's jobs that ended in that way and were not
// driven again, newest first.
func (r *Repository) failed(ctx context.Context, organization uuid.UUID, status Status, before time.Time, beforeID uuid.UUID, limit int) ([]jobRow, error) {
	return postgres.All[jobRow](ctx, r.pool, `
		SELECT `+jobColumns+` FROM uaol_jobs.failures f JOIN uaol_jobs.jobs j ON j.job_id = f.job_id
			LEFT JOIN uaol_jobs.queue q ON q.job_id = j.job_id LEFT JOIN uaol_jobs.runs r ON r.job_id = j.job_id
		WHERE f.organization_id = $1 AND f.status = $2 AND (f.created_at, f.job_id) < ($3::timestamptz, $4::uuid) AND f.redriven IS NULL
		ORDER BY f.created_at DESC, f.job_id DESC LIMIT $5`, organization, string(status), before, beforeID, limit)
}

// RedriveRequest makes new jobs of ones that have failed.
type RedriveRequest struct {
	Jobs  []uuid.UUID     `json:"job_ids" minItems:"1" maxItems:"1000"`
	Input json.RawMessage `json:"input,omitempty" doc:"instead of what the jobs had"`
}

// Redriven says which job was made of which.
type Redriven struct {
	From uuid.UUID `json:"from"`
	Job  uuid.UUID `json:"job_id"`
}

// Redrive makes a new job of each that has failed: the same workflow from its
// beginning, with another input if there is one. Each is driven again once; who
// asks again is told what came of the first time.
func (s *Service) Redrive(ctx context.Context, caller services.Caller, in RedriveRequest) ([]Redriven, error) {
	var made []Redriven
	for i, id := range in.Jobs {
		old, err := s.find(ctx, caller, id)
		if err == nil && old.Status != Failed && old.Status != Cancelled {
			err = services.Errorf(services.Conflict, "The job %s is %s: only one that has failed is driven again", id, old.Status)
		}
		if err != nil {
			return made, services.Faults(services.Fault{Path: fmt.Sprintf("body.job_ids[%d]", i), Message: message(err)})
		}
		request, err := s.repository.requestOf(ctx, old)
		if err != nil {
			return made, err
		}
		if len(in.Input) > 0 {
			request.Input = in.Input
		}
		request.Key = "redrive/" + id.String() // the same however often it is asked for
		job, err := s.Create(ctx, caller, request)
		if services.Is(err, services.Conflict) {
			err = services.Errorf(services.Conflict, "The job %s was driven again already, with another input", id)
		}
		if err != nil {
			return made, err
		}
		if err := s.repository.redriven(ctx, id, job.ID); err != nil {
			return made, err
		}
		made = append(made, Redriven{From: id, Job: job.ID})
	}
	return made, nil
}

type requestRow struct {
	Definition string  `db:"definition" json:"definition"`
	Input      *string `db:"input" json:"input,omitempty"`
	Priority   int     `db:"priority" json:"priority,omitempty"`
	Turn       *string `db:"turn" json:"turn,omitempty"`
	Callback   *string `db:"callback_url" json:"callback_url,omitempty"`
	Metadata   *string `db:"metadata" json:"metadata,omitempty"`

	Workflow *uuid.UUID `db:"workflow_id" json:"workflow_id,omitempty"`
	Version  *int64     `db:"workflow_version" json:"workflow_version,omitempty"`
}

func requestOf(ctx context.Context, q postgres.Querier, id uuid.UUID) (requestRow, error) {
	return postgres.One[requestRow](ctx, q, `
		SELECT definition, input, priority, turn, callback_url, metadata, workflow_id, workflow_version FROM uaol_jobs.jobs WHERE job_id = $1`, id)
}

// requestOf is what was asked for when a job was made, without its moments.
func (r *Repository) requestOf(ctx context.Context, job jobRow) (Request, error) {
	var row requestRow
	var err error
	if job.archived != nil {
		row = job.archived.Request
	} else {
		row, err = requestOf(ctx, r.pool, job.ID)
	}
	in := Request{Definition: json.RawMessage(row.Definition), Input: rawOf(row.Input), Priority: row.Priority, Metadata: rawOf(row.Metadata), stands: true, old: true}
	if row.Turn != nil {
		in.Turn = (*row.Turn)[len(uuid.Nil.String())+1:]
	}
	if row.Callback != nil {
		in.Callback = *row.Callback
	}
	if row.Workflow != nil && row.Version != nil {
		in.was = version{*row.Workflow, *row.Version}
	}
	return in, err
}

func (r *Repository) redriven(ctx context.Context, old, job uuid.UUID) error {
	_, err := postgres.Exec(ctx, r.pool, `UPDATE uaol_jobs.failures SET redriven = $2 WHERE job_id = $1`, old, job)
	return err
}

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
	cost, calls, err := s.left(ctx, job)
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

// left is what the steps cost that have not succeeded, as far as it is known.
func (s *Service) left(ctx context.Context, job jobRow) (cost, calls int64, err error) {
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
	for _, row := range rows {
		if row.Item == whole && row.Status == Success && row.Position < len(frozen) {
			frozen[row.Position].Price = 0
		}
	}
	cost, calls = frozen.cost(definition)
	return cost, calls, nil
}

// retry puts a job that has ended back into the queue; false when it was not as
// it was looked at any more.
func (r *Repository) retry(ctx context.Context, id uuid.UUID, retries int, cost int64) (taken bool, err error) {
	err = postgres.InTx(ctx, r.pool, func(tx pgx.Tx) error {
		n, err := postgres.Exec(ctx, tx, `
			UPDATE uaol_jobs.jobs SET status = 'Queued', end_time = NULL, error_message = NULL, retries = $2, cost = $3, deadline = NULL, turn = NULL, updated_at = now()
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
			UPDATE uaol_jobs.steps SET asks = (SELECT organization_id FROM uaol_jobs.jobs WHERE job_id = $1) WHERE job_id = $1 AND status = 'Unknown'`, id); err != nil {
			return err
		}
		if _, err := postgres.Exec(ctx, tx, `DELETE FROM uaol_jobs.failures WHERE job_id = $1`, id); err != nil {
			return err
		}
		_, err = postgres.Exec(ctx, tx, `
			INSERT INTO uaol_jobs.queue (job_id, lane, priority, fence, status, started_at)
			SELECT job_id, account_id, priority, greatest(attempts, 1), 'Queued', start_time FROM uaol_jobs.jobs WHERE job_id = $1`, id)
		return err
	})
	return taken, err
}
