package chat_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"uaol/acceptance/world"
)

// TestToolsAreCalled: the model's call goes through the proxy, priced and recorded; its
// result is data; and each provider's own way comes back to it.
func TestToolsAreCalled(t *testing.T) {
	t.Parallel()
	for provider, extra := range map[string]string{"openai": "", "claude": "", "gemini": `,"extra_content":{"google":{"thought_signature":"U2ln"}}`} {
		t.Run(provider, func(t *testing.T) {
			t.Parallel()
			p := setup(t, nil)
			c := p.user(t, provider)
			id := p.tool(t, c, 5)
			p.model.set(func(in asked) []string {
				if in.N == 0 {
					return calls(in, extra, wish{"orders__look", `{"what":"12"}`}, wish{"orders__fails", `{}`}, wish{"orders__nothing", `{}`}, wish{"orders__look", `[1]`})
				}
				return says(in, "It is open.")
			})
			answer := say(t, c, object{"message": "How is order 12?", "tools": []string{"orders"}})
			require.Equal(t, "It is open.", answer.Text("data.message"))
			require.Equal(t, "success", answer.Text("data.toolCalls.0.outcome"))
			require.Equal(t, "look", answer.Text("data.toolCalls.0.method"))
			require.Equal(t, id, answer.Text("data.toolCalls.0.toolId"))
			require.Equal(t, "failed", answer.Text("data.toolCalls.1.outcome"))
			require.Equal(t, "5", fmt.Sprint(answer.At("data.credits")), "what fails is free")
			require.Eventually(t, func() bool { return balance(t, c) == "9995" }, 10*time.Second, 20*time.Millisecond)
			require.Equal(t, []string{"look 12", "fails "}, p.tools.calls())
			records := c.Do(t, "GET", "/proxy/calls", nil)
			require.Contains(t, string(records.Body), `"method":"look"`)
			for i, path := range []string{"/proxy/calls/", "/proxy/calls/", "/receipts/"} {
				call := answer.Text(fmt.Sprintf("data.toolCalls.%d.callId", i%2))
				require.Equal(t, http.StatusOK, c.Do(t, "GET", path+call, nil).Status, "%s%s", path, call)
			}

			first, second := p.model.seen()[0], p.model.seen()[1]
			var names []string
			for _, tool := range first.Tools {
				names = append(names, tool.Function.Name)
			}
			require.ElementsMatch(t, []string{"orders__look", "orders__fails", "orders__cancel", "propose_workflow"}, names)
			n := len(second.Messages)
			asks := second.Messages[n-5]
			require.Len(t, asks.ToolCalls, 4)
			if extra != "" {
				require.Contains(t, string(asks.ToolCalls[0].Extra), "U2ln", "Gemini's signature comes back")
			}
			for i, want := range []string{"order 12 is open", "no such order", `There is no tool "orders__nothing"`, "no JSON object"} {
				m := second.Messages[n-4+i]
				require.Equal(t, "tool", m.Role)
				require.Equal(t, asks.ToolCalls[i].ID, m.ToolCallID)
				require.Contains(t, m.Content, want)
				require.Regexp(t, `^<data-[0-9a-f]{12} from="tool">\n`, m.Content, "it is marked as data")
			}
			// In the next turn the model is told all of it again.
			say(t, c, object{"message": "thanks", "conversationId": answer.Text("data.conversationId")})
			require.Regexp(t, `^<data-[0-9a-f]{12} from="tool">\norder 12 is open\n</data-`, p.model.seen()[2].Messages[3].Content)
		})
	}
}

// TestOnlyWhatTheCallerMayCall: others' tools are not offered, and can't be named.
func TestOnlyWhatTheCallerMayCall(t *testing.T) {
	t.Parallel()
	p := setup(t, nil)
	c, other := p.user(t, "openai"), p.user(t, "openai")
	id := p.tool(t, c, 1)
	say(t, other, object{"message": "x", "tools": true})
	require.Empty(t, p.model.seen()[0].Tools)
	for _, name := range []string{id, "orders"} {
		require.Equal(t, http.StatusNotFound, other.Do(t, "POST", "/chat", object{"message": "x", "tools": []string{name}}).Status)
	}
	for _, body := range []object{{"message": "x"}, {"message": "x", "tools": false}, {"message": "x", "tools": []string{}}} {
		p.model.set(func(in asked) []string { return says(in, "Hello.") })
		say(t, c, body)
		require.Equal(t, fmt.Sprint(body["tools"]) == "[]", len(p.model.seen()[0].Tools) > 0, "%v", body)
	}
}

// TestBudget: what does not fit is not called, and the model is told.
func TestBudget(t *testing.T) {
	t.Parallel()
	p := setup(t, nil)
	c := p.user(t, "openai")
	p.tool(t, c, 40)
	p.model.set(func(in asked) []string {
		if in.N < 3 {
			return calls(in, "", wish{"orders__look", fmt.Sprintf(`{"what":"%d"}`, in.N)})
		}
		return says(in, "Enough.")
	})
	answer := say(t, c, object{"message": "x", "tools": true, "budget": 100})
	require.Equal(t, []string{"look 0", "look 1"}, p.tools.calls())
	require.Equal(t, "80", fmt.Sprint(answer.At("data.credits")))
	require.Equal(t, "refused", answer.Text("data.toolCalls.2.outcome"))
	require.Contains(t, p.model.seen()[3].last(), "It costs 40 credits, and 20 are left")

	// A model that never ends is ended: the last time it is asked without tools.
	p.model.set(func(in asked) []string {
		if len(in.Tools) == 0 {
			return says(in, "I stop.")
		}
		return calls(in, "", wish{"orders__look", `{"what":"again"}`})
	})
	require.Equal(t, "I stop.", say(t, c, object{"message": "x", "tools": true, "budget": 1000}).Text("data.message"))
	require.Len(t, p.model.seen(), 8)
}

// confirming has the model ask for two calls that act, and gives what waits.
func confirming(t *testing.T, p *place, c world.Client) (conversation string, ids []string) {
	t.Helper()
	before := len(p.tools.calls())
	p.model.set(func(in asked) []string {
		if in.N == 0 {
			return calls(in, "", wish{"orders__look", `{"what":"1"}`}, wish{"orders__cancel", `{"what":"1"}`}, wish{"orders__cancel", `{"what":"2"}`})
		}
		return says(in, "Done.")
	})
	answer := say(t, c, object{"message": "Cancel my orders.", "tools": true})
	require.Equal(t, "cancel", answer.Text("data.confirmations.0.method"))
	require.Equal(t, "9", fmt.Sprint(answer.At("data.confirmations.0.credits")))
	require.Equal(t, `{"what":"1"}`, mustJSON(t, answer.At("data.confirmations.0.arguments")))
	require.NotEmpty(t, answer.Text("data.message"))
	require.Equal(t, before+1, len(p.tools.calls()), "nothing that acts is called unasked")
	return answer.Text("data.conversationId"), []string{answer.Text("data.confirmations.0.id"), answer.Text("data.confirmations.1.id")}
}

// TestConfirmation: what acts is called when the caller says so, once, however often and
// by how many at once that is said.
func TestConfirmation(t *testing.T) {
	t.Parallel()
	p := setup(t, nil)
	c, other := p.user(t, "openai"), p.user(t, "openai")
	p.tool(t, c, 9)
	conversation, ids := confirming(t, p, c)
	body := object{"conversationId": conversation, "confirm": []object{{"id": ids[0], "approve": true}}}
	require.Equal(t, http.StatusNotFound, other.Do(t, "POST", "/chat", body).Status)
	require.Equal(t, http.StatusConflict, c.Do(t, "POST", "/chat", object{"conversationId": conversation, "confirm": []object{{"id": "call_x", "approve": true}}}).Status)
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			if answer, err := c.Try(t, "POST", "/chat", body); err != nil || answer.Status != http.StatusOK && answer.Status != http.StatusConflict {
				t.Errorf("%v %v", answer, err)
			}
		})
	}
	all.Wait()
	answer := say(t, c, body)
	require.Equal(t, "Done.", answer.Text("data.message"))
	require.Equal(t, "success", answer.Text("data.toolCalls.0.outcome"))
	require.Equal(t, "declined", answer.Text("data.toolCalls.1.outcome"), "what is not named is declined")
	require.Equal(t, []string{"look 1", "cancel 1"}, p.tools.calls())
	require.Eventually(t, func() bool { return balance(t, c) == "9982" }, 10*time.Second, 20*time.Millisecond)
	told := p.model.seen()[len(p.model.seen())-1]
	n := len(told.Messages)
	for i, want := range []string{"order 1 is open", "cancelled 1", "The user has declined this call"} {
		require.Contains(t, told.Messages[n-3+i].Content, want)
	}
	require.Equal(t, http.StatusConflict, c.Do(t, "POST", "/chat", object{"conversationId": conversation, "confirm": []object{{"id": ids[1], "approve": true}}}).Status, "it was decided")

	// Who says something else instead has let the calls go.
	conversation, ids = confirming(t, p, c)
	say(t, c, object{"message": "Never mind.", "conversationId": conversation})
	require.Contains(t, mustJSON(t, p.model.seen()[len(p.model.seen())-1]), "nobody has confirmed it")
	require.Equal(t, http.StatusConflict, c.Do(t, "POST", "/chat", object{"conversationId": conversation, "confirm": []object{{"id": ids[0], "approve": true}}}).Status)
	require.Len(t, p.tools.calls(), 3)
}

// TestDeathDuringConfirmation: a process that ended while it made a confirmed call leaves
// an outcome that nobody knows; the call is not made again.
func TestDeathDuringConfirmation(t *testing.T) {
	t.Parallel()
	p := setup(t, nil)
	c := p.user(t, "openai")
	p.tool(t, c, 9)
	conversation, ids := confirming(t, p, c)
	body := object{"conversationId": conversation, "confirm": []object{{"id": ids[0], "approve": true}}}
	// What such a process leaves: the turn's beginning and a claim that is over.
	p.model.mu.Lock()
	p.model.hold = make(chan struct{})
	p.model.mu.Unlock()
	gone := make(chan struct{})
	go func() { defer close(gone); _, _ = c.Try(t, "POST", "/chat", body) }()
	require.Eventually(t, func() bool { return len(p.tools.calls()) == 2 }, 10*time.Second, 5*time.Millisecond)
	db, err := pgx.Connect(t.Context(), p.Database)
	require.NoError(t, err)
	defer db.Close(t.Context())
	_, err = db.Exec(t.Context(), `UPDATE uaol_storage.conversations SET claim = gen_random_uuid(), lease_until = now() - interval '1 second' WHERE conversation_id = $1`, conversation)
	require.NoError(t, err)
	close(p.model.hold)
	<-gone
	answer := say(t, c, body)
	require.Equal(t, "unknown", answer.Text("data.toolCalls.0.outcome"))
	require.Equal(t, []string{"look 1", "cancel 1"}, p.tools.calls(), "it is not called again")
	told := p.model.seen()[len(p.model.seen())-1]
	require.Contains(t, mustJSON(t, told), "Nobody knows whether this call was made")
}

// TestProposal: a workflow that the model has put together is started with one request.
func TestProposal(t *testing.T) {
	t.Parallel()
	p := setup(t, nil)
	c := p.user(t, "openai")
	p.tool(t, c, 2)
	p.model.set(func(in asked) []string {
		switch in.N {
		case 0:
			return calls(in, "", wish{"propose_workflow", `{"name":"Bad","steps":[{"id":"a b","tool":"orders__look","parameters":{}},{"id":"c","tool":"nobodys__tool","parameters":{}}]}`})
		case 1:
			return calls(in, "", wish{"propose_workflow", `{"name":"Look twice","steps":[{"id":"a","tool":"orders__look","parameters":{"what":"1"}},{"id":"b","tool":"orders__look","parameters":{"what":"{{a.result.content.0.text}}"}}]}`})
		}
		return says(in, "This looks twice.")
	})
	answer := say(t, c, object{"message": "Look at order 1, and then at what that says.", "tools": true})
	require.Contains(t, p.model.seen()[1].last(), `there is no tool "nobodys__tool"`)
	require.Equal(t, "Look twice", answer.Text("data.workflow.name"))
	require.Empty(t, p.tools.calls(), "nothing runs before it is started")
	start, err := json.Marshal(answer.At("data.workflow.start.body"))
	require.NoError(t, err)
	keyed := c.With("Idempotency-Key", answer.Text("data.workflow.start.idempotencyKey"))
	made := keyed.Do(t, answer.Text("data.workflow.start.method"), answer.Text("data.workflow.start.path"), world.Raw(start))
	require.Equal(t, http.StatusCreated, made.Status, made)
	id := made.Text("data.job_id")
	require.Equal(t, id, keyed.Do(t, "POST", "/jobs", world.Raw(start)).Text("data.job_id"), "the same proposal is one job")
	require.Eventually(t, func() bool { return c.Do(t, "GET", "/jobs/"+id, nil).Text("data.status") == "Success" }, 20*time.Second, 20*time.Millisecond)
	require.Equal(t, []string{"look 1", "look order 1 is open"}, p.tools.calls())
}
