package mcpserver_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/acceptance/world"
)

var knowsTasks = object{
	"io.modelcontextprotocol/protocolVersion": stateless,
	"io.modelcontextprotocol/clientCapabilities": object{
		"elicitation": object{}, "extensions": object{"io.modelcontextprotocol/tasks": object{}},
	},
}

// tasked sends a request of a client that knows tasks.
func (c raw) tasked(t testing.TB, method string, params object) rpc {
	t.Helper()
	header := http.Header{}
	if id, ok := params["taskId"].(string); ok {
		header.Set("Mcp-Name", id)
	}
	params["_meta"] = knowsTasks
	return c.modern(t, method, params, header)
}

// TestTasks: what takes long is a task, which another replica knows too, and of which a
// stream tells.
func TestTasks(t *testing.T) {
	t.Parallel()
	b := twoReplicas(t)
	user := b.user(t)
	save(t, user, "careful", object{"id": "ask", "kind": "approval", "approves": "act"}, b.echoStep("act", "done"))
	one, other := raw{b.at(user, 0), "/mcp"}, raw{b.at(user, 1), "/mcp"}
	require.Equal(t, `{"io.modelcontextprotocol/tasks":{}}`, one.tasked(t, "server/discover", object{}).at("result.capabilities.extensions"))
	begun := one.tasked(t, "tools/call", object{"name": "workflow__careful"})
	require.Equal(t, "task", begun.at("result.resultType"), begun.body)
	require.Equal(t, "input_required", begun.at("result.status"))
	require.Empty(t, begun.at("result.inputRequests"))
	id := begun.at("result.taskId")

	got := other.tasked(t, "tasks/get", object{"taskId": id})
	require.Equal(t, "complete", got.at("result.resultType"), got.body)
	require.Equal(t, "elicitation/create", got.at("result.inputRequests.ask/1.method"), got.body)

	body := `{"jsonrpc":"2.0","id":"s","method":"subscriptions/listen","params":{"notifications":{"taskIds":["` + id + `","x"]},"_meta":{"io.modelcontextprotocol/protocolVersion":"` + stateless + `","io.modelcontextprotocol/clientCapabilities":{"extensions":{"io.modelcontextprotocol/tasks":{}}}}}}`
	events, end := one.stream(t, body, http.Header{"Mcp-Protocol-Version": {stateless}, "Mcp-Method": {"subscriptions/listen"}})
	defer end()
	require.Equal(t, id, rpc{object: receive(t, events)}.at("params.notifications.taskIds.0"))
	require.Equal(t, id, rpc{object: receive(t, events)}.at("params.taskId"))

	for _, answers := range []object{{"none": object{}}, {"ask/1": object{"action": "cancel"}}, {"ask/1": object{"action": "accept", "content": object{"decision": "approve"}}}} {
		got = other.tasked(t, "tasks/update", object{"taskId": id, "inputResponses": answers})
		require.Equal(t, "complete", got.at("result.resultType"), got.body)
	}
	world.Until(t, "the task is over", func() bool {
		got = one.tasked(t, "tasks/get", object{"taskId": id})
		return got.at("result.status") == "completed"
	})
	require.Equal(t, "false", got.at("result.result.isError"), got.body)
	require.Equal(t, "7", got.at("result.result._meta.uaol/credits"), got.body)
	for {
		if last := (rpc{object: receive(t, events)}); last.at("params.status") == "completed" {
			require.Equal(t, `{"io.modelcontextprotocol/subscriptionId":"s"}`, last.at("params._meta"))
			break
		}
	}
}

// TestTasksAreTheirOwners: and of clients that know them.
func TestTasksAreTheirOwners(t *testing.T) {
	t.Parallel()
	b := together(t)
	user := b.user(t)
	c := raw{user, "/mcp"}
	save(t, user, "slow", object{"id": "a", "kind": "sleep", "duration": "1h"})
	id := c.tasked(t, "tools/call", object{"name": "workflow__slow"}).at("result.taskId")
	require.NotEmpty(t, id)
	for _, method := range []string{"tasks/get", "tasks/update", "tasks/cancel"} {
		stranger := raw{b.user(t), "/mcp"}
		require.Equal(t, "-32602", stranger.tasked(t, method, object{"taskId": id}).at("error.code"), method)
		require.Equal(t, "-32602", c.tasked(t, method, object{"taskId": "none"}).at("error.code"), method)
		old := c.modern(t, method, object{"taskId": id}, http.Header{"Mcp-Name": {id}})
		require.Equal(t, "-32021", old.at("error.code"), old.body)
		require.Equal(t, http.StatusBadRequest, old.status)
		require.Equal(t, "-32020", c.modern(t, method, object{"taskId": id, "_meta": knowsTasks}, nil).at("error.code"))
	}
	require.Equal(t, "working", c.tasked(t, "tasks/get", object{"taskId": id}).at("result.status"))
	require.Equal(t, "complete", c.tasked(t, "tasks/cancel", object{"taskId": id}).at("result.resultType"))
	world.Until(t, "the task is cancelled", func() bool {
		return c.tasked(t, "tasks/get", object{"taskId": id}).at("result.status") == "cancelled"
	})
	require.Equal(t, "-32601", c.tasked(t, "tasks/list", object{}).at("error.code"))
}

// TestTheSameKeyIsTheSameJob: a client that lost the answer asks again.
func TestTheSameKeyIsTheSameJob(t *testing.T) {
	t.Parallel()
	b := together(t)
	user := b.user(t)
	c := raw{user, "/mcp"}
	save(t, user, "once", b.echoStep("a", "x"))
	meta := object{"io.modelcontextprotocol/protocolVersion": stateless, "io.modelcontextprotocol/clientCapabilities": object{}, "uaol/idempotencyKey": "k"}
	first := c.modern(t, "tools/call", object{"name": "workflow__once", "_meta": meta}, nil)
	again := c.modern(t, "tools/call", object{"name": "workflow__once", "_meta": meta}, nil)
	require.NotEmpty(t, first.at("result._meta.uaol/job"), first.body)
	require.Equal(t, first.at("result._meta.uaol/job"), again.at("result._meta.uaol/job"))
	require.Equal(t, "9993", credits(t, user))
	other := c.modern(t, "tools/call", object{"name": "workflow__once", "arguments": object{"y": 1}, "_meta": meta}, nil)
	require.Equal(t, "409", other.at("error.code"), other.body)
}

// TestTheSameKeyIsTheSameCall: made and charged once; what a tool asks in between is no
// end of it.
func TestTheSameKeyIsTheSameCall(t *testing.T) {
	t.Parallel()
	b := together(t)
	user := b.user(t)
	c := raw{user, "/mcp"}
	meta := object{"io.modelcontextprotocol/protocolVersion": stateless, "io.modelcontextprotocol/clientCapabilities": object{"elicitation": object{}}, "uaol/idempotencyKey": "k"}
	text := http.Header{"Mcp-Param-Text": {"a"}}
	before := b.boxes[sessions].calls.Load()
	first := c.modern(t, "tools/call", object{"name": "old__echo", "arguments": object{"text": "a"}, "_meta": meta}, text)
	again := c.modern(t, "tools/call", object{"name": "old__echo", "arguments": object{"text": "a"}, "_meta": meta}, text)
	require.Equal(t, "7", first.at("result._meta.uaol/credits"), first.body)
	require.Equal(t, "0", again.at("result._meta.uaol/credits"), again.body)
	require.Equal(t, first.at("result.content"), again.at("result.content"))
	require.Equal(t, first.at("result._meta.uaol/call"), again.at("result._meta.uaol/call"))
	require.Equal(t, before+1, b.boxes[sessions].calls.Load())
	require.Equal(t, "9993", credits(t, user))
	other := c.modern(t, "tools/call", object{"name": "old__echo", "arguments": object{"text": "b"}, "_meta": meta}, http.Header{"Mcp-Param-Text": {"b"}})
	require.Equal(t, "409", other.at("error.code"), other.body)

	meta["uaol/idempotencyKey"] = "asks"
	asked := c.modern(t, "tools/call", object{"name": "new__ask", "_meta": meta}, nil)
	require.Equal(t, "input_required", asked.at("result.resultType"), asked.body)
	answers := object{"who": object{"action": "accept", "content": object{"name": "Ada"}}}
	for range 2 {
		got := c.modern(t, "tools/call", object{"name": "new__ask", "requestState": asked.at("result.requestState"), "inputResponses": answers, "_meta": meta}, nil)
		require.Equal(t, "accept Ada", got.at("result.content.0.text"), got.body)
	}
	require.Equal(t, "9986", credits(t, user))
	meta["uaol/idempotencyKey"] = "ü"
	require.Contains(t, c.modern(t, "tools/call", object{"name": "new__ask", "_meta": meta}, nil).at("error.data"), "Idempotency-Key")
}
