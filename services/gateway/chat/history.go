package chat

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/google/uuid"

	"uaol/providers/llm"
	"uaol/services"
	"uaol/services/storage/conversations"
)

// noted is what the book keeps beside a message's text.
type noted struct {
	Reply     *Reply         `json:"reply,omitempty"`     // of the turn that an assistant's message ends
	ToolCalls []llm.ToolCall `json:"toolCalls,omitempty"` // an assistant's
	Answers   string         `json:"answers,omitempty"`   // the call that a tool's message answers
	Confirm   []Decision     `json:"confirm,omitempty"`   // a user's
	Files     []string       `json:"files,omitempty"`     // a user's
	Digest    string         `json:"digest,omitempty"`    // of a user's whole request
	Bill      uuid.UUID      `json:"bill,omitzero"`       // of the turn that a user's message begins
}

func notedOf(m conversations.Message) (n noted) {
	_ = json.Unmarshal(m.Details, &n) // what can't be read says nothing
	return n
}

func detailed(details json.RawMessage, change func(*noted)) json.RawMessage {
	var n noted
	_ = json.Unmarshal(details, &n)
	change(&n)
	details, _ = json.Marshal(n)
	return details
}

// replyOf is the answer that a turn was given before.
func replyOf(answer []conversations.Message) (Reply, error) {
	for _, m := range slices.Backward(answer) {
		if n := notedOf(m); n.Reply != nil {
			return *n.Reply, nil
		}
	}
	return Reply{}, services.Errorf(services.Internal, "an answer was kept without its reply")
}

// pastOf is what was said before, as a model takes it: each answer of a tool directly
// after the message that asked for it.
// decided are answers of calls that this turn decides.
func (t *turn) pastOf(history []conversations.Message, decided map[string]string) (past []llm.Message) {
	answers := maps.Clone(decided)
	for _, m := range history {
		if m.Role == conversations.Tool {
			answers[notedOf(m).Answers] = m.Content
		}
	}
	for _, m := range history {
		switch m.Role {
		case conversations.User:
			if m.Content != "" {
				past = append(past, llm.Message{Role: llm.User, Content: m.Content})
			}
		case conversations.Assistant:
			n := notedOf(m)
			if m.Content == "" && len(n.ToolCalls) == 0 {
				continue
			}
			past = append(past, llm.Message{Role: llm.Assistant, Content: m.Content, ToolCalls: n.ToolCalls})
			for _, c := range n.ToolCalls {
				text, ok := answers[c.ID]
				if !ok {
					text = notCalled
				}
				past = append(past, llm.Message{Role: llm.ToolRole, ToolCallID: c.ID, Content: t.data("tool", "", text)})
			}
		}
	}
	return past
}

const notCalled = "This call was not made: nobody has confirmed it."

// lastSaid is the place of the last thing that a user said.
func lastSaid(past []llm.Message) int {
	for at, m := range slices.Backward(past) {
		if m.Role == llm.User {
			return at
		}
	}
	return 0
}

// trimmed leaves the oldest out until the rest fits. A call and its answers stay together,
// and what is left begins with what a user said.
func trimmed(past []llm.Message, most int) []llm.Message {
	n, from := 0, len(past)
	for at := len(past) - 1; at >= 0; at-- {
		if n += tokensOf(past[at]); n > most {
			break
		}
		if past[at].Role == llm.User {
			from = at
		}
	}
	return past[from:]
}
