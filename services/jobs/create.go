package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"uaol/services"
	"uaol/services/jobs/workflow"
	"uaol/services/registry"
)

const (
	// holdFirst is how long a job's hold stands before billing asks whether
	// there is such a job; insertWithin is how long making it may take.
	holdFirst    = 2 * time.Minute
	insertWithin = 30 * time.Second

	mostAtOnce = 10_000 // jobs of one request
	inOne      = 2_000  // jobs of one statement
)

// Create checks a workflow, holds what it will cost and queues it. Kinds: Invalid
// with all faults, Insufficient, Conflict for a key that was used for another
// request.
func (s *Service) Create(ctx context.Context, caller services.Caller, in Request) (Job, error) {
	made, err := s.createAll(ctx, caller, []Request{in}, func(int) string { return "body" }, nil)
	if err != nil {
		return Job{}, err
	}
	if !made[0].again {
		return made[0].job(), nil
	}
	return s.Get(ctx, caller, made[0].ID)
}

// CreateMany makes all of the jobs or none, and gives their ids in the same order.
func (s *Service) CreateMany(ctx context.Context, caller services.Caller, all []Request) ([]uuid.UUID, error) {
	if len(all) == 0 || len(all) > mostAtOnce {
		return nil, services.Faults(services.Fault{Path: "body.jobs", Message: fmt.Sprintf("must have 1 to %d jobs", mostAtOnce)})
	}
	made, err := s.createAll(ctx, caller, all, func(i int) string { return fmt.Sprintf("body.jobs[%d]", i) }, nil)
	if err != nil {
		return nil, err
	}
	ids := make([]uuid.UUID, len(made))
	for i := range made {
		ids[i] = made[i].ID
	}
	return ids, nil
}

// draft is a job that is being made.
type draft struct {
	creation
	workflow *workflow.Definition
	frozen   plan
	calls    int64
	later    bool // it has steps that are held for when they are reached
	again    bool // it was made by an earlier request
	held     bool
}

func (d *draft) job() Job {
	now := services.Now()
	job := Job{ID: d.ID, Account: d.Account, Organization: d.Organization, Definition: json.RawMessage(d.Definition), Status: Queued,
		StartTime: &now, CreatedAt: now, UpdatedAt: now}
	if d.Workflow != uuid.Nil {
		job.Workflow, job.Version = &d.Workflow, &d.Version
	}
	return job
}

func (s *Service) createAll(ctx context.Context, caller services.Caller, all []Request, at func(int) string, of *parent) ([]draft, error) {
	ctx, cancel := context.WithTimeout(ctx, insertWithin)
	defer cancel()
	drafts, err := s.drafts(ctx, caller, all, at)
	if err != nil {
		return nil, err
	}
	for i := range drafts {
		if err := drafts[i].affords(all[i].most); err != nil {
			return nil, err
		}
		drafts[i].Parent = of
	}
	if err := s.hold(ctx, caller, drafts); err != nil {
		return nil, err
	}
	if err := s.insert(ctx, caller, drafts); err != nil {
		s.giveBack(ctx, drafts, err)
		return nil, err
	}
	pointTo(ctx, drafts)
	return drafts, nil
}

// drafts reads and prices what is asked for; all faults are told at once.
func (s *Service) drafts(ctx context.Context, caller services.Caller, all []Request, at func(int) string) ([]draft, error) {
	drafts, faults := make([]draft, len(all)), []services.Fault(nil)
	var last string  // of a batch most have the same definition
	var words string // of one definition's faults, which may be the contract's
	told := false    // what is wrong with the batch's own
	texts := sources{service: s}
	pricing := pricer{service: s, caller: caller, known: map[uuid.UUID]*registry.Offer{}, saving: all[0].saving}
	for i := range all {
		d, in := &drafts[i], &all[i]
		d.Organization, d.Account, d.Key = caller.Organization, caller.Account, caller.Key
		d.Input, d.Priority, d.RunAt = storedText(in.Input), in.Priority, in.RunAt
		d.ID = newID()
		if in.Key != "" {
			d.ID, d.Digest = derivedID("job", caller.Organization.String(), caller.Account.String(), in.Key), in.digest()
		}
		if in.id != uuid.Nil {
			d.ID, d.Digest = in.id, in.id[:]
		}
		if wrong, err := texts.fill(ctx, d, in, at(i)); err != nil {
			return nil, err
		} else if len(wrong) > 0 {
			faults, last = append(faults, wrong...), ""
			continue
		}
		if i > 0 && d.Definition == last {
			same := &drafts[i-1]
			d.workflow, d.frozen, d.Plan, d.Cost, d.calls, d.later = same.workflow, same.frozen, same.Plan, same.Cost, same.calls, same.later
		} else if err := pricing.price(ctx, d, in.Workflow != nil || in.old); err != nil {
			var e *services.Error
			if !errors.As(err, &e) || e.Kind != services.Invalid {
				return nil, err
			}
			switch from := at(i); {
			case !in.shared:
				if from == "body" {
					words = e.Message
				}
				faults = append(faults, movedTo(e, from)...)
			case !told:
				faults, told = append(faults, movedTo(e, "body")...), true
			}
			faults, last = append(faults, d.say(in, s.policy, at(i))...), ""
			continue
		}
		last = d.Definition
		faults = append(faults, d.lacks(in, at(i))...)
		faults = append(faults, d.say(in, s.policy, at(i))...)
	}
	if len(faults) > 0 {
		err := services.Faults(faults[:min(len(faults), 100)]...)
		if words != "" {
			err.Message = words
		}
		return nil, err
	}
	return drafts, nil
}

// lacks lists what a definition reads that the input does not have. A saved one is not
// in the request, so there the input is what is wrong.
func (d *draft) lacks(in *Request, at string) (faults []services.Fault) {
	if in.saved {
		return nil
	}
	faults = d.workflow.Lacks(in.Input)
	for i := range faults {
		f := &faults[i]
		if place := strings.TrimPrefix(f.Path, "body.workflow_definition."); in.Workflow != nil {
			f.Path, f.Message = at+".input", f.Message+", which the workflow reads in "+place
		} else {
			f.Path = at + f.Path[len("body"):]
		}
	}
	return faults
}

// movedTo tells the faults of a definition where it is.
func movedTo(e *services.Error, at string) (faults []services.Fault) {
	if of, ok := e.Details.([]services.Fault); ok {
		for _, f := range of {
			f.Path = at + f.Path[len("body"):]
			faults = append(faults, f)
		}
		return faults
	}
	return []services.Fault{{Path: at, Message: e.Message}}
}
