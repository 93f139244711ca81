package chat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"uaol/providers/llm"
	"uaol/services"
	"uaol/services/proxy"
	"uaol/services/storage/conversations"
)

const (
	// mostResult of a tool's result is given to a model, in tokens.
	mostResult = 4000
	// mostCalls are made for one message.
	mostCalls = 32
	// lastAnswer is what is kept of a budget for the answer that ends a message, in tokens.
	lastAnswer = 512
)

// use makes the calls that an answer asks for, and tells whether some of them wait for
// the user.
func (t *turn) use(ctx context.Context, answer llm.Answer) (waits bool) {
	for i := range answer.ToolCalls {
		// Providers' ids are unique in one answer at the most.
		answer.ToolCalls[i].ID = "call_" + strings.ReplaceAll(uuid.NewString(), "-", "")[:24]
	}
	details, _ := json.Marshal(noted{ToolCalls: answer.ToolCalls}) // texts
	t.written = append(t.written, conversations.Message{Role: conversations.Assistant, Content: answer.Text, Details: details})
	t.spoken = append(t.spoken, answer.Message())
	t.room -= tokensOf(answer.Message())
	for _, call := range answer.ToolCalls {
		text, known := t.one(ctx, call)
		if !known {
			waits = true
			continue
		}
		t.answered(call.ID, text)
		said := llm.Message{Role: llm.ToolRole, ToolCallID: call.ID, Content: t.data("tool", "", text)}
		t.room -= tokensOf(said)
		t.spoken = append(t.spoken, said)
	}
	return waits
}

// answered writes a call's answer down.
func (t *turn) answered(call, text string) {
	details, _ := json.Marshal(noted{Answers: call}) // a text
	t.written = append(t.written, conversations.Message{Role: conversations.Tool, Content: text, Details: details})
}

// one makes a call, or has it wait for the user: then there is no answer yet.
func (t *turn) one(ctx context.Context, call llm.ToolCall) (text string, known bool) {
	if call.Name == proposeMethod && t.box.any() {
		return t.propose(call.Arguments), true
	}
	if len(t.reply.ToolCalls)+len(t.reply.Confirmations) >= mostCalls || t.room <= 0 {
		return "The call was not made: there were enough for one message. Answer with what you have.", true
	}
	m, ok := t.box.methods[call.Name]
	if !ok {
		return fmt.Sprintf("There is no tool %.80q.", call.Name), true
	}
	arguments := json.RawMessage(call.Arguments)
	if strings.TrimSpace(call.Arguments) == "" {
		arguments = json.RawMessage("{}")
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(arguments, &object); err != nil || object == nil {
		return "The arguments are no JSON object: the call was not made.", true
	}
	c := Confirmation{ID: call.ID, Tool: m.offer.Name, ToolID: m.offer.ToolID, Version: m.offer.Version, Method: m.Name, Given: arguments, Credits: m.offer.PriceOf(m.Name)}
	if !m.readOnly() {
		t.reply.Confirmations = append(t.reply.Confirmations, c)
		return "", false
	}
	return t.call(ctx, c), true
}

// call calls a tool, as far as the budget goes, and gives its answer for the model.
func (t *turn) call(ctx context.Context, c Confirmation) string {
	use := ToolUse{ID: c.ID, Tool: c.Tool, ToolID: c.ToolID, Method: c.Method, Given: c.Given, Outcome: string(proxy.Succeeded)}
	text := ""
	if left := t.left - t.kept(); c.Credits > max(left, 0) {
		use.Outcome, use.Error = string(proxy.Refused), fmt.Sprintf("It costs %d credits, and %d are left of what this message may cost", c.Credits, max(left, 0))
		text = "The call was not made. " + use.Error + "."
	} else {
		id := uuid.Must(uuid.NewV7())
		result, err := t.s.invoker.Call(ctx, proxy.CallRequest{
			Caller: t.caller, ID: id, ToolID: c.ToolID, Version: c.Version, Method: c.Method, Params: c.Given, Operation: t.operation(c.ID)})
		var own *services.Error
		switch {
		case err == nil && result.Failed:
			use.Call, use.Outcome, text = id, string(proxy.Failed), "The tool says that it failed:\n"+resultText(result.Result)
		case err == nil:
			use.Call, use.Credits, text = id, c.Credits, resultText(result.Result)
		case services.IsCode(err, services.CodeOutcomeUnknown):
			use.Call, use.Outcome, use.Credits, use.Error = id, string(proxy.Unknown), c.Credits, "Nobody knows whether the tool has acted"
			text = "Nobody knows whether the tool has acted: its answer is lost. Do not call it again."
		case errors.As(err, &own) && own.Kind != services.Internal:
			use.Outcome, use.Error = string(proxy.Failed), own.Message
			text = "The call failed: " + own.Message
		default:
			use.Outcome, use.Error = string(proxy.Failed), "The call failed"
			text = "The call failed."
		}
	}
	t.left -= use.Credits
	t.reply.Credits += use.Credits
	t.used(use)
	return shortened(text, min(mostResult, max(t.room, 100)))
}

// kept is what the answer that ends the message costs where the key is the platform's.
func (t *turn) kept() int64 {
	if !t.access.Platform {
		return 0
	}
	p, _, _ := t.s.cfg.prices.of(t.access.Model)
	return p.credits(llm.Usage{Input: t.s.cfg.Context - max(t.room, 0), Output: lastAnswer})
}

// operation tells the tool which calls are the same one.
func (t *turn) operation(call string) string { return "chat/" + t.id.String() + "/" + call }

func (t *turn) used(use ToolUse) {
	t.reply.ToolCalls = append(t.reply.ToolCalls, use)
	if t.sink != nil {
		_ = t.sink.Used(use) // whether anybody still listens shows at the next word
	}
}

// resultText is what a tools/call result says, as a text.
func resultText(raw json.RawMessage) string {
	var result struct {
		Content []struct {
			Type, Text, MIMEType string
			Resource             struct{ Text string }
		}
		Structured json.RawMessage `json:"structuredContent"`
	}
	if json.Unmarshal(raw, &result) != nil || len(result.Content) == 0 && len(result.Structured) == 0 {
		return string(raw)
	}
	var parts []string
	for _, c := range result.Content {
		switch {
		case c.Type == "text":
			parts = append(parts, c.Text)
		case c.Resource.Text != "":
			parts = append(parts, c.Resource.Text)
		default:
			parts = append(parts, fmt.Sprintf("[%s %s]", c.Type, c.MIMEType))
		}
	}
	if len(parts) == 0 {
		return string(result.Structured)
	}
	return strings.Join(parts, "\n")
}
