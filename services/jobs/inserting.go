package jobs

import (
	"bytes"
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/events"
	"uaol/providers/postgres"
	"uaol/services"
)

// insert writes the jobs, all or none, and lets the engine of this process begin at
// once if it has room for them.
func (s *Service) insert(ctx context.Context, caller services.Caller, drafts []draft) (err error) {
	reserved := s.reserve(caller, drafts)
	var made []claimed
	defer func() { s.engine.unreserve(reserved, made) }()
	if len(drafts) == 1 && caller.Role != services.RoleGuest {
		err = s.insertOne(ctx, &drafts[0])
	} else {
		err = s.insertAll(ctx, caller, drafts)
	}
	if err != nil {
		return err
	}
	for i := range drafts {
		if d := &drafts[i]; d.Worker != uuid.Nil && !d.again {
			made = append(made, d.claimed())
		}
	}
	s.bus.Publish(events.New("job.created", "", caller.Organization, nil))
	return nil
}

// insertOne writes a job together with those that others make at the moment.
func (s *Service) insertOne(ctx context.Context, d *draft) error {
	status, done, err := s.repository.creations.Do(ctx, d.creation)
	switch {
	case err != nil:
		return err
	case !done:
		return d.found(ctx, s.repository.pool)
	case status != Running:
		d.Worker = uuid.Nil
	}
	return nil
}

// insertAll writes jobs in one transaction, a guest's together with what it has
// made of what it may. Its shard is nobody else's of this process until it has ended:
// those who make one job don't wait for those who make thousands.
func (s *Service) insertAll(ctx context.Context, caller services.Caller, drafts []draft) error {
	shard := s.repository.shards.Take()
	defer s.repository.shards.Give(shard)
	return postgres.InTx(ctx, s.repository.pool, func(tx pgx.Tx) error {
		fresh, calls := 0, 0
		for start := 0; start < len(drafts); start += inOne {
			some := drafts[start:min(start+inOne, len(drafts))]
			all := make([]creation, len(some))
			for i := range some {
				all[i], some[i].again = some[i].creation, true
			}
			made, err := s.repository.create(ctx, tx, shard, all)
			if err != nil {
				return err
			}
			for _, m := range made {
				d := &some[m.Place-1]
				d.again = false
				if !m.Begun {
					d.Worker = uuid.Nil
				}
				fresh, calls = fresh+1, calls+len(d.workflow.Steps)
			}
			for i := range some {
				if some[i].again {
					if err := some[i].found(ctx, tx); err != nil {
						return err
					}
				}
			}
		}
		if fresh == 0 {
			return nil
		}
		return countGuest(ctx, tx, caller, fresh, calls)
	})
}

// reserve asks the engine for room for jobs that may begin at once. A guest's wait:
// what it may make is counted first.
func (s *Service) reserve(caller services.Caller, drafts []draft) (ids []uuid.UUID) {
	if caller.Role == services.RoleGuest {
		return nil
	}
	for i := range drafts {
		if drafts[i].RunAt == nil && drafts[i].Turn == nil {
			ids = append(ids, drafts[i].ID)
		}
	}
	worker := s.engine.reserve(ids)
	for i := range drafts {
		if drafts[i].RunAt == nil && drafts[i].Turn == nil {
			drafts[i].Worker = worker
		}
	}
	return ids
}

// claimed is a job that its worker had from the beginning.
func (d *draft) claimed() claimed {
	c := claimed{ID: d.ID, Account: d.Account, Organization: d.Organization, Definition: d.Definition, Plan: d.Plan, Input: d.Input,
		Cost: d.Cost, Deadline: d.Deadline, Turn: d.Turn, Retries: d.Retries, Fence: 1, StartedAt: time.Now()}
	if d.Parent != nil {
		c.Parent = &d.Parent.Job
	}
	if d.Key != uuid.Nil {
		c.Key = &d.Key
	}
	return c
}

// found is what becomes of a job whose id there is already: it is the same if the
// request was. Its hold is its own in either case.
func (d *draft) found(ctx context.Context, q postgres.Querier) error {
	digest, err := digestOf(ctx, q, d.ID)
	if err != nil {
		return err
	}
	d.again = true
	if !bytes.Equal(digest, d.Digest) {
		return services.Errorf(services.Conflict, "This Idempotency-Key was used for another request")
	}
	return nil
}

func (r *Repository) digestOf(ctx context.Context, id uuid.UUID) ([]byte, error) {
	return digestOf(ctx, r.pool, id)
}

func digestOf(ctx context.Context, q postgres.Querier, id uuid.UUID) ([]byte, error) {
	return postgres.Value[[]byte](ctx, q, `SELECT request_digest FROM uaol_jobs.jobs WHERE job_id = $1`, id)
}
