package jobs

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/postgres"
	"uaol/services"
)

// OriginalJob is a job that has ended at the original's, as it arrives here: to be
// read, and to be driven again as a new one.
type OriginalJob struct {
	ID           uuid.UUID
	Organization uuid.UUID // its account's personal one
	Account      uuid.UUID
	Definition   json.RawMessage
	Output       json.RawMessage // nil for none
	Status       Status          // Success or Failed
	Error        *string
	Retries      int
	StartTime    time.Time
	EndTime      time.Time
	CreatedAt    time.Time
}

// archived is the job as though it had run here and been put away. Its steps are
// not known; what they came to is its output.
func (j OriginalJob) archived() archived {
	row := jobRow{Plan: "[]", Retries: j.Retries, Job: Job{
		ID: j.ID, Account: j.Account, Organization: j.Organization, Definition: j.Definition, Status: j.Status,
		StartTime: &services.Time{Time: j.StartTime}, EndTime: &services.Time{Time: j.EndTime}, RetryCount: j.Retries,
		CreatedAt: services.Time{Time: j.CreatedAt}, UpdatedAt: services.Time{Time: j.EndTime},
	}}
	if j.Status == Success { // without an output its definition would be read for one
		if row.FinalOutput = j.Output; len(j.Output) == 0 || bytes.Equal(j.Output, []byte("null")) {
			row.FinalOutput = json.RawMessage("{}")
		}
	}
	if j.Error != nil {
		message := plain(*j.Error)
		row.ErrorMessage = &message
	}
	return archived{Row: row, Request: requestRow{Definition: string(j.Definition)}}
}

// KnownJobs gives those of the ids that are jobs here, wherever they are.
func (r *Repository) KnownJobs(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]bool, error) {
	found, err := postgres.Values[uuid.UUID](ctx, r.pool, `
		SELECT job_id FROM uaol_jobs.archive WHERE job_id = ANY ($1::text[]::uuid[])
		UNION
		SELECT job_id FROM uaol_jobs.jobs WHERE job_id = ANY ($1::text[]::uuid[])`, postgres.UUIDs(ids))
	known := make(map[uuid.UUID]bool, len(found))
	for _, id := range found {
		known[id] = true
	}
	return known, err
}

// BringJobs puts jobs that arrive into the archive; one that is there by now stays
// as it is.
func (r *Repository) BringJobs(ctx context.Context, jobs []OriginalJob) error {
	return postgres.InTx(ctx, r.pool, func(tx pgx.Tx) error {
		for _, j := range jobs {
			document, err := pack(j.archived())
			if err != nil {
				return err
			}
			if _, err := postgres.Exec(ctx, tx, `
				INSERT INTO uaol_jobs.archive (job_id, organization_id, account_id, status, created_at, end_time, document)
				VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (job_id) DO NOTHING`,
				j.ID, j.Organization, j.Account, string(j.Status), j.CreatedAt, j.EndTime, document); err != nil {
				return err
			}
		}
		return nil
	})
}
