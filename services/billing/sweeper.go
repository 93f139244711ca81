package billing

import (
	"context"
	"time"

	"github.com/google/uuid"

	"uaol/providers/workers"
)

// Sweeper ends holds that nobody ended: their process died between the hold
// and its end.
type Sweeper struct {
	repository *Repository
	service    *Service
	jobs       JobDirectory
}

// NewSweeper makes a Sweeper.
func NewSweeper(repository *Repository, service *Service, jobs JobDirectory) *Sweeper {
	return &Sweeper{repository: repository, service: service, jobs: jobs}
}

const (
	sweepEvery = 5 * time.Second
	sweepBatch = 500
	askAgain   = time.Minute // when a job still needs its hold
)

// Run is a workers.Worker's loop. Several may run at once: every step may be
// repeated.
func (s *Sweeper) Run(ctx context.Context) error {
	return workers.Every(sweepEvery, func(ctx context.Context) error {
		_, err := s.Sweep(ctx)
		return err
	})(ctx)
}

// Sweep looks once at the holds whose time is up and tells how many it ended.
func (s *Sweeper) Sweep(ctx context.Context) (ended int, err error) {
	due, err := s.repository.expired(ctx, sweepBatch)
	if err != nil || len(due) == 0 {
		return 0, err
	}
	var jobs []uuid.UUID
	holds := map[uuid.UUID][]uuid.UUID{} // of each job
	for _, h := range due {
		switch h.Owner {
		case OwnerJob:
			jobs = append(jobs, h.Job)
			holds[h.Job] = append(holds[h.Job], h.ID)
			continue
		case OwnerModel:
			_, err = s.service.Release(ctx, ReleaseRequest{HoldID: h.ID})
		default:
			err = s.endCall(ctx, h)
		}
		if err != nil {
			return ended, err
		}
		ended++
	}
	over, err := s.endJobs(ctx, jobs, holds)
	return ended + over, err
}

// endCall settles a direct call's hold: it is made just before the request is
// written, so whoever died after it has most likely used the tool.
func (s *Sweeper) endCall(ctx context.Context, h expired) error {
	if h.Amount > 0 {
		if _, err := s.service.Settle(ctx, SettleRequest{HoldID: h.ID, Charges: []Charge{{Operation: h.ID.String(), Amount: h.Amount}}}); err != nil {
			return err
		}
	}
	_, err := s.service.Release(ctx, ReleaseRequest{HoldID: h.ID})
	return err
}

// endJobs releases the holds of jobs that have ended or never came to be; an
// ended job has settled its steps itself.
func (s *Sweeper) endJobs(ctx context.Context, jobs []uuid.UUID, holds map[uuid.UUID][]uuid.UUID) (ended int, err error) {
	if len(jobs) == 0 {
		return 0, nil
	}
	over, err := s.jobs.Ended(ctx, EndedRequest{JobIDs: jobs})
	if err != nil {
		return 0, err
	}
	for _, job := range over {
		for _, id := range holds[job] {
			if _, err := s.service.Release(ctx, ReleaseRequest{HoldID: id}); err != nil {
				return ended, err
			}
			ended++
		}
		delete(holds, job)
	}
	var going []string
	for _, ids := range holds {
		for _, id := range ids {
			going = append(going, id.String())
		}
	}
	return ended, s.repository.prolong(ctx, going, askAgain)
}
