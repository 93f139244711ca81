package prove

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"uaol/app/client"
)

// run makes the jobs, kills meanwhile, and looks at what has become of them.
func (p *proof) run(ctx context.Context) (*Report, error) {
	var open int
	g, working := errgroup.WithContext(ctx)
	deciding, decided := context.WithCancel(working)
	g.Go(func() error { return p.decider.run(deciding) })
	g.Go(func() (err error) {
		defer decided()
		if err := p.chaos(working); err != nil {
			return err
		}
		p.say("All jobs are made and all kills done; waiting for the jobs to end")
		open, err = p.settle(working)
		return err
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if open > 0 {
		p.say("%d jobs have not ended", open)
	}
	r := &Report{Seed: p.Seed, Refused: p.refused, Kills: map[string]int{}, Upon: p.killer.on, Restarts: p.restarts, Retried: p.decider.retried, Skipped: p.decider.skipped}
	for when, n := range p.killer.done {
		r.Kills[when.String()] = n
	}
	return r, p.audit(ctx, r)
}

// chaos makes the jobs bit by bit, with a kill for each bit.
func (p *proof) chaos(ctx context.Context) error {
	rounds := max(p.Kills, 1)
	for i := range rounds {
		from, to := i*len(p.plan.jobs)/rounds, (i+1)*len(p.plan.jobs)/rounds
		g, ctx := errgroup.WithContext(ctx)
		g.Go(func() error { return p.submit(ctx, i, p.plan.jobs[from:to]) })
		if i < len(p.plan.kills) {
			g.Go(func() error { return p.killer.kill(ctx, p.plan.kills[i]) })
		}
		if p.plan.restarts[i] {
			g.Go(func() error { return p.restart(ctx) })
		}
		if err := g.Wait(); err != nil {
			return err
		}
		if (i+1)%10 == 0 && i < len(p.plan.kills) {
			p.say("  %d of %d processes killed, %d of %d jobs made", i+1, p.Kills, to, len(p.plan.jobs))
		}
	}
	return nil
}

// restart restarts the database; the first time it crashes.
func (p *proof) restart(ctx context.Context) error {
	if p.database.restart == nil {
		return nil
	}
	p.restarts++
	how := "stopped"
	if p.restarts%2 == 1 {
		how = "crashed"
	}
	p.say("  the database is %s and started again", how)
	return p.database.restart(ctx, how == "crashed")
}

// submit makes jobs: those of the rich in one request, those of the poor one by one.
func (p *proof) submit(ctx context.Context, round int, jobs []*job) error {
	for owner := range customers {
		var theirs []*job
		for _, j := range jobs {
			if j.owner == owner {
				theirs = append(theirs, j)
			}
		}
		if len(theirs) == 0 {
			continue
		}
		if owner != customers-1 {
			if err := p.submitMany(ctx, owner, "round-"+strconv.Itoa(round), theirs); err != nil {
				return err
			}
			continue
		}
		for i, j := range theirs {
			if err := p.submitOne(ctx, owner, fmt.Sprintf("round-%d-%d", round, i), j); err != nil {
				return err
			}
		}
	}
	for _, j := range jobs {
		if j.cancel && j.id != "" {
			if err := p.everybody.ask(ctx, p.everybody.customers[j.owner].key, "", http.MethodPost, "/jobs/"+j.id+"/cancel", nil, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *proof) submitMany(ctx context.Context, owner int, once string, jobs []*job) error {
	requests := make([]any, len(jobs))
	for i, j := range jobs {
		requests[i] = map[string]any{"workflow_definition": j.definition(p.everybody.tools)}
	}
	var made []struct {
		ID string `json:"job_id"`
	}
	if err := p.everybody.ask(ctx, p.everybody.customers[owner].key, once, http.MethodPost, "/jobs/batch", map[string]any{"jobs": requests}, &made); err != nil {
		return err
	}
	if len(made) != len(jobs) {
		return fmt.Errorf("%d jobs were asked for, and %d made", len(jobs), len(made))
	}
	for i := range made {
		jobs[i].id = made[i].ID
	}
	return nil
}

func (p *proof) submitOne(ctx context.Context, owner int, once string, j *job) error {
	var made struct {
		ID string `json:"job_id"`
	}
	err := p.everybody.ask(ctx, p.everybody.customers[owner].key, once, http.MethodPost, "/jobs", map[string]any{"workflow_definition": j.definition(p.everybody.tools)}, &made)
	var refused *client.Refusal
	if errors.As(err, &refused) && refused.Status == http.StatusPaymentRequired {
		p.refused++
		return nil
	}
	j.id = made.ID
	return err
}

// stuck is how long no job may come to its end before those that are left are
// taken for lost: longer than a lease, and than any pause.
const stuck = 90 * time.Second

// settle waits until all jobs have ended, or nothing happens any more.
func (p *proof) settle(ctx context.Context) (open int, err error) {
	last, since := -1, time.Now()
	for {
		if err := p.pool.QueryRow(ctx, `SELECT count(*) FROM uaol_jobs.jobs WHERE end_time IS NULL`).Scan(&open); err != nil {
			return 0, err
		}
		if open == 0 {
			return 0, nil
		}
		if open != last {
			last, since = open, time.Now()
		}
		if time.Since(since) > stuck {
			return open, nil
		}
		select {
		case <-ctx.Done():
			return open, context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
