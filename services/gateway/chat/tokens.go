package chat

import (
	"strings"

	"uaol/providers/llm"
)

const (
	// perMessage is what a message or a tool takes beside its text, in tokens.
	perMessage = 12
	// mostBytes is about as many as a token of a text in Latin script has.
	mostBytes = 5
)

func tokensOf(m llm.Message) int {
	n := perMessage + tokens(m.Content)
	for _, c := range m.ToolCalls {
		n += perMessage + tokens(c.Name) + tokens(c.Arguments)
	}
	return n
}

func tokensOfAll(messages []llm.Message) (n int) {
	for _, m := range messages {
		n += tokensOf(m)
	}
	return n
}

func tokensOfTools(tools []llm.Tool) (n int) {
	for _, t := range tools {
		n += perMessage + tokens(t.Name) + tokens(t.Description) + tokens(string(t.Schema))
	}
	return n
}

// shortened is the beginning of a text, of at most so many tokens.
func shortened(text string, most int) string {
	const mark = "\n[…]"
	short := text
	for n := tokens(short); n > most; n = tokens(short + mark) {
		short = strings.ToValidUTF8(short[:len(short)*most/(n+1)], "")
	}
	if len(short) == len(text) {
		return text
	}
	return short + mark
}
