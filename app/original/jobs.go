package original

import (
	"context"
	"encoding/json"

	"github.com/google/uuid"

	"uaol/services/jobs"
)

// mostOfJob is the most that a job's workflow or its output may have, in bytes: what a
// tool's answer may have here.
const mostOfJob = 10 << 20

// jobs brings jobs that have ended.
func (r *run) jobs(ctx context.Context) error {
	batch := newBatch(r.Batch, func(b []jobRow) error { return r.bringJobs(ctx, b) })
	if err := r.source.jobs(ctx, mostOfJob, func(row jobRow) error {
		return batch.add(row, len(said(row.Definition))+len(said(row.Output)))
	}); err != nil {
		return err
	}
	return batch.flush()
}

func (r *run) bringJobs(ctx context.Context, rows []jobRow) error {
	var ids []uuid.UUID
	var users []string
	for _, row := range rows {
		id, _ := idOf("job", row.ID)
		ids = append(ids, id)
		if brought(row.User, row.OfGuest) {
			users = append(users, *row.User)
		}
	}
	known, err := r.Jobs.KnownJobs(ctx, ids)
	if err != nil {
		return err
	}
	owners, err := r.owners(ctx, users)
	if err != nil {
		return err
	}
	part, bringing := newReport(r.DryRun), []jobs.OriginalJob(nil)
	for i, row := range rows {
		if job, ok := decideJob(part, ids[i], row, owners, known[ids[i]]); ok {
			bringing = append(bringing, job)
		}
	}
	if !r.DryRun && len(bringing) > 0 {
		if err := r.Jobs.BringJobs(ctx, bringing); err != nil {
			return err
		}
	}
	r.report.merge(part)
	return nil
}

// decideJob says whether a job is brought, and as what.
func decideJob(part *Report, id uuid.UUID, row jobRow, owners map[string]owner, here bool) (job jobs.OriginalJob, bring bool) {
	part.Jobs.Found++
	by, owned := owners[said(row.User)]
	leave := func(code Code, format string, args ...any) (jobs.OriginalJob, bool) {
		part.Jobs.Left++
		part.find(code, row.ID, format, args...)
		return jobs.OriginalJob{}, false
	}
	status := jobs.Status(row.Status)
	switch status {
	case jobs.Success, jobs.Failed:
	case jobs.Queued, jobs.Running, jobs.Retrying:
		return leave(JobUnfinished, "%s, of %s", status, said(row.User))
	default:
		return leave(JobStatus, "%.40q", row.Status)
	}
	switch {
	case here:
		part.Jobs.Already++
	case !owned:
		return leave(JobOwner, "of %s", said(row.User))
	case row.Definition == nil && row.DefinitionBytes > 0:
		return leave(JobTooLarge, "%d bytes; %d are the most", row.DefinitionBytes, mostOfJob)
	default:
		part.Jobs.Brought++
	}
	if row.OutputBytes > mostOfJob {
		part.find(OutputTooLarge, row.ID, "%d bytes; %d are the most", row.OutputBytes, mostOfJob)
	}
	if _, kept := idOf("job", row.ID); !kept {
		part.find(IDChanged, row.ID, "job %s", id)
	}
	if here {
		return job, false
	}
	job = jobs.OriginalJob{
		ID: id, Organization: by.organization, Account: by.account, Status: status, Error: row.Error, Retries: row.Retries,
		Definition: json.RawMessage("{}"),
	}
	if row.Definition != nil {
		job.Definition = json.RawMessage(*row.Definition)
	}
	switch {
	case row.Output != nil:
		job.Output = json.RawMessage(*row.Output)
	case row.OutputBytes > 0:
		job.Output = json.RawMessage(`{"truncated":true}`) // as callbacks say it
	}
	job.CreatedAt = moment(row.CreatedAt, now())
	job.StartTime = moment(row.StartTime, job.CreatedAt)
	job.EndTime = moment(row.EndTime, moment(row.UpdatedAt, job.StartTime))
	return job, true
}
