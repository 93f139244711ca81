package jobs

import (
	"context"
	"encoding/json"

	"github.com/google/uuid"

	"uaol/services"
)

// Progress is something new about a job: a step's state, or the job's own.
type Progress struct {
	Seq  int64 // of the change; 0 where more of the same change follows
	Step *StepState
	Job  *JobState
}

// JobState is a job without what does not change.
type JobState struct {
	ID           uuid.UUID       `json:"job_id"`
	Status       Status          `json:"status"`
	StartTime    *services.Time  `json:"start_time"`
	EndTime      *services.Time  `json:"end_time"`
	FinalOutput  json.RawMessage `json:"final_output"`
	ErrorMessage *string         `json:"error_message"`
	RetryCount   int             `json:"retry_count"`
}

// Follow tells of all that a job's steps come to after a change, and then of what
// becomes of it, until it has ended. States that were left quickly may be passed
// over; the last one of each step is told.
func (s *Service) Follow(ctx context.Context, caller services.Caller, id uuid.UUID, after int64, tell func(Progress) error) error {
	if _, err := s.find(ctx, caller, id); err != nil {
		return err
	}
	changed, leave := s.repository.hub.follow(id)
	defer leave()
	var last Status
	for {
		job, err := s.find(ctx, caller, id)
		if err != nil {
			return err
		}
		if after, err = s.tellSteps(ctx, job, after, tell); err != nil {
			return err
		}
		if job.Status != last {
			last = job.Status
			shown, err := s.shown(ctx, job)
			if err != nil {
				return err
			}
			if err := tell(Progress{Seq: after, Job: shown[0].state()}); err != nil {
				return err
			}
		}
		if job.Status.Ended() {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

func (j Job) state() *JobState {
	return &JobState{j.ID, j.Status, j.StartTime, j.EndTime, j.FinalOutput, j.ErrorMessage, j.RetryCount}
}

// tellSteps tells what was written after a change, in order. The number of a
// change goes with its last step: whoever comes back with it has heard all of it.
func (s *Service) tellSteps(ctx context.Context, job jobRow, after int64, tell func(Progress) error) (int64, error) {
	rows, err := s.repository.stepsAfter(ctx, job.ID, after)
	if err != nil || len(rows) == 0 {
		return after, err
	}
	for i, row := range rows {
		state, err := s.state(job, row)
		if err != nil {
			return after, err
		}
		p := Progress{Step: &state}
		if i == len(rows)-1 || rows[i+1].Seq != row.Seq {
			p.Seq, after = row.Seq, row.Seq
		}
		if err := tell(p); err != nil {
			return after, err
		}
	}
	return after, nil
}
