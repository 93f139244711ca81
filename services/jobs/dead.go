package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"uaol/providers/postgres"
	"uaol/services"
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
		first, err := s.repository.redriven(ctx, id, job.ID)
		if err == nil && !first && old.archived == nil {
			if _, err = s.Cancel(ctx, caller, job.ID); err == nil {
				err = s.repository.drivenAgain(ctx, id)
			}
			if err == nil {
				err = services.Errorf(services.Conflict, "The job %s was tried again meanwhile; see what becomes of it", id)
			}
		}
		if err != nil {
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
	Within   *int64     `db:"timeout_ms" json:"timeout_ms,omitempty"`
}

func requestOf(ctx context.Context, q postgres.Querier, id uuid.UUID) (requestRow, error) {
	return postgres.One[requestRow](ctx, q, `
		SELECT definition, input, priority, turn, callback_url, metadata, workflow_id, workflow_version, timeout_ms FROM uaol_jobs.jobs WHERE job_id = $1`, id)
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
	if row.Within != nil {
		in.Timeout = (time.Duration(*row.Within) * time.Millisecond).String()
	}
	if row.Workflow != nil && row.Version != nil {
		in.was = version{*row.Workflow, *row.Version}
	}
	return in, err
}

// redriven notes which job was made of one that has failed; first is false when the
// old one was tried again meanwhile, or somebody else has made another of it.
func (r *Repository) redriven(ctx context.Context, old, job uuid.UUID) (first bool, err error) {
	n, err := postgres.Exec(ctx, r.pool, `UPDATE uaol_jobs.failures SET redriven = $2 WHERE job_id = $1 AND (redriven IS NULL OR redriven = $2)`, old, job)
	return n == 1, err
}
