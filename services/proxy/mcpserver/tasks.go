package mcpserver

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"go.uber.org/zap"

	"uaol/providers/upstream"
	"uaol/services"
	"uaol/services/jobs"
)

// tasksExtension lets clients of the stateless protocol come back for what takes long
// (SEP-2663). A task is a job, and has its id.
const tasksExtension = "io.modelcontextprotocol/tasks"

// pollAfter is how often a client should ask for a task, in milliseconds.
const pollAfter = 1_000

// tasks reports whether the request's client knows tasks.
func (m meta) tasks() bool {
	var said struct {
		Extensions map[string]json.RawMessage `json:"extensions"`
	}
	return json.Unmarshal(m.capabilities, &said) == nil && len(said.Extensions[tasksExtension]) > 0
}

// missingTasks is told of requests about tasks by clients that do not know them.
func missingTasks() *upstream.RPCError {
	return &upstream.RPCError{Code: mcp.CodeMissingRequiredClientCapabilities, Message: "This needs the extension " + tasksExtension,
		Data: json.RawMessage(`{"requiredCapabilities":{"extensions":{"` + tasksExtension + `":{}}}}`)}
}

// ofTask serves a request about a task.
func (q *request) ofTask(serve func(ctx context.Context, is jobs.Standing)) func(context.Context) {
	return func(ctx context.Context) {
		if !q.params.meta.tasks() {
			q.reply.fail(missingTasks())
			return
		}
		is, err := q.endpoint.task(ctx, q.caller, q.params.task)
		if err != nil {
			q.fail(err)
			return
		}
		serve(ctx, is)
	}
}

// task gives the job behind a task's id; kind NotFound, also for those of others.
func (e *Endpoint) task(ctx context.Context, caller services.Caller, id string) (jobs.Standing, error) {
	unknown := services.Errorf(services.NotFound, "Unknown task: %.200s", id)
	job, err := uuid.Parse(id)
	if err != nil {
		return jobs.Standing{}, unknown
	}
	is, err := e.workflows.runner.Standing(ctx, jobs.StandingRequest{Caller: caller, Job: job})
	if services.Is(err, services.NotFound) || services.Is(err, services.Forbidden) {
		err = unknown
	}
	return is, err
}

func (q *request) getTask(_ context.Context, is jobs.Standing) {
	q.reply.result(spliced(taskOf(is, q.can, false), true, "complete", []byte(`"`+metaServer+`":`+serverInfo)))
}

// updateTask takes answers; those to what is not asked change nothing.
func (q *request) updateTask(ctx context.Context, is jobs.Standing) {
	q.endpoint.decide(ctx, q.caller, is, q.params.input)
	q.complete("", notCached)
}

func (q *request) cancelTask(ctx context.Context, is jobs.Standing) {
	if err := q.endpoint.workflows.runner.Stop(ctx, jobs.StandingRequest{Caller: q.caller, Job: is.Job.ID}); err != nil {
		q.fail(err)
		return
	}
	q.complete("", notCached)
}

// taskOf is a job as a task: as it begins, or with all that is to be told of it. A job
// that has failed is a call whose result says so.
func taskOf(is jobs.Standing, can upstream.Capabilities, begins bool) json.RawMessage {
	members := map[string]any{
		"taskId": is.Job.ID, "createdAt": is.CreatedAt.UTC().Format(time.RFC3339Nano), "lastUpdatedAt": is.ChangedAt.UTC().Format(time.RFC3339Nano),
		"ttlMs": nil, "pollIntervalMs": pollAfter,
	}
	status, message := "working", strconv.Itoa(is.Done)+" of "+strconv.Itoa(is.Steps)+" steps done"
	switch {
	case is.Job.Status == jobs.Cancelled:
		status, message = "cancelled", "The workflow was cancelled"
	case is.Job.Status.Ended():
		status = "completed"
		if !begins {
			members["result"] = json.RawMessage(runResult(is, true))
		}
	case len(is.Asks) > 0 && can.Allow(upstream.Elicit):
		status = "input_required"
		if !begins {
			members["inputRequests"] = questionsOf(is.Asks)
		}
	case len(is.Asks) > 0:
		message += "; " + is.Asks[0].Step + " waits for somebody's decision at /jobs/" + is.Job.ID.String()
	}
	members["status"], members["statusMessage"] = status, message
	return mustJSON(members)
}

// questionsOf are a job's questions by their keys.
func questionsOf(asks []jobs.Ask) map[string]ask {
	all := make(map[string]ask, len(asks))
	for _, a := range asks {
		all[a.Key] = ask{upstream.Elicit, questionOfJob(a)}
	}
	return all
}

// questionOfJob puts an approval to a person.
func questionOfJob(a jobs.Ask) json.RawMessage {
	message := a.Message
	if a.Call != nil {
		if message != "" {
			message += "\n\n"
		}
		message += "The step " + a.Call.Step + " would call " + a.Call.Action + " for " + strconv.FormatInt(a.Call.Price, 10) + " credits with " + string(a.Call.Arguments)
	}
	if message == "" {
		message = "The workflow waits at its step " + a.Step
	}
	return mustJSON(map[string]any{"mode": "form", "message": message, "requestedSchema": json.RawMessage(decisionSchema)})
}

const decisionSchema = `{"type":"object","properties":{"decision":{"type":"string","title":"Decision","enum":["approve","reject"]}},"required":["decision"]}`

// decide applies a client's answers to what a job asks, and reports whether any was one.
func (e *Endpoint) decide(ctx context.Context, caller services.Caller, is jobs.Standing, answers json.RawMessage) (any bool) {
	var by map[string]json.RawMessage
	_ = json.Unmarshal(answers, &by) // what is no object answers nothing
	for _, a := range is.Asks {
		if answer, ok := by[a.Key]; ok {
			any = e.take(ctx, caller, is.Job.ID, a, answer) || any
		}
	}
	return any
}

// take applies one answer. Who only puts the question away has not decided.
func (e *Endpoint) take(ctx context.Context, caller services.Caller, job uuid.UUID, a jobs.Ask, answer json.RawMessage) bool {
	var said struct {
		Action  string `json:"action"`
		Content struct {
			Decision string `json:"decision"`
		} `json:"content"`
	}
	if json.Unmarshal(answer, &said) != nil {
		return false
	}
	approve := said.Action == "accept" && said.Content.Decision == "approve"
	if !approve && said.Action != "decline" && (said.Action != "accept" || said.Content.Decision != "reject") {
		return false
	}
	err := e.workflows.runner.Answer(ctx, jobs.AnswerRequest{Caller: caller, Job: job, Step: a.Step, Item: a.Item, Digest: a.Digest, Approve: approve})
	if err != nil {
		e.log.Info("a decision came too late, or was not theirs to take", zap.Stringer("job_id", job), zap.Error(err))
	}
	return err == nil
}
