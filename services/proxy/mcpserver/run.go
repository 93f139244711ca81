package mcpserver

import (
	"context"
	"encoding/json"
	"maps"
	"strconv"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"uaol/providers/api"
	"uaol/providers/upstream"
	"uaol/services"
	"uaol/services/jobs"
)

const (
	// beginWithin is how long it may take to make a job.
	beginWithin = time.Minute
	// taskAfter is how long a workflow may take before a client that knows tasks gets one.
	taskAfter = time.Second
	// mostWaiting is how long a client without tasks waits for a workflow.
	mostWaiting = 30 * time.Minute
	// decidedWithin is how long it may take until a decision is seen: until then the
	// question still stands.
	decidedWithin = 10 * time.Second
	// lingers is how long a process that stops waits for the ends of jobs; they go on
	// elsewhere.
	lingers = 5 * time.Second
	// stopWithin is how long it may take to ask for a job's end.
	stopWithin = 10 * time.Second
)

// runWorkflow makes a job of a saved workflow and answers with what comes of it: at the
// end, or at once with a task for clients that know tasks.
func (q *request) runWorkflow(ctx context.Context, method string) {
	workflow, err := q.endpoint.workflows.find(ctx, q.caller, method)
	if err != nil {
		q.fail(err)
		return
	}
	if !q.modern {
		var done func()
		ctx, done = q.endpoint.running.begin(ctx, q)
		defer done()
	}
	about := digestOf("workflow", workflow.ID.String(), q.params.arguments)
	var is jobs.Standing
	if q.modern && q.params.state != "" {
		is, err = q.resumed(ctx, about)
	} else {
		key := q.params.meta.key
		if key == "" {
			key = uuid.NewString() // the request may reach the jobs service twice
		}
		whole, cancel := context.WithTimeout(context.WithoutCancel(ctx), beginWithin) // a job that nobody knows of could not be stopped
		defer cancel()
		is, err = q.endpoint.workflows.runner.Begin(whole, jobs.BeginRequest{
			Caller: q.caller, Workflow: workflow.ID, Input: q.params.arguments, Key: "mcp/" + key, MaxCost: q.params.meta.maxCredits,
		})
	}
	if text := asResult(err); text != "" {
		q.reply.result(finished(said(text, true), q.modern, "complete", nil))
		return
	}
	if err != nil {
		q.fail(err)
		return
	}
	q.awaitJob(ctx, is, about)
}

// resumed goes on with a job whose client comes back with what it was asked.
func (q *request) resumed(ctx context.Context, about string) (jobs.Standing, error) {
	r, err := q.endpoint.openRound(q.caller, q.params.state, uuid.Nil, about)
	if err != nil {
		return jobs.Standing{}, err
	}
	runner := q.endpoint.workflows.runner
	is, err := runner.Standing(ctx, jobs.StandingRequest{Caller: q.caller, Job: r.Job})
	if err != nil || !q.endpoint.decide(ctx, q.caller, is, q.params.input) {
		return is, err
	}
	return runner.Standing(ctx, jobs.StandingRequest{Caller: q.caller, Job: r.Job, After: is.Mark, Wait: decidedWithin.Milliseconds()})
}

// awaitJob answers with what comes of a job.
func (q *request) awaitJob(ctx context.Context, is jobs.Standing, about string) {
	runner, job := q.endpoint.workflows.runner, is.Job.ID
	client := ctx
	ctx, cancel := context.WithCancel(client)
	defer cancel()
	defer context.AfterFunc(q.endpoint.ctx, cancel)()
	defer context.AfterFunc(api.Stopping(ctx), func() {
		pause(ctx, lingers)
		cancel()
	})()
	begun, tasks := time.Now(), q.modern && q.params.meta.tasks()
	asked := askedOf{request: q, job: job, open: map[string]context.CancelFunc{}}
	defer asked.close()
	told := -1
	for !is.Job.Status.Ended() {
		waited := time.Since(begun)
		asks := is.Asks
		if !q.can.Allow(upstream.Elicit) {
			asks = nil
		}
		switch {
		case tasks && (waited >= taskAfter || len(asks) > 0):
			q.reply.result(spliced(taskOf(is, q.can, true), true, "task", []byte(`"`+metaServer+`":`+serverInfo)))
			return
		case q.modern && len(asks) > 0:
			q.reply.result(q.asking(questionsOf(asks), round{About: about, Job: job}))
			return
		case waited > mostWaiting:
			q.reply.result(runResult(is, q.modern))
			return
		}
		asked.keep(ctx, asks)
		told = q.tellProgress(is, told)
		wait := time.Duration(jobs.MostWait) * time.Millisecond
		if tasks {
			wait = min(wait, taskAfter-waited)
		}
		next, err := runner.Standing(ctx, jobs.StandingRequest{Caller: q.caller, Job: job, After: is.Mark, Wait: max(wait.Milliseconds(), 1)})
		switch {
		case ctx.Err() != nil && (client.Err() == nil || q.endpoint.ctx.Err() != nil):
			q.reply.fail(goesOn(job, errStopping))
			return
		case ctx.Err() != nil: // its client does not want it any more
			q.endpoint.stopJob(q.caller, job)
			q.reply.fail(goesOn(job, services.Errorf(services.Conflict, "The call was cancelled, and its job with it")))
			return
		case err != nil && services.Is(err, services.Unavailable): // the job does not mind
			q.endpoint.log.Info("a job can't be asked for just now", zap.Stringer("job_id", job), zap.Error(err))
			pause(ctx, time.Second)
		case err != nil:
			q.reply.fail(goesOn(job, err))
			return
		default:
			is = next
		}
	}
	q.tellProgress(is, told)
	q.reply.result(runResult(is, q.modern))
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// goesOn is an error that says which job the call has begun.
func goesOn(job uuid.UUID, err error) *upstream.RPCError {
	fault := faultOf(err, nil)
	fault.Data = with(orObject(fault.Data), "job", mustJSON(job))
	return fault
}

func (e *Endpoint) stopJob(caller services.Caller, job uuid.UUID) {
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	if err := e.workflows.runner.Stop(ctx, jobs.StandingRequest{Caller: caller, Job: job}); err != nil {
		e.log.Warn("a job could not be stopped whose client has left", zap.Stringer("job_id", job), zap.Error(err))
	}
}

// tellProgress tells how many of a job's steps are done, when there are more than last
// time.
func (q *request) tellProgress(is jobs.Standing, last int) (told int) {
	if q.params.meta.progress == nil || is.Done <= last {
		return last
	}
	members := map[string]any{"progressToken": q.params.meta.progress, "progress": is.Done, "total": is.Steps}
	if is.Newest != "" {
		members["message"] = is.Newest
	}
	_ = q.reply.tell("", "notifications/progress", mustJSON(members)) // whoever left does not mind
	return is.Done
}

// askedOf are the questions of a job that its client is asked on its stream.
type askedOf struct {
	request *request
	job     uuid.UUID
	open    map[string]context.CancelFunc
}

// keep asks what is new and takes back what is not asked any more.
func (a *askedOf) keep(ctx context.Context, asks []jobs.Ask) {
	now := map[string]jobs.Ask{}
	for _, ask := range asks {
		now[ask.Key] = ask
	}
	for key, ask := range now {
		if _, known := a.open[key]; known {
			continue
		}
		own, cancel := context.WithCancel(ctx)
		a.open[key] = cancel
		go func() {
			answer, err := a.request.askOnStream(own, upstream.Elicit, questionOfJob(ask))
			if err == nil {
				a.request.endpoint.take(own, a.request.caller, a.job, ask, answer)
			}
		}()
	}
	maps.DeleteFunc(a.open, func(key string, cancel context.CancelFunc) bool {
		_, still := now[key]
		if !still {
			cancel()
		}
		return !still
	})
}

func (a *askedOf) close() { a.keep(context.Background(), nil) }

// runResult is what came of a job as a method's result.
func runResult(is jobs.Standing, modern bool) []byte {
	var result json.RawMessage
	switch is.Job.Status {
	case jobs.Success:
		output := is.Job.FinalOutput
		quoted := output
		if len(output) == 0 || output[0] != '"' { // a text is told as it is
			quoted, _ = json.Marshal(string(output))
		}
		result = json.RawMessage(`{"content":[{"type":"text","text":` + string(quoted) + `}],"isError":false}`)
		if len(output) > 0 && output[0] == '{' {
			result = with(result, "structuredContent", output)
		}
	case jobs.Failed:
		text := "The workflow failed"
		if is.Job.ErrorMessage != nil {
			text += ": " + *is.Job.ErrorMessage
		}
		result = said(text, true)
	case jobs.Cancelled:
		result = said("The workflow was cancelled", true)
	default:
		result = said("The workflow goes on as the job "+is.Job.ID.String()+"; what comes of it is at /jobs/"+is.Job.ID.String(), false)
	}
	own := make([]byte, 0, 192)
	if modern {
		own = append(append(own, `"`+metaServer+`":`...), serverInfo+","...)
	}
	if !is.Children { // what those cost is in their own jobs
		own = append(strconv.AppendInt(append(own, `"`+metaCredits+`":`...), is.Credits, 10), ',')
	}
	own = append(append(append(own, `"`+metaJob+`":"`...), is.Job.ID.String()...), '"')
	return spliced(result, modern, "complete", own)
}
