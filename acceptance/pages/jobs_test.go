package pages

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/acceptance/browser"
	"uaol/acceptance/world"
)

// credits is what p can spend.
func (p person) credits(t *testing.T) string {
	t.Helper()
	return p.Do(t, http.MethodGet, "/credits/balance", nil).Text("data.credits")
}

// status is where a job stands.
func (p person) status(t *testing.T, job string) string {
	t.Helper()
	return p.Do(t, http.MethodGet, "/jobs/"+job, nil).Text("data.status")
}

func (p person) until(t *testing.T, job, status string) {
	t.Helper()
	world.Until(t, job+" is "+status, func() bool { return p.status(t, job) == status })
}

// run begins a job with p's own key.
func (p person) run(t *testing.T, input any, steps ...object) (id string) {
	t.Helper()
	made := p.Do(t, http.MethodPost, "/jobs", object{"workflow_definition": object{"steps": steps}, "input": input})
	require.Equal(t, http.StatusCreated, made.Status, made)
	return made.Text("data.job_id")
}

func call(id, tool, action, text string) object {
	return object{"id": id, "tool_id": tool, "action": action, "parameters": object{"text": text}}
}

// jobOf is the job whose page is open.
func jobOf(tab *browser.Tab) string {
	tab.T.Helper()
	tab.Until(`/^[/]console[/]jobs[/][0-9a-f-]{36}$/.test(location.pathname)`)
	return browser.Run[string](tab, `location.pathname.split('/')[3]`)
}

// TestFirstVisit: somebody comes to the address, makes an account, writes a workflow,
// sees what is wrong while typing, runs it, watches it end, and finds it paid.
func TestFirstVisit(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	tool := b.tool(t, b.somebody(t), "Greeter", 5)

	tab := b.open(t)
	tab.Go("/")
	tab.Until(`location.pathname == "/console/sign-in"`)
	tab.Press("main", "Make an account")
	tab.Sees("h1", "Make an account")
	tab.Fill("#email", "ada@example.com")
	tab.Fill("#password", password)
	tab.Press("main form", "Make an account")
	tab.Sees("main", "Where to begin", "Welcome", "There is 1 tool to call")
	tab.Sees(".me", "ada@example.com", "10,000 credits")
	tab.Pictures("first-visit")

	tab.Press("main", "Write a workflow")
	tab.Until(`document.querySelector('#definition').value.includes('` + tool + `')`)
	tab.Put("#definition", `{"steps": [`)
	tab.Sees("#checked", "is not JSON", "line 1")
	tab.Put("#definition", `{"steps": [{"id": "a", "tool_id": "`+tool+`", "action": "shout"}]}`)
	tab.Sees("#checked", "steps[0].action")
	tab.Put("#definition", `{"steps": [
		{"id": "first", "tool_id": "`+tool+`", "action": "echo", "parameters": {"text": "hello {{input.name}}"}},
		{"id": "second", "tool_id": "`+tool+`", "action": "echo", "parameters": {"text": "{{first.result.content.0.text}}, again"}}]}`)
	tab.Sees("#checked", "2 steps, 10 credits", "input.name")
	tab.Until(`document.querySelectorAll('#checked .graph .node').length == 2 && document.querySelectorAll('#checked .graph .edge').length == 1`)
	tab.Pictures("editor")
	tab.Fill("#input", `{"name": "Ada"}`)
	tab.Press("main", "Run once")
	job := jobOf(tab)
	tab.Sees("main", "Success", "hello Ada, again", "10 credits so far")
	tab.Until(`document.querySelectorAll('.graph .node.good').length == 2`)
	tab.Sees(".me", "9,990 credits")
	tab.Pictures("job")
	require.Less(t, browser.Run[int](tab, `document.querySelector('#definition').offsetHeight`), 100, "what is closed takes a line")

	me := b.signedIn(t, "ada@example.com")
	require.Equal(t, "9990", me.credits(t))
	require.Equal(t, "Success", me.status(t, job))
	require.EqualValues(t, 2, b.tools.Calls.Load())
}

// TestApproval: a call waits for somebody, who sees what it is and lets it pass. What is
// approved is the call that was shown.
func TestApproval(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	ada := b.somebody(t)
	tool := b.tool(t, ada, "Post office", 3)
	job := ada.run(t, object{"who": "Grace"}, object{"id": "ask", "kind": "approval", "approves": "send", "message": "Send it to {{input.who}}?"}, call("send", tool, "echo", "dear {{input.who}}"))

	tab := b.enter(t, ada)
	tab.Sees("main", "1 step waits for somebody's decision")
	tab.Press("main", "1 step")
	tab.Sees("main", "Send it to Grace?", "dear Grace", `"credits": 3`)
	tab.Pictures("approval")
	require.Zero(t, b.tools.Calls.Load(), "nothing is called before")
	tab.Press("main", "Approve")
	tab.Sees("main", "Approved: the job goes on.", "Nothing waits for you")
	ada.until(t, job, "Success")
	require.EqualValues(t, 1, b.tools.Calls.Load())
	require.Equal(t, "9997", ada.credits(t))

	job = ada.run(t, object{"who": "nobody"}, object{"id": "ask", "kind": "approval", "approves": "send"}, call("send", tool, "echo", "x"))
	tab.Go("/console/jobs/" + job)
	tab.Press("main", "Reject")
	tab.Sees("main", "Rejected", "Failed")
	require.EqualValues(t, 1, b.tools.Calls.Load(), "what was rejected is not called")
	require.Equal(t, "9997", ada.credits(t))
}

// TestRedrive: what has failed for good is driven again once, with another input.
func TestRedrive(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	ada := b.somebody(t)
	tool := b.tool(t, ada, "Weather", 2)
	job := ada.run(t, object{"method": "x"}, call("fine", tool, "echo", "{{input.method}}"), call("bad", tool, "fails", "{{fine.result.content.0.text}}"))
	ada.until(t, job, "Failed")

	tab := b.enter(t, ada)
	tab.Go("/console/jobs/dead")
	tab.Sees("main", "no such city")
	tab.Pictures("dead")
	tab.Click(`input[value="` + job + `"]`)
	tab.Fill("#input", `{"method": "y"`)
	tab.Press("main", "Drive again")
	tab.Sees("main", "is not JSON", "line 1, column 14")
	tab.Go("/console/jobs/dead")
	tab.Click(`input[value="` + job + `"]`)
	tab.Fill("#input", `{"method": "y"}`)
	tab.Press("main", "Drive again")
	again := jobOf(tab)
	require.NotEqual(t, job, again)
	tab.Sees("main", "This job was made of the one that had failed", `"method": "y"`)
	ada.until(t, again, "Failed")
	tab.Go("/console/jobs/dead")
	require.Zero(t, tab.Count(`input[value="`+job+`"]`), "it was driven again")
	require.Equal(t, 1, tab.Count(`input[value="`+again+`"]`))

	tab.Go("/console/jobs/" + again)
	tab.Press("main", "Retry where it failed")
	tab.Sees("main", "The job goes on where it had failed", "Failed")
	require.Equal(t, "9996", ada.credits(t), "the step that succeeded is paid once in each job")
}

// TestALiveJob: the page of a job lights up as its steps go on, and its end can be asked for.
func TestALiveJob(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	ada := b.somebody(t)
	tool := b.tool(t, ada, "Slow", 1)
	sleep := object{"id": "nap", "kind": "sleep", "duration": "10h"}
	last := call("last", tool, "echo", "x")
	last["depends_on"] = []string{"nap"}
	ask := object{"id": "ask", "kind": "approval", "message": "Go on?"}
	job := ada.run(t, nil, ask, sleep, last)

	tab := b.enter(t, ada)
	tab.Go("/console/jobs/" + job)
	tab.Until(`document.querySelector('[data-node=nap]').classList.contains('wait') && document.querySelector('[data-node=last]').classList.contains('calm')`)
	browser.Run[bool](tab, `(() => { document.querySelector('#definition summary').click(); window.same = 'page'; return true })()`)
	decided := ada.Do(t, http.MethodPost, "/jobs/"+job+"/steps/ask/decision", object{"decision": "approve"})
	require.Equal(t, http.StatusOK, decided.Status, decided)
	tab.Until(`document.querySelector('[data-node=ask]').classList.contains('good')`)
	tab.Until(`window.same == 'page' && document.querySelector('#definition').open`)
	tab.Press("main", "Cancel")
	tab.Sees("dialog[open]", "Stop this job?")
	tab.Press("dialog", "Do it")
	tab.Sees("main", "The job was told to stop", "Cancelled")
	require.Equal(t, "10000", ada.credits(t))
}

// TestUnknownOutcome: a connection that broke in the middle of a call is for somebody to decide.
func TestUnknownOutcome(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	ada := b.somebody(t)
	cut := cutting(t, b.tools.URL)
	tool := b.toolAt(t, ada, cut.URL+"/mcp", "Fragile", 4)
	cut.next.Store(true)
	job := ada.run(t, nil, call("once", tool, "echo", "x"))

	tab := b.enter(t, ada)
	tab.Go("/console/jobs/" + job)
	tab.Sees("main", "once waits for somebody", "Nobody knows whether the tool was called")
	tab.Pictures("unknown")
	tab.Press("main", "Call again")
	tab.Sees("dialog[open]", "Call it once more?")
	tab.Press("dialog", "Do it")
	tab.Sees("main", "The step calls its tool again.", "Success", "4 credits so far")
	require.Equal(t, "9996", ada.credits(t))
}

// TestSchedule: a saved workflow on a timetable, with its next moments.
func TestSchedule(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	ada := b.somebody(t)
	tool := b.tool(t, ada, "Clock", 1)
	tab := b.enter(t, ada)
	tab.Go("/console/schedules")
	tab.Sees("main", "No schedules yet")
	tab.Go("/console/workflows/new")
	tab.Put("#definition", fmt.Sprintf(`{"steps": [{"id": "tick", "tool_id": %q, "action": "echo", "parameters": {"text": "{{input.scheduled_at}}"}}]}`, tool))
	tab.Sees("#checked", "1 step, 1 credit")
	tab.Fill("#name", "Tick")
	tab.Press("main", "Save")
	tab.Sees("main", "Version 1 of Tick is saved.")
	tab.Press("main", "Schedule")
	tab.Fill("#cron", "every morning")
	tab.Press("main", "Save")
	tab.Sees("main .fault", "five fields")
	tab.Fill("#cron", "0 9 * * 1")
	tab.Fill("#zone", "Europe/Berlin")
	tab.Press("main", "Save")
	tab.Sees("main", "The schedule is saved.", "Next runs")
	require.Equal(t, 5, tab.Count("ol time[data-exact]"))
	tab.Pictures("schedule")
	tab.Press("main", "Run now")
	job := jobOf(tab)
	tab.Sees("main", "The schedule's job has begun.", "Success")
	require.Equal(t, "Success", ada.status(t, job))
	tab.Go("/console/schedules")
	tab.Press("main table", "Tick")
	tab.Press("main", "Turn off")
	tab.Sees("main", "The schedule is off", "None: it is off.")
}
