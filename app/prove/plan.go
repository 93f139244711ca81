package prove

import (
	"fmt"
	"math/rand/v2"
)

// The methods of the proof's tool, by what may be done when nobody knows whether
// a call was made.
const (
	look = "look" // read only: call again
	book = "book" // takes our idempotency key: call again
	send = "send" // neither: somebody has to decide
)

// prices of the proof's tools, in credits a call.
var prices = []int64{1, 3}

// job is one workflow that is to be run, and what has to become of it.
type job struct {
	owner  int // which of the customers
	steps  []step
	cancel bool // somebody cancels it soon after
	fails  bool // one of its steps fails for good

	id string // once it was made
}

type step struct {
	id     string
	tool   int
	method string
	needs  []string
	fails  int // how many calls fail before one succeeds
}

// always is more failures than there are attempts.
const (
	always   = 100
	attempts = 3
	most     = 8 // steps of a job
)

// kill is one death of a worker process.
type kill struct {
	when   moment
	method string // of the call that it comes upon, if it comes upon one
	early  bool   // the call has had its effect
}

// moment is when a worker dies.
type moment int

const (
	anywhere     moment = iota // whatever it is doing
	atTool                     // while a call of its is at the tool
	beforeCommit               // after the tool's answer, before the result is stored
)

func (m moment) String() string {
	return [...]string{"anywhere", "at the tool", "between answer and commit"}[m]
}

// plan is what a seed makes of the choices: the same jobs and the same deaths in
// the same order. Which process is where when it dies nobody can foresee.
type plan struct {
	jobs     []*job
	kills    []kill
	restarts map[int]bool // kills after which the database is restarted
}

func newPlan(o Options) plan {
	r := rand.New(rand.NewPCG(o.Seed, 0))
	var p plan
	for i := range o.Jobs {
		p.jobs = append(p.jobs, newJob(r, r.IntN(customers-1)))
		if i%8 == 0 { // besides, those of the poor customer, who can't pay for all
			p.jobs = append(p.jobs, newJob(r, customers-1))
		}
	}
	methods := []string{send, book, look, send}
	for i := range o.Kills {
		k := kill{method: methods[i%len(methods)], early: r.IntN(2) == 0}
		switch i % 6 {
		case 0, 2, 4:
			k.when = atTool
		case 1:
			k.when, k.early = beforeCommit, true
		}
		p.kills = append(p.kills, k)
	}
	r.Shuffle(len(p.kills), func(i, j int) { p.kills[i], p.kills[j] = p.kills[j], p.kills[i] })
	p.restarts = map[int]bool{}
	for i := range o.Restarts {
		p.restarts[(i+1)*o.Kills/(o.Restarts+1)] = true
	}
	return p
}

// newJob makes a workflow of 1 to 8 steps, each after any of those before it.
func newJob(r *rand.Rand, owner int) *job {
	j := &job{owner: owner, cancel: r.IntN(20) == 0}
	for i := range 1 + r.IntN(most) {
		s := step{id: fmt.Sprintf("s%d", i), tool: r.IntN(len(prices)), method: []string{look, book, send}[r.IntN(3)]}
		for _, earlier := range j.steps {
			if r.IntN(3) == 0 {
				s.needs = append(s.needs, earlier.id)
			}
		}
		switch draw := r.IntN(100); {
		case draw < 2:
			s.fails, j.fails = always, true
		case draw < 12:
			s.fails = 1 + r.IntN(2)
		}
		j.steps = append(j.steps, s)
	}
	return j
}

// definition is the job as the API wants it.
func (j *job) definition(tools []string) map[string]any {
	steps := make([]any, 0, len(j.steps))
	for _, s := range j.steps {
		parameters := map[string]any{"fails": s.fails}
		for _, need := range s.needs {
			parameters["after_"+need] = "{{" + need + ".result}}"
		}
		steps = append(steps, map[string]any{
			"id": s.id, "tool_id": tools[s.tool], "action": s.method, "parameters": parameters, "depends_on": s.needs,
			"retry": map[string]any{"attempts": attempts, "backoff": "10ms"},
		})
	}
	return map[string]any{"steps": steps}
}
