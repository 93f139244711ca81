package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"

	"uaol/providers/postgres"
	"uaol/services"
	"uaol/services/jobs/cron"
)

// Missed is what becomes of moments at which no process ran.
type Missed string

// What may become of them. A moment is missed when it is over for more than grace.
const (
	MissedSkip Missed = "skip" // nothing
	MissedOnce Missed = "once" // one job for all of them
	MissedAll  Missed = "all"  // a job for each, the newest thousand
)

// Schedule makes jobs of one workflow at the moments of a timetable.
type Schedule struct {
	ID         uuid.UUID       `json:"schedule_id" db:"schedule_id"`
	Account    uuid.UUID       `json:"user_id" db:"account_id" doc:"as whom its jobs are made: who changed it last"`
	Cron       string          `json:"cron" db:"cron"`
	TimeZone   string          `json:"time_zone" db:"time_zone"`
	Missed     Missed          `json:"missed" db:"missed"`
	Workflow   *uuid.UUID      `json:"workflow_id" db:"workflow_id"`
	Version    *int64          `json:"workflow_version" db:"workflow_version" doc:"null: the newest then"`
	Definition json.RawMessage `json:"workflow_definition,omitempty" db:"definition" doc:"its own; not in lists"`
	Input      json.RawMessage `json:"input" db:"input"`
	Priority   int             `json:"priority" db:"priority"`
	Turn       *string         `json:"concurrency_key" db:"concurrency_key"`
	Callback   *string         `json:"callback_url" db:"callback_url"`
	Metadata   json.RawMessage `json:"metadata" db:"metadata"`
	Enabled    bool            `json:"enabled" db:"enabled"`
	NextAt     *services.Time  `json:"next_at" db:"next_at"`
	LastAt     *services.Time  `json:"last_at" db:"last_at"`
	LastJob    *uuid.UUID      `json:"last_job" db:"last_job"`
	LastError  *string         `json:"last_error" db:"last_error" doc:"why there was no job, or why it was disabled"`
	CreatedAt  services.Time   `json:"created_at" db:"created_at"`
	UpdatedAt  services.Time   `json:"updated_at" db:"updated_at"`

	// Of one that is asked for, not of lists.
	Next []services.Time `json:"next_moments,omitempty" db:"-" doc:"next_at and the four after it"`

	Organization uuid.UUID  `json:"-" db:"organization_id"`
	Key          *uuid.UUID `json:"-" db:"key_id"`
	AsOf         *time.Time `json:"-" db:"as_of"`
	Revision     int64      `json:"-" db:"revision"`
}

// ScheduleRun is what came of one of a schedule's moments.
type ScheduleRun struct {
	ScheduledAt services.Time `json:"scheduled_at" db:"scheduled_at"`
	Job         *uuid.UUID    `json:"job_id" db:"job_id"`
	Status      *Status       `json:"status" db:"status" doc:"the job's"`
	Error       *string       `json:"error" db:"error" doc:"why there is no job"`
	CreatedAt   services.Time `json:"created_at" db:"created_at"`
}

var errNoSchedule = services.Errorf(services.NotFound, "Schedule not found")

// request is what a job of the schedule is asked for with; at is its moment.
func (s *Schedule) request(at time.Time) Request {
	in := Request{Definition: s.Definition, Workflow: s.Workflow, Input: withMoment(s.Input, at), Priority: s.Priority, Metadata: s.Metadata, stands: true, old: true}
	if s.Version != nil {
		in.Version = *s.Version
	}
	if s.Turn != nil {
		in.Turn = *s.Turn
	}
	if s.Callback != nil {
		in.Callback = *s.Callback
	}
	return in
}

// withMoment is an input with the member scheduled_at; one that is no object has
// no members and stays as it is.
func withMoment(input json.RawMessage, at time.Time) json.RawMessage {
	members := map[string]json.RawMessage{}
	if given(input) && (json.Unmarshal(input, &members) != nil || members == nil) {
		return input
	}
	members["scheduled_at"], _ = json.Marshal(services.Time{Time: at})
	text, _ := json.Marshal(members) // each member was JSON
	return text
}

// AddSchedule makes a schedule. What it will run is checked as a job is, without
// holding anything. Kinds: Invalid with all faults, NotFound for the workflow,
// Forbidden for a key that makes no jobs, Conflict for one too many.
func (s *Service) AddSchedule(ctx context.Context, caller services.Caller, in ScheduleChange) (Schedule, error) {
	made := Schedule{ID: services.NewID(ctx, caller.Account, caller.Organization, "schedule"), TimeZone: "UTC", Missed: MissedSkip, Enabled: true}
	if err := s.changed(ctx, caller, &made, in); err != nil {
		return Schedule{}, err
	}
	added, err := s.repository.addSchedule(ctx, caller, made)
	if postgres.Violates(err, "schedules_pkey") { // the same request has added it
		added, err = s.Schedule(ctx, caller, made.ID)
		if err == nil && !added.asks(made) || services.Is(err, services.NotFound) {
			return Schedule{}, services.ErrRepeated
		}
	}
	return added, err
}

// asks reports whether a schedule still is what another one asks for.
func (s *Schedule) asks(other Schedule) bool {
	what := func(s *Schedule) string {
		said, _ := json.Marshal([]any{s.Cron, s.TimeZone, s.Missed, s.Workflow, s.Version, s.Definition, s.Input, s.Priority, s.Turn, s.Callback, s.Metadata, s.Enabled}) // texts and numbers
		return string(said)
	}
	return what(s) == what(&other)
}

// Schedules lists the caller's, newest first.
func (s *Service) Schedules(ctx context.Context, caller services.Caller, before time.Time, beforeID uuid.UUID, limit int) ([]Schedule, error) {
	return s.repository.schedules(ctx, caller.Organization, before, beforeID, limit)
}

// Schedule gives one; kind NotFound for other organisations' too.
func (s *Service) Schedule(ctx context.Context, caller services.Caller, id uuid.UUID) (Schedule, error) {
	found, err := s.repository.schedule(ctx, caller.Organization, id)
	if services.Is(err, services.NotFound) {
		err = errNoSchedule
	}
	if err == nil {
		found.Next, err = found.moments()
	}
	return found, err
}

const momentsShown = 5

// moments are the next ones of a schedule that is enabled.
func (s *Schedule) moments() (next []services.Time, err error) {
	if !s.Enabled || s.NextAt == nil {
		return nil, nil
	}
	table, err := cron.Parse(s.Cron, s.TimeZone)
	if err != nil {
		return nil, err
	}
	for at := s.NextAt.Time; !at.IsZero() && len(next) < momentsShown; at = table.Next(at) {
		next = append(next, services.Time{Time: at})
	}
	return next, nil
}

// ChangeSchedule changes a schedule, which from then on acts as the caller: nobody
// lets another's account do what that one did not ask for. Moments that lie behind
// stay behind when it is enabled again or gets another timetable. Kinds: those of
// AddSchedule, and Conflict when it was changed meanwhile.
func (s *Service) ChangeSchedule(ctx context.Context, caller services.Caller, id uuid.UUID, in ScheduleChange) (Schedule, error) {
	old, err := s.Schedule(ctx, caller, id)
	if err != nil {
		return Schedule{}, err
	}
	made := old
	if err := s.changed(ctx, caller, &made, in); err != nil {
		return Schedule{}, err
	}
	anew := made.Cron != old.Cron || made.TimeZone != old.TimeZone || made.Enabled != old.Enabled
	made, err = s.repository.changeSchedule(ctx, caller, made, anew)
	if services.Is(err, services.NotFound) {
		err = services.Errorf(services.Conflict, "The schedule was changed meanwhile; try again")
	}
	return made, err
}

// changed applies a change and checks what comes of it.
func (s *Service) changed(ctx context.Context, caller services.Caller, to *Schedule, in ScheduleChange) error {
	if err := mayMakeJobs(caller); err != nil {
		return err
	}
	faults := in.apply(to)
	now, err := s.repository.now(ctx)
	if err != nil {
		return err
	}
	table, err := cron.Parse(to.Cron, to.TimeZone)
	if err != nil {
		faults = append(faults, faultsIn(err)...)
	}
	request := to.request(now)
	request.stands, request.old = in.Callback == nil, !given(in.Definition)
	if err := s.checked(ctx, caller, request); err != nil && (len(faults) == 0 || !services.Is(err, services.Invalid)) {
		return err
	} else if err != nil {
		faults = append(faults, faultsIn(err)...)
	}
	if len(faults) > 0 {
		return services.Faults(faults...)
	}
	if to.NextAt = nil; to.Enabled {
		to.NextAt = &services.Time{Time: table.Next(now)}
	}
	return nil
}

func faultsIn(err error) []services.Fault {
	var e *services.Error
	if errors.As(err, &e) {
		if faults, ok := e.Details.([]services.Fault); ok {
			return faults
		}
		return []services.Fault{{Path: "body", Message: e.Message}}
	}
	return nil
}

// mayMakeJobs: a schedule is no way around the scopes of a key.
func mayMakeJobs(caller services.Caller) error {
	if !caller.Scopes.Allow("jobs:write") {
		return services.Errorf(services.Forbidden, "This API key lacks the scope jobs:write")
	}
	return nil
}

// DeleteSchedule removes a schedule; its jobs stay.
func (s *Service) DeleteSchedule(ctx context.Context, caller services.Caller, id uuid.UUID) error {
	found, err := s.repository.deleteSchedule(ctx, caller.Organization, id)
	if err == nil && !found {
		err = errNoSchedule
	}
	return err
}

// ScheduleRuns lists what came of moments before the given one, newest first.
func (s *Service) ScheduleRuns(ctx context.Context, caller services.Caller, id uuid.UUID, before time.Time, limit int) ([]ScheduleRun, error) {
	if _, err := s.Schedule(ctx, caller, id); err != nil {
		return nil, err
	}
	return s.repository.scheduleRuns(ctx, id, before, limit)
}

// RunSchedule makes a job now, as the caller, also of a disabled schedule. Kinds:
// those of Create.
func (s *Service) RunSchedule(ctx context.Context, caller services.Caller, id uuid.UUID, key string) (Job, error) {
	if err := mayMakeJobs(caller); err != nil {
		return Job{}, err
	}
	found, err := s.Schedule(ctx, caller, id)
	if err != nil {
		return Job{}, err
	}
	now, err := s.repository.now(ctx)
	if err != nil {
		return Job{}, err
	}
	in := found.request(now)
	if key != "" {
		in.id = derivedID("schedule", id.String(), caller.Account.String(), key)
	}
	made, err := s.createAll(ctx, caller, []Request{in}, func(int) string { return "body" }, nil)
	if err != nil {
		return Job{}, err
	}
	if made[0].again {
		return s.Get(ctx, caller, made[0].ID)
	}
	return made[0].job(), s.repository.ranNow(ctx, id, made[0].ID, now)
}
