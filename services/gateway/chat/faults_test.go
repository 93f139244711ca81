package chat_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/acceptance/world"
)

// TestEveryAnswerIsPaid: a key that was used before brings no answer for nothing, whatever
// became of the conversation.
func TestEveryAnswerIsPaid(t *testing.T) {
	t.Parallel()
	p := setup(t, world.Settings{"OPENAI_API_KEY": platformKey, "UAOL_MODEL_PRICES": "*=1/4"})
	c := p.user(t, "").With("Idempotency-Key", "Z")
	for i := range 3 {
		answer := say(t, c, object{"message": "again"})
		require.Equal(t, fmt.Sprint(10000-3*(i+1)), balance(t, c))
		require.Equal(t, http.StatusOK, c.Do(t, "DELETE", "/chat/conversations/"+answer.Text("data.conversationId"), nil).Status)
	}
	first, second := say(t, c.With("Idempotency-Key", ""), object{"message": "one"}), say(t, c.With("Idempotency-Key", ""), object{"message": "two"})
	for _, in := range []world.Answer{first, second} {
		say(t, c, object{"message": "and?", "conversationId": in.Text("data.conversationId")})
	}
	require.Equal(t, "9979", balance(t, c))
	answer := c.Do(t, "POST", "/chat", object{"message": "something else", "conversationId": first.Text("data.conversationId")})
	require.Equal(t, http.StatusConflict, answer.Status)
	require.Contains(t, answer.Text("error.message"), "another body")
	require.Zero(t, p.held(t))
}

// TestNonsenseUsage: what a provider says of tokens neither costs more than was held nor
// gives anything.
func TestNonsenseUsage(t *testing.T) {
	t.Parallel()
	p := setup(t, world.Settings{"OPENAI_API_KEY": platformKey, "UAOL_MODEL_PRICES": "*=1/4"})
	c := p.user(t, "")
	for _, usage := range []string{`{"prompt_tokens":1,"completion_tokens":4000000000000000000,"total_tokens":1}`, `{"prompt_tokens":-1000000,"completion_tokens":5,"total_tokens":5}`} {
		before := balance(t, c)
		p.model.set(func(in asked) []string {
			return []string{`{"id":"1","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}],"usage":` + usage + `}`}
		})
		answer := say(t, c, object{"message": "x", "budget": 20})
		var cost, was, is int
		_, _ = fmt.Sscan(fmt.Sprint(answer.At("data.credits")), &cost)
		_, _ = fmt.Sscan(before, &was)
		_, _ = fmt.Sscan(balance(t, c), &is)
		require.GreaterOrEqual(t, cost, 0)
		require.LessOrEqual(t, cost, 20)
		require.Equal(t, was-is, cost, usage)
	}
	p.model.set(func(asked) []string {
		return []string{`{"choices":[{"message":{"content":"` + strings.Repeat("long ", 1<<20) + `"},"finish_reason":"stop"}]}`}
	})
	before := balance(t, c)
	require.Equal(t, http.StatusBadGateway, c.Do(t, "POST", "/chat", object{"message": "x"}).Status)
	require.Equal(t, before, balance(t, c), "nobody has seen anything of it")
}

// TestScopes: a key for chat alone neither reads documents nor calls tools.
func TestScopes(t *testing.T) {
	t.Parallel()
	p := setup(t, nil)
	c := p.user(t, "openai")
	p.tool(t, c, 1)
	file := upload(t, c, "a.md", "secret words")
	made := c.Do(t, "POST", "/auth/keys", object{"name": "ci", "scopes": []string{"chat:write"}})
	require.Less(t, made.Status, 300, made)
	key := made.Text("data.key")
	if key == "" {
		key = made.Text("data.apiKey")
	}
	require.NotEmpty(t, key, made)
	guest := world.New(p.Gateway).Guest(uuid.NewString()).Do(t, "POST", "/chat", object{"message": "x", "tools": true})
	require.Equal(t, http.StatusUnauthorized, guest.Status)
	narrow := world.New(p.Gateway).As(key)
	say(t, narrow, object{"message": "x"})
	for _, body := range []object{{"message": "x", "fileId": file}, {"message": "x", "tools": true}, {"conversationId": uuid.NewString(), "confirm": []object{{"id": "x", "approve": true}}}} {
		answer := narrow.Do(t, "POST", "/chat", body)
		require.Equal(t, http.StatusForbidden, answer.Status, answer)
		require.Contains(t, answer.Text("error.message"), "lacks the scope")
	}
}

// TestToolsAnswersAreBounded: what tools say is no more than a model is given, and a
// message takes no more calls than enough.
func TestToolsAnswersAreBounded(t *testing.T) {
	t.Parallel()
	p := setup(t, world.Settings{"UAOL_CHAT_CONTEXT_TOKENS": "3000", "UAOL_CHAT_BUDGET": "100000"})
	c := p.user(t, "openai")
	p.tool(t, c, 1)
	p.model.set(func(in asked) []string {
		if len(in.Tools) == 0 {
			return says(in, "Enough.")
		}
		var many []wish
		for range 100 {
			many = append(many, wish{"orders__look", `{"what":"` + strings.Repeat("long ", 200) + `"}`})
		}
		return calls(in, "", many...)
	})
	answer := say(t, c, object{"message": "x", "tools": true})
	require.Equal(t, "Enough.", answer.Text("data.message"))
	require.LessOrEqual(t, len(p.tools.calls()), 32)
	require.LessOrEqual(t, len(p.model.seen()), 3)
}

// TestNothingHappensBeforeARequestIsGood: a confirmed call is not made for a request that
// names a file that is not there.
func TestNothingHappensBeforeARequestIsGood(t *testing.T) {
	t.Parallel()
	p := setup(t, nil)
	c := p.user(t, "openai")
	p.tool(t, c, 9)
	conversation, ids := confirming(t, p, c)
	body := object{"conversationId": conversation, "fileId": uuid.NewString(), "confirm": []object{{"id": ids[0], "approve": true}}}
	for _, path := range []string{"/chat", "/chat/stream"} {
		require.Equal(t, http.StatusNotFound, c.Do(t, "POST", path, body).Status)
	}
	require.Equal(t, []string{"look 1"}, p.tools.calls())
	delete(body, "fileId")
	require.Equal(t, "success", say(t, c, body).Text("data.toolCalls.0.outcome"))
	body["confirm"] = []object{{"id": ids[0], "approve": false}}
	require.Equal(t, http.StatusConflict, c.Do(t, "POST", "/chat", body).Status, "it was decided otherwise")
}

// TestLongConfirmed: what was said before a call that waits may be as long as a model is
// given; the turn that decides it keeps it all the same.
func TestLongConfirmed(t *testing.T) {
	t.Parallel()
	p := setup(t, world.Settings{"UAOL_CHAT_CONTEXT_TOKENS": "3000"})
	c := p.user(t, "openai")
	p.tool(t, c, 9)
	p.model.set(func(in asked) []string {
		if in.N == 0 {
			return calls(in, "", wish{"orders__cancel", `{"what":"1"}`})
		}
		return says(in, "Done.")
	})
	answer := say(t, c, object{"message": "Cancel it. " + strings.Repeat("word ", 1500), "tools": true})
	body := object{"conversationId": answer.Text("data.conversationId"), "confirm": []object{{"id": answer.Text("data.confirmations.0.id"), "approve": true}}}
	require.Equal(t, "Done.", say(t, c, body).Text("data.message"))
	told := p.model.seen()[1]
	require.Contains(t, told.Messages[1].Content, "Cancel it.")
	require.Contains(t, told.last(), "cancelled 1")
}

// TestCutOffIsSaid: who comes back for an answer that was cut off is told so.
func TestCutOffIsSaid(t *testing.T) {
	t.Parallel()
	p := setup(t, nil)
	c := p.user(t, "openai").With("Idempotency-Key", "k")
	p.model.set(func(in asked) []string { return says(in, "This will be cut off in the middle.")[:3] })
	events := streamed(t, c, object{"message": "go on"})
	require.Equal(t, "error", events[len(events)-1].kind)
	answer := say(t, c, object{"message": "go on"})
	require.Equal(t, "This will be cut off", strings.TrimSpace(answer.Text("data.message")))
	require.NotEmpty(t, answer.Text("data.cutOff"))
}

// TestOtherScripts: what does not fit of a document is said, whatever it is written in.
func TestOtherScripts(t *testing.T) {
	t.Parallel()
	p := setup(t, world.Settings{"UAOL_CHAT_CONTEXT_TOKENS": "6000"})
	c := p.user(t, "openai")
	var long strings.Builder
	for i := range 60 {
		fmt.Fprintf(&long, "Абзац номер %d о том, чего никто не спрашивал, и ещё немного слов.\n\n", i)
	}
	file := upload(t, c, "текст.md", long.String())
	answer := say(t, c, object{"message": "О чём это?", "fileId": file})
	require.Contains(t, answer.Text("data.files.0.note"), "only the passages")
	require.Contains(t, p.model.seen()[0].last(), "only the passages")
}

// TestReservedForTheAnswer: tools do not take of a budget what the answer that ends the
// message costs.
func TestReservedForTheAnswer(t *testing.T) {
	t.Parallel()
	p := setup(t, world.Settings{"OPENAI_API_KEY": platformKey, "UAOL_MODEL_PRICES": "*=1/4"})
	c := p.user(t, "")
	p.tool(t, c, 7)
	p.model.set(func(in asked) []string {
		if in.N == 0 {
			var many []wish
			for i := range 30 {
				many = append(many, wish{"orders__look", fmt.Sprintf(`{"what":"%d"}`, i)})
			}
			return calls(in, "", many...)
		}
		return says(in, "That is all.")
	})
	answer := say(t, c, object{"message": "x", "tools": true, "budget": 100})
	require.Equal(t, "That is all.", answer.Text("data.message"), "tools leave what the answer costs")
	require.Eventually(t, func() bool { return p.held(t) == 0 }, 10*time.Second, 20*time.Millisecond)
}
