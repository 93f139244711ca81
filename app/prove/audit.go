package prove

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"uaol/services/billing/ledger"
)

// Report is what the proof has found. It holds when Lost, Doubled, Overdrawn and
// Wrong are 0.
type Report struct {
	Seed     uint64         `json:"seed"`
	Jobs     map[string]int `json:"jobs"`    // by what they have come to
	Refused  int            `json:"refused"` // for want of credits
	Steps    int            `json:"steps"`   // that have succeeded
	Calls    int            `json:"calls"`   // that have reached the tool
	Kills    map[string]int `json:"kills"`
	Upon     map[string]int `json:"upon"` // the methods of those killed upon a call
	Restarts int            `json:"restarts"`
	Retried  int            `json:"retried"` // decisions
	Skipped  int            `json:"skipped"`
	Charged  int64          `json:"charged"` // credits

	Lost      int      `json:"lost"`      // jobs that are gone or have not come to their end, and successes without an effect
	Doubled   int      `json:"doubled"`   // effects that were to come once, and jobs made twice
	Overdrawn int      `json:"overdrawn"` // organisations that have spent more than they had
	Wrong     int      `json:"wrong"`     // charges other than what has succeeded, and faults of the books
	Faults    []string `json:"faults"`    // the first of them, in words

	Took time.Duration `json:"-"`
}

// Holds reports whether nothing was wrong.
func (r *Report) Holds() bool { return r.Lost+r.Doubled+r.Overdrawn+r.Wrong == 0 }

const faultsTold = 20

func (r *Report) fault(count *int, format string, args ...any) {
	*count++
	if len(r.Faults) < faultsTold {
		r.Faults = append(r.Faults, fmt.Sprintf(format, args...))
	}
}

// stepState is a step as the API tells it.
type stepState struct {
	ID      string  `json:"id"`
	Status  string  `json:"status"`
	Credits int64   `json:"credits"`
	Action  string  `json:"action"`
	Error   *string `json:"error"`
}

// audit compares what the API, the books and the tool say.
func (p *proof) audit(ctx context.Context, r *Report) error {
	states, err := p.states(ctx)
	if err != nil {
		return err
	}
	statuses, err := p.statuses(ctx)
	if err != nil {
		return err
	}
	charged, err := p.charges(ctx)
	if err != nil {
		return err
	}
	r.Jobs = map[string]int{}
	due := make([]int64, customers)
	for i, j := range p.plan.jobs {
		if j.id == "" {
			continue
		}
		status := statuses[j.id]
		r.Jobs[status]++
		p.judge(r, j, status, states[i])
		price := p.count(r, j, states[i])
		due[j.owner] += price
		if charged[j.id] != price {
			r.fault(&r.Wrong, "job %s: %d credits charged for steps of %d", j.id, charged[j.id], price)
		}
		delete(statuses, j.id)
		delete(charged, j.id)
	}
	for id := range statuses {
		r.fault(&r.Doubled, "job %s: nobody was told of it", id)
	}
	for id, credits := range charged {
		r.fault(&r.Wrong, "job %s: %d credits charged, and nobody was told of it", id, credits)
	}
	if err := p.balances(ctx, r, due); err != nil {
		return err
	}
	return p.books(ctx, r)
}

// judge looks whether a job has come to the end that it had to come to.
func (p *proof) judge(r *Report, j *job, status string, steps []stepState) {
	switch {
	case status == "Success" && !j.fails, status == "Failed" && j.fails, status == "Cancelled" && j.cancel:
	case status == "":
		r.fault(&r.Lost, "job %s: it is not there", j.id)
	default:
		r.fault(&r.Lost, "job %s is %s: %s", j.id, status, told(steps))
	}
}

// told are steps in words.
func told(steps []stepState) string {
	words := make([]string, len(steps))
	for i, s := range steps {
		words[i] = s.ID + " " + s.Status
		if s.Error != nil {
			words[i] += " (" + *s.Error + ")"
		}
	}
	return strings.Join(words, ", ")
}

// count compares a job's steps with what the tool has seen, and gives what they cost.
func (p *proof) count(r *Report, j *job, steps []stepState) (credits int64) {
	for _, s := range steps {
		done, _ := p.tool.of(j.id + "/" + s.ID)
		r.Calls += done.arrivals
		if s.Status == "Success" {
			r.Steps++
			credits += s.Credits
			if done.effects == 0 {
				r.fault(&r.Lost, "job %s, step %s: a success without an effect", j.id, s.ID)
			}
		}
		if s.Action != look && done.effects > 1 {
			r.fault(&r.Doubled, "job %s, step %s: %d effects", j.id, s.ID, done.effects)
		}
	}
	r.Charged += credits
	return credits
}

// states are the steps of the jobs, by their place in the plan.
func (p *proof) states(ctx context.Context) ([][]stepState, error) {
	all := make([][]stepState, len(p.plan.jobs))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for i, j := range p.plan.jobs {
		if j.id == "" {
			continue
		}
		g.Go(func() error {
			return p.everybody.ask(ctx, p.everybody.customers[j.owner].key, "", http.MethodGet, "/jobs/"+j.id+"/steps", nil, &all[i])
		})
	}
	return all, g.Wait()
}

// statuses are those of all jobs that there are.
func (p *proof) statuses(ctx context.Context) (map[string]string, error) {
	all := map[string]string{}
	rows, err := p.pool.Query(ctx, `SELECT job_id::text, CASE WHEN end_time IS NULL THEN 'open' ELSE status END FROM uaol_jobs.jobs`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id, status string
		if err := rows.Scan(&id, &status); err != nil {
			return nil, err
		}
		all[id] = status
	}
	return all, rows.Err()
}

// charges are the credits that the books say were charged for each job.
func (p *proof) charges(ctx context.Context) (map[string]int64, error) {
	all := map[string]int64{}
	rows, err := p.pool.Query(ctx, `
		SELECT job_id::text, sum(amount)::bigint FROM uaol_billing.journal WHERE kind = 'settle' AND job_id IS NOT NULL GROUP BY job_id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		var credits int64
		if err := rows.Scan(&id, &credits); err != nil {
			return nil, err
		}
		all[id] = credits
	}
	return all, rows.Err()
}

// balances looks whether each customer has what is left of its credits.
func (p *proof) balances(ctx context.Context, r *Report, due []int64) error {
	for i, c := range p.everybody.customers {
		left, err := p.everybody.balance(ctx, i)
		if err != nil {
			return err
		}
		if left < 0 || due[i] > c.given {
			r.fault(&r.Overdrawn, "customer %d had %d credits and spent %d", i, c.given, due[i])
		}
		if left != c.given-due[i] {
			r.fault(&r.Wrong, "customer %d has %d credits left, of %d less %d", i, left, c.given, due[i])
		}
	}
	return nil
}

// books has the ledger verified.
func (p *proof) books(ctx context.Context, r *Report) error {
	report, err := ledger.Verify(ctx, ledger.Database(p.pool), ledger.Options{Trusted: p.trusted})
	if err != nil {
		return err
	}
	for _, finding := range report.Findings {
		r.fault(&r.Wrong, "the books: %s", strings.TrimSpace(finding.String()))
	}
	return nil
}
