package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"uaol/providers/events"
	"uaol/providers/postgres"
	"uaol/services"
	"uaol/services/jobs/workflow"
)

const (
	// childLook is how often a step looks at the job that it waits for. Usually
	// the job's end wakes it.
	childLook = time.Minute
	deepest   = 8 // workflows within each other
)

// children makes and asks after the jobs that are steps of others.
type children interface {
	// child makes a job for a step, or finds the one that was made.
	child(ctx context.Context, caller services.Caller, of parent, step *workflow.ChildRun, input json.RawMessage, key string) (uuid.UUID, error)
}

// child implements children. A workflow within a workflow costs what it costs by
// itself: it has a hold of its own.
func (s *Service) child(ctx context.Context, caller services.Caller, of parent, step *workflow.ChildRun, input json.RawMessage, key string) (uuid.UUID, error) {
	depth, err := s.repository.depth(ctx, of.Job)
	if err == nil && depth >= deepest {
		err = services.Errorf(services.Invalid, "workflows are within each other more than %d deep", deepest)
	}
	if err != nil {
		return uuid.Nil, err
	}
	in := Request{Workflow: &step.WorkflowID, Version: step.Version, Input: input, Key: key}
	made, err := s.createAll(ctx, caller, []Request{in}, func(int) string { return "body" }, &of)
	if err != nil {
		return uuid.Nil, err
	}
	return made[0].ID, nil
}

// depth is within how many jobs a job is.
func (r *Repository) depth(ctx context.Context, job uuid.UUID) (n int, err error) {
	return postgres.Value[int](ctx, r.pool, `
		WITH RECURSIVE up AS (
			SELECT parent_id, 1 AS n FROM uaol_jobs.jobs WHERE job_id = $1
			UNION ALL
			SELECT j.parent_id, up.n + 1 FROM up JOIN uaol_jobs.jobs j ON j.job_id = up.parent_id WHERE up.n <= $2
		)
		SELECT max(n) FROM up`, job, deepest)
}

// runChild makes the job that a step runs, or looks at it: a result when it has
// succeeded, pending while it goes on.
func (r *run) runChild(ctx context.Context, u *unit) (result json.RawMessage, pending uuid.UUID, err error) {
	step := r.workflow.Steps[u.position].Child
	if u.child == uuid.Nil {
		key := fmt.Sprintf("child/%s/%d", r.operation(u), u.attempt)
		u.child, err = r.engine.children.child(ctx, r.caller, parent{r.job.ID, u.position, u.item}, step, u.call, key)
		if err != nil {
			return nil, uuid.Nil, err
		}
	}
	row, err := r.engine.repository.byID(ctx, u.child)
	switch {
	case err != nil:
		return nil, uuid.Nil, err
	case !row.Status.Ended():
		return nil, u.child, nil
	case row.Status == Success:
		shown, err := shown(ctx, r.engine.repository, row)
		if err != nil {
			return nil, uuid.Nil, err
		}
		return shown[0].FinalOutput, uuid.Nil, nil
	}
	why := string(row.Status)
	if row.ErrorMessage != nil {
		why += ": " + *row.ErrorMessage
	}
	return nil, uuid.Nil, services.Errorf(services.Upstream, "the workflow ended as %s", why)
}

// awaitChild lets a unit wait for its job.
func (r *run) awaitChild(u *unit, child uuid.UUID) {
	detail, _ := json.Marshal(question{ExpiresAt: time.Now().Add(childLook), Child: &child, Failed: u.failed}) // can be written
	u.status, u.wake, u.detail = Waiting, time.Now().Add(childLook), string(detail)
	r.timed = append(r.timed, u)
	r.note(u)
}

// lookAtChildren lets units that wait for jobs look at them now.
func (r *run) lookAtChildren() {
	for _, u := range r.timed {
		if u.child != uuid.Nil && u.status == Waiting {
			u.wake = time.Now()
		}
	}
}

// orphans are the jobs that go on for a job that ends before them. The database is
// asked, since a worker may have died between making one and saying so.
func (r *run) orphans() (ids []uuid.UUID, err error) {
	within := func(s workflow.Step) bool { return s.Kind == workflow.Child }
	if r.workflow != nil && !slices.ContainsFunc(r.workflow.Steps, within) { // nil: it can't be read any more
		return nil, nil
	}
	err = patiently(func(ctx context.Context) (err error) {
		ids, err = r.engine.repository.openWithin(ctx, r.job.ID)
		return err
	})
	return ids, err
}

// openWithin gives the jobs that are steps of a job and have not ended.
func (r *Repository) openWithin(ctx context.Context, job uuid.UUID) ([]uuid.UUID, error) {
	return postgres.Values[uuid.UUID](ctx, r.pool, `SELECT job_id FROM uaol_jobs.jobs WHERE parent_id = $1 AND end_time IS NULL`, job)
}

// disown ends the jobs that were steps of this one.
func (r *run) disown(orphans []uuid.UUID) error {
	return patiently(func(ctx context.Context) error {
		for _, id := range orphans {
			if err := r.tell(ctx, id, true); err != nil {
				return err
			}
		}
		return nil
	})
}

// tellParent wakes the job that this one was a step of. Where that is missed it
// looks by itself.
func (r *run) tellParent() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_ = r.tell(ctx, *r.job.Parent, false)
}

func (r *run) tell(ctx context.Context, id uuid.UUID, cancel bool) error {
	open, err := r.engine.repository.signal(ctx, r.engine.repository.pool, id, cancel)
	if err == nil && open {
		r.engine.bus.Publish(events.New(signalled, id.String(), r.job.Organization, nil))
	}
	return err
}

// prepareChild fills in what the workflow of a step is given; false when that
// can't be done, and it has failed.
func (r *run) prepareChild(u *unit) bool {
	step := r.workflow.Steps[u.position].Child
	if step.Input == nil {
		return true
	}
	filled, err := step.Input.Fill(r.scopeOf(u))
	if err != nil {
		r.fail(u, message(err))
		return false
	}
	u.call = filled
	return true
}
