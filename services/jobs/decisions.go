package jobs

import (
	"context"
	"errors"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/postgres"
	"uaol/services"
)

// Decision is what somebody has decided about a step that waits for that.
type Decision string

// The decisions: of a step whose outcome is unknown, and of an approval.
const (
	Retry   Decision = "retry"   // call the tool again
	Skip    Decision = "skip"    // go on without its result
	Fail    Decision = "fail"    // the step has failed
	Approve Decision = "approve" //
	Reject  Decision = "reject"  //
)

var errEnded = services.Errorf(services.Conflict, "The job has ended, so no decision makes a difference; retry it first: then it asks again")

type decided struct {
	Position int       `db:"position"`
	Item     int       `db:"item"`
	Attempt  int       `db:"attempt"`
	Decision Decision  `db:"decision"`
	Account  uuid.UUID `db:"account_id"`
	Digest   string    `db:"digest"`
}

// decisions gives what has been decided about a job's steps.
func (r *Repository) decisions(ctx context.Context, job uuid.UUID) ([]decided, error) {
	return postgres.All[decided](ctx, r.pool, `
		SELECT position, item, attempt, decision, account_id, digest FROM uaol_jobs.decisions WHERE job_id = $1`, job)
}

// decideOnce stores a decision and tells the job of it, both or neither: one that was
// stored and not told would be waited for by nobody and taken by nobody else. Each is
// taken once.
func (r *Repository) decideOnce(ctx context.Context, job uuid.UUID, d decided) error {
	err := postgres.InTx(ctx, r.pool, func(tx pgx.Tx) error {
		if _, err := postgres.Exec(ctx, tx, `
			INSERT INTO uaol_jobs.decisions (job_id, position, item, attempt, decision, account_id, digest)
			VALUES ($1, $2, $3, $4, $5, $6, $7)`, job, d.Position, d.Item, d.Attempt, string(d.Decision), d.Account, d.Digest); err != nil {
			return err
		}
		open, err := r.signal(ctx, tx, job, false)
		if err == nil && !open {
			err = errEnded
		}
		return err
	})
	if services.Is(err, services.Conflict) && !errors.Is(err, errEnded) {
		err = services.Errorf(services.Conflict, "This has been decided already")
	}
	return err
}

// decide applies what has been decided since this was last looked at. A decision
// is about one attempt: it is no good for another.
func (r *run) decide(ctx context.Context) error {
	seen := r.pokes.Load()
	all, err := r.engine.repository.decisions(ctx, r.job.ID)
	if err != nil {
		return err
	}
	r.seen = seen
	r.lookAtChildren()
	for _, d := range all {
		if d.Position >= len(r.units) {
			continue
		}
		u := &r.units[d.Position]
		if d.Item != whole {
			if d.Item >= len(u.items) {
				continue
			}
			u = &u.items[d.Item]
		}
		if d.Attempt != u.attempt {
			continue
		}
		switch u.status {
		case Unknown:
			r.resolve(u, d)
		case Waiting:
			r.answer(u, d)
		}
	}
	return nil
}

// resolve ends what was unknown.
func (r *run) resolve(u *unit, d decided) {
	switch d.Decision {
	case Retry:
		u.status, u.failure, u.failed = Pending, "", 0
		if u.item == whole {
			r.ready = append(r.ready, u.position)
			return
		}
		step := &r.units[u.position]
		step.next = min(step.next, u.item)
		if !slices.Contains(r.fans, step) {
			r.fans = append(r.fans, step)
		}
	case Skip:
		u.status, u.detail, u.failure = Skipped, goOn, ""
		r.note(u)
		r.settle(u)
	case Fail:
		r.fail(u, u.failure)
	}
}
