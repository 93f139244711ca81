package jobs

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"uaol/providers/postgres"
	"uaol/services"
	"uaol/services/billing"
)

// archived is the document of a job that was put away.
type archived struct {
	Row     jobRow     `json:"row"`
	Request requestRow `json:"request"`
	Steps   []stepRow  `json:"steps"`
}

func pack(a archived) ([]byte, error) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if err := json.NewEncoder(w).Encode(a); err != nil {
		return nil, err
	}
	err := w.Close()
	return b.Bytes(), err
}

func unpack(document []byte) (a archived, err error) {
	r, err := gzip.NewReader(bytes.NewReader(document))
	if err != nil {
		return a, err
	}
	text, err := io.ReadAll(r)
	if err == nil {
		err = json.Unmarshal(text, &a)
	}
	return a, err
}

type archiveRow struct {
	ID           uuid.UUID `db:"job_id"`
	Organization uuid.UUID `db:"organization_id"`
	Account      uuid.UUID `db:"account_id"`
	CreatedAt    time.Time `db:"created_at"`
	Document     []byte    `db:"document"`
}

// open gives the job as it would be if it had not been put away.
func (row archiveRow) open() (jobRow, error) {
	a, err := unpack(row.Document)
	if err != nil {
		return jobRow{}, err
	}
	a.Row.Account, a.Row.Organization = row.Account, row.Organization // who it was may have been forgotten since
	a.Row.CreatedAt = services.Time{Time: row.CreatedAt}              // to the microsecond, as pages need it
	if string(a.Row.FinalOutput) == "null" {                          // JSON's word for none
		a.Row.FinalOutput = nil
	}
	a.Row.archived = &a
	return a.Row, nil
}

// archivedByID gives a job that was put away; kind NotFound.
func (r *Repository) archivedByID(ctx context.Context, id uuid.UUID) (jobRow, error) {
	row, err := postgres.One[archiveRow](ctx, r.pool, `
		SELECT job_id, organization_id, account_id, created_at, document FROM uaol_jobs.archive WHERE job_id = $1`, id)
	if err != nil {
		return jobRow{}, err
	}
	return row.open()
}

// archivedOf lists an organisation's jobs that were put away, newest first, before
// the given one; of a status, or of any.
func (r *Repository) archivedOf(ctx context.Context, organization uuid.UUID, status string, before time.Time, beforeID uuid.UUID, limit int) ([]jobRow, error) {
	rows, err := postgres.All[archiveRow](ctx, r.pool, `
		SELECT job_id, organization_id, account_id, created_at, document FROM uaol_jobs.archive
		WHERE organization_id = $1 AND ($2 = '' OR status = $2) AND (created_at, job_id) < ($3::timestamptz, $4::uuid)
		ORDER BY created_at DESC, job_id DESC LIMIT $5`, organization, status, before, beforeID, limit)
	if err != nil {
		return nil, err
	}
	jobs := make([]jobRow, len(rows))
	for i, row := range rows {
		if jobs[i], err = row.open(); err != nil {
			return nil, err
		}
	}
	return jobs, nil
}

// merged puts two lists of jobs together, newest first.
func merged(a, b []jobRow, limit int) []jobRow {
	all := append(slices.Clip(a), b...)
	slices.SortFunc(all, func(x, y jobRow) int {
		if c := y.CreatedAt.Compare(x.CreatedAt.Time); c != 0 {
			return c
		}
		return bytes.Compare(y.ID[:], x.ID[:])
	})
	return all[:min(len(all), limit)]
}

// Archiver puts jobs away that ended a while ago, and removes those that are older
// than their organisation's plan keeps them. Several may run at once.
type Archiver struct {
	repository *Repository
	meter      billing.Meter
	after      time.Duration
	log        *zap.Logger
	pause      time.Duration
}

// NewArchiver makes an Archiver.
func NewArchiver(repository *Repository, meter billing.Meter, cfg Config, log *zap.Logger) *Archiver {
	return &Archiver{repository: repository, meter: meter, after: time.Duration(cfg.ArchiveDays) * 24 * time.Hour, log: log, pause: archivePause}
}

const (
	archiveBatch = 500                   // jobs that are looked at at once
	archivePause = 50 * time.Millisecond // between batches: nobody waits for this
	archiveEvery = time.Hour
)

// old is a job that has ended, as far as it matters here.
type old struct {
	ID           uuid.UUID  `db:"job_id"`
	Organization uuid.UUID  `db:"organization_id"`
	EndTime      *time.Time `db:"end_time"`
}

// Round looks at all jobs once, in the order of their ids, with pauses: no index
// is worth its keep for what can wait. Before that it removes old counts, which go by
// their own age: a job that is removed was made and ended all the same.
func (a *Archiver) Round(ctx context.Context) error {
	if err := a.repository.forgetMinutes(ctx); err != nil {
		return err
	}
	now, err := postgres.Value[time.Time](ctx, a.repository.pool, `SELECT now()`)
	if err != nil {
		return err
	}
	for _, table := range []struct {
		page func(context.Context, uuid.UUID) ([]old, error)
		hot  bool
	}{{a.repository.jobsAfter, true}, {a.repository.archivedAfter, false}} {
		for after := (uuid.UUID{}); ; {
			page, err := table.page(ctx, after)
			if err != nil || len(page) == 0 {
				if err != nil {
					return err
				}
				break
			}
			if after = page[len(page)-1].ID; ctx.Err() != nil {
				return ctx.Err()
			}
			if err := a.sort(ctx, page, now, table.hot); err != nil {
				return err
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(a.pause):
			}
		}
	}
	return nil
}

// sort decides about a page of jobs.
func (a *Archiver) sort(ctx context.Context, page []old, now time.Time, hot bool) error {
	var organizations []uuid.UUID
	for _, job := range page {
		if job.EndTime != nil && !slices.Contains(organizations, job.Organization) {
			organizations = append(organizations, job.Organization)
		}
	}
	if len(organizations) == 0 {
		return nil
	}
	plans, err := a.meter.Plans(ctx, billing.PlansRequest{Organizations: organizations})
	if err != nil {
		return err
	}
	var removing, archiving []uuid.UUID
	for _, job := range page {
		if job.EndTime == nil {
			continue
		}
		age := now.Sub(*job.EndTime)
		keeps := time.Duration(plans[slices.Index(organizations, job.Organization)].HistoryDays) * 24 * time.Hour
		switch {
		case keeps > 0 && age > keeps:
			removing = append(removing, job.ID)
		case hot && age > a.after:
			archiving = append(archiving, job.ID)
		}
	}
	if err := a.repository.forget(ctx, removing); err != nil {
		return err
	}
	return a.repository.putAway(ctx, archiving)
}

func (r *Repository) jobsAfter(ctx context.Context, id uuid.UUID) ([]old, error) {
	return postgres.All[old](ctx, r.pool, `
		SELECT job_id, organization_id, end_time FROM uaol_jobs.jobs WHERE job_id > $1 ORDER BY job_id LIMIT $2`, id, archiveBatch)
}

func (r *Repository) archivedAfter(ctx context.Context, id uuid.UUID) ([]old, error) {
	return postgres.All[old](ctx, r.pool, `
		SELECT job_id, organization_id, end_time FROM uaol_jobs.archive WHERE job_id > $1 ORDER BY job_id LIMIT $2`, id, archiveBatch)
}

// forget removes jobs that have ended, wherever they are.
func (r *Repository) forget(ctx context.Context, ids []uuid.UUID) error {
	if len(ids) == 0 {
		return nil
	}
	return postgres.InTx(ctx, r.pool, func(tx pgx.Tx) error {
		found, err := r.ended(ctx, tx, ids)
		if err != nil {
			return err
		}
		if err := removeJobs(ctx, tx, found); err != nil {
			return err
		}
		_, err = postgres.Exec(ctx, tx, `DELETE FROM uaol_jobs.archive WHERE job_id = ANY ($1::text[]::uuid[])`, postgres.UUIDs(ids))
		return err
	})
}

// ended locks those of the jobs that have ended; what another has locked it has.
func (r *Repository) ended(ctx context.Context, tx pgx.Tx, ids []uuid.UUID) ([]uuid.UUID, error) {
	return postgres.Values[uuid.UUID](ctx, tx, `
		SELECT job_id FROM uaol_jobs.jobs WHERE job_id = ANY ($1::text[]::uuid[]) AND end_time IS NOT NULL
		ORDER BY job_id FOR UPDATE SKIP LOCKED`, postgres.UUIDs(ids))
}

// putAway moves jobs that have ended into the archive, one at a time: each may be
// large.
func (r *Repository) putAway(ctx context.Context, ids []uuid.UUID) error {
	for _, id := range ids {
		err := postgres.InTx(ctx, r.pool, func(tx pgx.Tx) error {
			found, err := r.ended(ctx, tx, []uuid.UUID{id})
			if err != nil || len(found) == 0 {
				return err
			}
			var a archived
			if a.Row, err = postgres.One[jobRow](ctx, tx, `SELECT `+jobColumns+ofJobs+`WHERE j.job_id = $1`, id); err != nil {
				return err
			}
			if a.Request, err = requestOf(ctx, tx, id); err != nil {
				return err
			}
			if a.Steps, err = stepsOf(ctx, tx, id); err != nil {
				return err
			}
			document, err := pack(a)
			if err != nil {
				return err
			}
			if _, err := postgres.Exec(ctx, tx, `
				INSERT INTO uaol_jobs.archive (job_id, organization_id, account_id, status, created_at, end_time, document)
				VALUES ($1, $2, $3, $4, $5, $6, $7)`,
				id, a.Row.Organization, a.Row.Account, string(a.Row.Status), a.Row.CreatedAt.Time, a.Row.EndTime.Time, document); err != nil {
				return err
			}
			return removeJobs(ctx, tx, found)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

var errArchived = services.Errorf(services.Conflict, "The job was put away long ago; drive it again instead")
