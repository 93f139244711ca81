package jobs

import (
	"context"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"uaol/services"
	"uaol/services/jobs/cron"
)

const (
	schedulesEvery = time.Second
	schedulesAtOne = 100         // in one claim
	schedulesSide  = 8           // side by side
	claimedFor     = time.Minute // until another one takes over; well within holdFirst, so that what it held is still there
	grace          = time.Minute // how late a moment is not missed
	mostMissed     = 1000        // jobs for missed moments
)

// Scheduler makes the jobs of schedules whose moment has come. Several may run at
// once: a job's id is made of its schedule and its moment, and which moments are
// due was settled by the first who claimed the schedule (as_of). So whoever takes
// over from one that died does the same and finds what there is already.
type Scheduler struct {
	service  *Service
	standing services.Standing
	log      *zap.Logger

	// died, in tests, ends the work on a schedule here, as a killed process would.
	died func(where string) bool
}

// NewScheduler makes a Scheduler.
func NewScheduler(service *Service, standing services.Standing, log *zap.Logger) *Scheduler {
	return &Scheduler{service: service, standing: standing, log: log, died: func(string) bool { return false }}
}

// Round works once on all that is due.
func (s *Scheduler) Round(ctx context.Context) error {
	for {
		due, err := s.service.repository.claimSchedules(ctx, schedulesAtOne, claimedFor)
		if err != nil || s.died("claimed") {
			return err
		}
		var group errgroup.Group
		group.SetLimit(schedulesSide)
		for i := range due {
			group.Go(func() error {
				// What fails is tried again when the claim has ended; others go on.
				if err := s.fire(ctx, &due[i]); err != nil && ctx.Err() == nil {
					s.log.Warn("a schedule's jobs could not be made, trying again", zap.Stringer("schedule", due[i].ID), zap.Error(err))
					_ = s.service.repository.trouble(ctx, &due[i], message(err)) // the log has it
				}
				return nil
			})
		}
		_ = group.Wait()
		if len(due) < schedulesAtOne || ctx.Err() != nil {
			return nil
		}
	}
}

// came is what came of one moment.
type came struct {
	At    time.Time
	Job   uuid.UUID // nil: refused
	Error *string
}

func (s *Scheduler) fire(ctx context.Context, of *Schedule) error {
	caller, err := s.acting(ctx, of)
	if services.Is(err, services.Forbidden) || services.Is(err, services.NotFound) {
		return s.service.repository.stopSchedule(ctx, of, message(err))
	}
	if err != nil {
		return err
	}
	table, err := cron.Parse(of.Cron, of.TimeZone)
	if err != nil { // a time zone that is no more
		return s.service.repository.stopSchedule(ctx, of, message(err))
	}
	runs, err := s.make(ctx, caller, of, of.due(table))
	if err != nil || s.died("made") {
		return err
	}
	return s.service.repository.advance(ctx, of, table.Next(*of.AsOf), runs)
}

// acting is the caller that a schedule's jobs are made as.
func (s *Scheduler) acting(ctx context.Context, of *Schedule) (services.Caller, error) {
	in := services.ActingRequest{Account: of.Account, Organization: of.Organization}
	if of.Key != nil {
		in.Key = *of.Key
	}
	caller, err := s.standing.Acting(ctx, in)
	if err == nil && (caller.Role == services.RoleGuest || !caller.OrgRole.AtLeast(services.OrgMember)) {
		err = services.Errorf(services.Forbidden, "The account may make no jobs in this organisation any more")
	}
	if err == nil {
		err = mayMakeJobs(caller)
	}
	return caller, err
}

// due are the moments that get a job, of those up to as_of.
func (s *Schedule) due(table *cron.Timetable) []time.Time {
	first, last := s.NextAt.Time, *s.AsOf
	switch s.Missed {
	case MissedAll:
		return table.Due(first, last, mostMissed)
	case MissedOnce:
		return table.Due(first, last, 1)
	}
	if late := last.Add(-grace); late.After(first) {
		first = late
	}
	return table.Due(first, last, 1)
}

// make makes a job for each of the moments, or finds the one that there is. A
// refusal ends it: what is refused now is refused for all of them. An error says
// that nobody knows, and all is tried again.
func (s *Scheduler) make(ctx context.Context, caller services.Caller, of *Schedule, moments []time.Time) ([]came, error) {
	ids := make([]uuid.UUID, len(moments))
	for i, at := range moments {
		ids[i] = derivedID("schedule", of.ID.String(), at.UTC().Format(time.RFC3339))
	}
	there, err := s.service.repository.existing(ctx, ids)
	if err != nil {
		return nil, err
	}
	var runs []came
	for i, at := range moments {
		run := came{At: at, Job: ids[i]}
		if !there[ids[i]] {
			in := of.request(at)
			in.id = ids[i]
			_, err := s.service.createAll(ctx, caller, []Request{in}, func(int) string { return "body" }, nil)
			if transient(err) {
				return nil, err
			}
			if err != nil {
				said := plain(message(err))
				return append(runs, came{At: at, Error: &said}), nil
			}
		}
		runs = append(runs, run)
		if s.died("one") {
			return nil, context.Canceled
		}
	}
	return runs, nil
}

// transient tells failures that may soon be over, or after which nobody knows
// whether there is a job.
func transient(err error) bool {
	switch services.KindOf(err) {
	case services.Unavailable, services.Timeout, services.Limited, services.Upstream, services.Internal:
		return true
	}
	return false
}
