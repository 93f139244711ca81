package jobs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"uaol/providers/events"
	"uaol/providers/postgres"
	"uaol/providers/upstream"
	"uaol/services"
	"uaol/services/billing"
	"uaol/services/jobs/workflow"
	"uaol/services/proxy"
	"uaol/services/registry"
)

// Request asks for a job.
type Request struct {
	Definition json.RawMessage `json:"workflow_definition,omitempty" doc:"{steps:[{id,tool_id,action,parameters,depends_on}],metadata}"`
	Workflow   *uuid.UUID      `json:"workflow_id,omitempty" format:"uuid" doc:"a saved workflow, instead of workflow_definition"`
	Version    int64           `json:"workflow_version,omitempty" minimum:"1" doc:"of the saved workflow; else its newest"`
	Input      json.RawMessage `json:"input,omitempty" doc:"what {{input}} stands for"`
	Priority   int             `json:"priority,omitempty" minimum:"-100" maximum:"100" doc:"among the jobs of the same account; higher goes first"`
	RunAt      *time.Time      `json:"run_at,omitempty" doc:"not before then"`
	Timeout    string          `json:"timeout,omitempty" doc:"a duration such as 10m, after which the job has failed"`
	Turn       string          `json:"concurrency_key,omitempty" maxLength:"200" doc:"of the organisation's jobs with the same one, one runs at a time"`
	Callback   string          `json:"callback_url,omitempty" maxLength:"2000" doc:"is told of the job's end, signed"`
	Metadata   json.RawMessage `json:"metadata,omitempty" doc:"an object, to find the job by"`

	// Key tells which requests are the same one.
	Key string `json:"-"`

	was version   // the saved workflow that Definition was taken from
	id  uuid.UUID // which job it is: one with the same id is the same one, whatever it says
}

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
		drafts[i].Parent = of
	}
	if err := s.hold(ctx, caller, drafts); err != nil {
		return nil, err
	}
	if err := s.insert(ctx, caller, drafts); err != nil {
		s.giveBack(ctx, drafts, err)
		return nil, err
	}
	return drafts, nil
}

// drafts reads and prices what is asked for; all faults are told at once.
func (s *Service) drafts(ctx context.Context, caller services.Caller, all []Request, at func(int) string) ([]draft, error) {
	drafts, faults := make([]draft, len(all)), []services.Fault(nil)
	var last string // of a batch most have the same definition
	texts := sources{service: s}
	pricing := pricer{service: s, caller: caller, known: map[uuid.UUID]*registry.Offer{}}
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
			d.workflow, d.Plan, d.Cost, d.calls, d.later = drafts[i-1].workflow, drafts[i-1].Plan, drafts[i-1].Cost, drafts[i-1].calls, drafts[i-1].later
		} else if err := pricing.price(ctx, d); err != nil {
			var e *services.Error
			if !errors.As(err, &e) || e.Kind != services.Invalid {
				return nil, err
			}
			if len(all) == 1 {
				return nil, err
			}
			faults = append(faults, movedTo(e, at(i))...)
			last = ""
			continue
		}
		last = d.Definition
		faults = append(faults, d.say(in, at(i))...)
	}
	if len(faults) > 0 {
		return nil, services.Faults(faults[:min(len(faults), 100)]...)
	}
	return drafts, nil
}

// movedTo tells the faults of one of several definitions where they are.
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

// say takes over what a request says of the job itself.
func (d *draft) say(in *Request, at string) (faults []services.Fault) {
	fault := func(member, message string) {
		faults = append(faults, services.Fault{Path: at + "." + member, Message: message})
	}
	if wrong := d.limits(in); wrong != "" {
		fault("timeout", wrong)
	}
	if in.Turn != "" {
		turn := d.Organization.String() + "/" + in.Turn
		d.Turn = &turn
		if in.RunAt != nil {
			fault("run_at", "goes not together with concurrency_key: a job that waits for its moment would let others wait")
		}
	}
	if in.Callback != "" {
		if target, err := url.Parse(in.Callback); err != nil || target.Host == "" || target.Scheme != "https" && target.Scheme != "http" || target.User != nil {
			fault("callback_url", "must be an http or https address without a user")
		}
		d.Callback = &in.Callback
	}
	if len(in.Metadata) > 0 && string(in.Metadata) != "null" {
		if in.Metadata[0] != '{' || len(in.Metadata) > mostMetadata {
			fault("metadata", fmt.Sprintf("must be an object of at most %d bytes", mostMetadata))
		}
		d.Metadata = storedText(in.Metadata)
	}
	return faults
}

const mostMetadata = 16 << 10 // bytes

// limits sets until when a job may take.
func (d *draft) limits(in *Request) (fault string) {
	timeout := d.workflow.Timeout
	if in.Timeout != "" {
		said, err := time.ParseDuration(in.Timeout)
		if err != nil || said < time.Second || said > 30*24*time.Hour {
			return "must be a duration such as 10m, of a second to 720h"
		}
		timeout = said
	}
	if timeout > 0 {
		from := time.Now()
		if d.RunAt != nil && d.RunAt.After(from) {
			from = *d.RunAt
		}
		deadline := from.Add(timeout)
		d.Deadline = &deadline
	}
	return ""
}

// digest tells whether a request with the same key is the same.
func (in *Request) digest() []byte {
	text, _ := json.Marshal(in) // it was read from JSON
	var compact bytes.Buffer
	if json.Compact(&compact, text) == nil {
		text = compact.Bytes()
	}
	sum := sha256.Sum256(text)
	return sum[:]
}

// hold sets the cost of all aside, or of none.
func (s *Service) hold(ctx context.Context, caller services.Caller, drafts []draft) error {
	var wanted billing.HoldsRequest
	var of []*draft
	for i := range drafts {
		if d := &drafts[i]; d.Cost > 0 {
			wanted.Holds = append(wanted.Holds, billing.HoldRequest{
				ID: d.ID, Caller: caller, Owner: billing.OwnerJob, Amount: d.Cost, Calls: d.calls, Lifetime: holdFirst})
			of = append(of, d)
		}
	}
	if len(of) == 0 {
		return s.openAccount(ctx, caller, drafts)
	}
	if len(of) == 1 {
		_, err := s.meter.Hold(ctx, wanted.Holds[0])
		of[0].held = err == nil
		return err
	}
	outcomes, err := s.meter.HoldMany(ctx, wanted)
	if err != nil {
		return err
	}
	var refused error
	for i, o := range outcomes {
		if of[i].held = o.Error == nil; o.Error != nil && refused == nil {
			refused = o.Error
		}
	}
	if refused != nil {
		s.giveBack(ctx, drafts, refused)
	}
	return refused
}

// openAccount sees to it that there is an account to hold from when a step whose
// number is not known yet is reached: billing opens it for whoever asks first, and
// the engine does not know what this caller is.
func (s *Service) openAccount(ctx context.Context, caller services.Caller, drafts []draft) error {
	for i := range drafts {
		if drafts[i].later {
			_, err := s.meter.Balance(ctx, billing.BalanceRequest{Caller: caller})
			return err
		}
	}
	return nil
}

// insert writes the jobs, and lets the engine of this process begin at once if it
// has room for them.
func (s *Service) insert(ctx context.Context, caller services.Caller, drafts []draft) error {
	if caller.Role == services.RoleGuest {
		return s.insertGuest(ctx, caller, drafts)
	}
	for start := 0; start < len(drafts); start += inOne {
		if err := s.insertSome(ctx, drafts[start:min(start+inOne, len(drafts))]); err != nil {
			return err
		}
	}
	s.bus.Publish(events.New("job.created", "", caller.Organization, nil))
	return nil
}

func (s *Service) insertSome(ctx context.Context, drafts []draft) error {
	reserved := s.reserve(drafts)
	var made []claimed
	defer func() { s.engine.unreserve(reserved, made) }()
	if len(drafts) == 1 {
		_, done, err := s.repository.creations.Do(ctx, drafts[0].creation)
		if err != nil && !services.Is(err, services.Conflict) {
			return err
		}
		if !done {
			return s.found(ctx, &drafts[0])
		}
	} else {
		all := make([]creation, len(drafts))
		for i := range drafts {
			all[i] = drafts[i].creation
		}
		done, err := s.repository.createAll(ctx, all)
		if err != nil {
			return err
		}
		for i := range drafts {
			if _, ok := done[i]; !ok {
				if err := s.found(ctx, &drafts[i]); err != nil {
					return err
				}
			}
		}
	}
	for i := range drafts {
		if d := &drafts[i]; d.Worker != uuid.Nil && !d.again {
			made = append(made, d.claimed())
		}
	}
	return nil
}

// reserve asks the engine for room for jobs that may begin at once.
func (s *Service) reserve(drafts []draft) []uuid.UUID {
	var ids []uuid.UUID
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
		Cost: d.Cost, Deadline: d.Deadline, Turn: d.Turn, Fence: 1, StartedAt: time.Now()}
	if d.Parent != nil {
		c.Parent = &d.Parent.Job
	}
	if d.Key != uuid.Nil {
		c.Key = &d.Key
	}
	return c
}

// found is what becomes of a job whose id there is already: it is the same if the
// request was.
func (s *Service) found(ctx context.Context, d *draft) error {
	digest, err := s.repository.digestOf(ctx, d.ID)
	switch {
	case err != nil:
		return err
	case !bytes.Equal(digest, d.Digest):
		return services.Errorf(services.Conflict, "This Idempotency-Key was used for another request")
	}
	d.again = true
	return nil
}

func (r *Repository) digestOf(ctx context.Context, id uuid.UUID) ([]byte, error) {
	return postgres.Value[[]byte](ctx, r.pool, `SELECT request_digest FROM uaol_jobs.jobs WHERE job_id = $1`, id)
}

// insertGuest writes a guest's jobs together with what it has made of what it may.
func (s *Service) insertGuest(ctx context.Context, caller services.Caller, drafts []draft) error {
	calls, all := 0, make([]creation, len(drafts))
	for i := range drafts {
		calls += len(drafts[i].workflow.Steps)
		all[i] = drafts[i].creation
	}
	var made []int64
	err := postgres.InTx(ctx, s.repository.pool, func(tx pgx.Tx) (err error) {
		if err := countGuest(ctx, tx, caller, len(drafts), calls); err != nil {
			return err
		}
		made, err = s.repository.create(ctx, tx, all)
		if err == nil && len(made) < len(all) {
			err = errMadeBefore
		}
		return err
	})
	if errors.Is(err, errMadeBefore) || services.Is(err, services.Conflict) {
		for i := range drafts {
			if err := s.found(ctx, &drafts[i]); err != nil {
				return err
			}
		}
		return nil
	}
	if err == nil {
		s.bus.Publish(events.New("job.created", "", caller.Organization, nil))
	}
	return err
}

var errMadeBefore = errors.New("a job of this id was made before")

// giveBack releases the holds of jobs that did not come to be. When nobody can
// tell whether they did, billing's sweeper asks later.
func (s *Service) giveBack(ctx context.Context, drafts []draft, reason error) {
	if services.Is(reason, services.Unavailable) || ctx.Err() != nil {
		return
	}
	var in billing.ReleasesRequest
	for i := range drafts {
		if drafts[i].held && !drafts[i].again {
			in.Releases = append(in.Releases, billing.ReleaseRequest{HoldID: drafts[i].ID})
		}
	}
	if len(in.Releases) == 0 {
		return
	}
	if _, err := s.meter.ReleaseMany(ctx, in); err != nil {
		s.log.Warn("holds stay until the sweeper finds them", zap.Int("holds", len(in.Releases)), zap.Error(err))
	}
}

// pricer looks tools up, each once.
type pricer struct {
	service *Service
	caller  services.Caller
	known   map[uuid.UUID]*registry.Offer
}

// price freezes the versions of a draft's tools and their methods' prices.
func (p *pricer) price(ctx context.Context, d *draft) (err error) {
	if d.workflow, err = p.service.repository.definitions.fresh(d.Definition); err != nil {
		return err
	}
	if err := p.look(ctx, d.workflow); err != nil {
		return err
	}
	var faults []services.Fault
	frozenAs := make(plan, len(d.workflow.Steps))
	for i := range d.workflow.Steps {
		step := &d.workflow.Steps[i]
		if step.Tool == nil {
			d.later = d.later || step.Kind == workflow.Child // which may cost something
			continue
		}
		offer := p.known[step.Tool.ToolID]
		if offer == nil || !offer.VisibleTo(p.caller) {
			faults = append(faults, services.Fault{Path: workflow.StepPath(i) + ".tool_id", Message: fmt.Sprintf("there is no approved tool %s", step.Tool.ToolID)})
			continue
		}
		method, err := offer.Find(step.Tool.Action)
		if err != nil {
			faults = append(faults, services.Fault{Path: workflow.StepPath(i) + ".action", Message: message(err)})
			continue
		}
		faults = append(faults, p.arguments(*offer, method, step.Tool, i)...)
		d.later = d.later || step.ForEach != nil && offer.PriceOf(step.Tool.Action) > 0
		frozenAs[i] = frozen{Version: offer.Version, Price: offer.PriceOf(step.Tool.Action),
			Safe: offer.Pinned && proxy.Repeatable([]upstream.Method{method.Method}, step.Tool.Action)}
	}
	if len(faults) > 0 {
		return services.Faults(faults...)
	}
	d.Plan = frozenAs.text()
	d.Cost, d.calls = frozenAs.cost(d.workflow)
	return nil
}

// arguments lists what is wrong with a step's arguments, whatever its references
// will stand for.
func (p *pricer) arguments(offer registry.Offer, method registry.Method, call *workflow.ToolCall, i int) []services.Fault {
	value, holes := call.Parameters.Value()
	given, ok := value.(map[string]any)
	if !ok {
		return nil
	}
	unknown := make([][]string, len(holes))
	for i, hole := range holes {
		unknown[i] = hole
	}
	return p.service.checker.Faults(offer, method, given, unknown, workflow.StepPath(i)+".parameters")
}

func (p *pricer) look(ctx context.Context, d *workflow.Definition) error {
	var ids []uuid.UUID
	for i := range d.Steps {
		if tool := d.Steps[i].Tool; tool != nil {
			if _, ok := p.known[tool.ToolID]; !ok && !slices.Contains(ids, tool.ToolID) {
				ids = append(ids, tool.ToolID)
			}
		}
	}
	if len(ids) == 0 {
		return nil
	}
	offers, err := p.service.catalog.Offers(ctx, registry.ToolsRequest{IDs: ids})
	if err != nil {
		return err
	}
	for _, id := range ids {
		p.known[id] = nil
	}
	for i := range offers {
		p.known[offers[i].ToolID] = &offers[i]
	}
	return nil
}
