package jobs

import (
	"context"
	"time"

	"github.com/google/uuid"

	"uaol/providers/minutes"
	"uaol/providers/postgres"
	"uaol/services"
)

// Statistics is what became of jobs in a span of time. A job is counted when it is made
// and each time that it ends.
type Statistics struct {
	From      services.Time `json:"from"`
	Created   int64         `json:"created" doc:"made; one that is retried is not made again, and one that is redriven is another"`
	Ended     int64         `json:"ended" doc:"came to an end; one that is retried and ends again has ended again"`
	Succeeded int64         `json:"succeeded"`
	Failed    int64         `json:"failed"`
	Cancelled int64         `json:"cancelled"`
	Credits   int64         `json:"credits" doc:"charged for jobs that ended; of one that ended before, what has been added since"`
}

// Statistics gives the buckets of a window, oldest first, also those in which nothing
// happened. Kinds as for minutes.Query.Window.
func (s *Service) Statistics(ctx context.Context, caller services.Caller, q minutes.Query) ([]Statistics, error) {
	w, err := q.Window(caller, time.Now())
	if err != nil {
		return nil, err
	}
	rows, err := s.repository.counts(ctx, w)
	if err != nil {
		return nil, err
	}
	all := []Statistics{}
	for _, from := range w.Starts() {
		all = append(all, Statistics{From: from})
	}
	for _, row := range rows {
		all[w.Place(row.From)].add(row)
	}
	return all, nil
}

func (s *Statistics) add(row count) {
	s.Credits += row.Credits
	switch row.Status {
	case Queued:
		s.Created += row.Jobs
		return
	case Success:
		s.Succeeded += row.Jobs
	case Failed:
		s.Failed += row.Jobs
	case Cancelled:
		s.Cancelled += row.Jobs
	}
	s.Ended += row.Jobs
}

// count is how many jobs of a bucket were made, or ended alike.
type count struct {
	From    time.Time `db:"bucket"`
	Status  Status    `db:"status"`
	Jobs    int64     `db:"jobs"`
	Credits int64     `db:"credits"`
}

const countColumns = `minute - (extract(epoch FROM minute)::bigint % $3::bigint) * interval '1 second' AS bucket, status,
	sum(jobs)::bigint AS jobs, sum(credits)::bigint AS credits`

// counts adds a window's rows up. Each scope has a statement and an index of its own.
func (r *Repository) counts(ctx context.Context, w minutes.Window) ([]count, error) {
	if w.All {
		return postgres.All[count](ctx, r.pool, `
			SELECT `+countColumns+` FROM uaol_jobs.job_minutes WHERE minute >= $1 AND minute < $2 GROUP BY 1, 2`,
			w.From, w.To, w.Seconds())
	}
	return postgres.All[count](ctx, r.pool, `
		SELECT `+countColumns+` FROM uaol_jobs.job_minutes WHERE organization_id = $4 AND minute >= $1 AND minute < $2 GROUP BY 1, 2`,
		w.From, w.To, w.Seconds(), w.Organization)
}

// forgetMinutes removes counts that are older than they are kept, some at a time.
func (r *Repository) forgetMinutes(ctx context.Context) error {
	const limit = 5_000
	for n := int64(limit); n == limit; {
		var err error
		n, err = postgres.Exec(ctx, r.pool, `
			DELETE FROM uaol_jobs.job_minutes WHERE (organization_id, minute, shard, status) IN (
				SELECT organization_id, minute, shard, status FROM uaol_jobs.job_minutes
				WHERE minute < now() - $1 * interval '1 second' ORDER BY minute LIMIT $2)`, int64(minutes.Kept.Seconds()), limit)
		if err != nil {
			return err
		}
	}
	return nil
}

// removeMinutes removes organisations' counts.
func (r *Repository) removeMinutes(ctx context.Context, organizations []uuid.UUID) error {
	_, err := postgres.Exec(ctx, r.pool, `DELETE FROM uaol_jobs.job_minutes WHERE organization_id = ANY ($1::text[]::uuid[])`, postgres.UUIDs(organizations))
	return err
}
