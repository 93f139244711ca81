package llm

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	openai "github.com/sashabaranov/go-openai"
)

// builder puts an answer together from its pieces.
type builder struct {
	text       strings.Builder
	calls      []*partial
	signatures []string // of the calls that are added next
	used       Usage
	model      string
	stop       openai.FinishReason
	size       int
}

// partial is a tool call whose arguments come in pieces.
type partial struct {
	ToolCall
	index     int
	arguments strings.Builder
}

// add takes a piece of a stream and gives its text.
func (b *builder) add(raw []byte, spoken func([]byte) error) (string, error) {
	var piece openai.ChatCompletionStreamResponse
	err := json.Unmarshal(raw, &piece)
	if err != nil || len(piece.Choices) == 0 {
		if said := spoken(raw); said != nil {
			return "", said
		}
	}
	if err != nil {
		return "", errGarbage
	}
	if piece.Model != "" {
		b.model = piece.Model
	}
	b.usage(piece.Usage)
	if len(piece.Choices) == 0 { // the last one tells the usage alone
		return "", nil
	}
	choice := piece.Choices[0]
	if choice.FinishReason != "" && choice.FinishReason != openai.FinishReasonNull {
		b.stop = choice.FinishReason
	}
	text := choice.Delta.Content + choice.Delta.Refusal
	b.write(text)
	b.signatures = signaturesOf(raw)
	return text, b.call(choice.Delta.ToolCalls)
}

func (b *builder) write(text string) {
	b.text.WriteString(text)
	b.size += len(text)
}

// usage takes the last word. Gemini's count of the answer leaves out what the
// model thought, its total does not.
func (b *builder) usage(u *openai.Usage) {
	if u == nil || u.PromptTokens <= 0 && u.CompletionTokens <= 0 {
		return
	}
	in, out, total := counted(u.PromptTokens), counted(u.CompletionTokens), counted(u.TotalTokens)
	b.used = Usage{Input: in, Output: max(out, total-in)}
}

// counted is a number of tokens that may be: what a provider says is not believed beyond
// what any model takes.
func counted(n int) int {
	const most = 100_000_000
	return min(max(n, 0), most)
}

// call takes pieces of tool calls.
func (b *builder) call(pieces []openai.ToolCall) error {
	for i, p := range pieces {
		c := b.open(p)
		if c == nil {
			if len(b.calls) == maxCalls {
				return errTooLarge
			}
			c = &partial{}
			if p.Index != nil {
				c.index = *p.Index
			}
			b.calls = append(b.calls, c)
		}
		c.ID = cmp.Or(c.ID, p.ID)
		c.Name = cmp.Or(c.Name, p.Function.Name)
		c.arguments.WriteString(p.Function.Arguments)
		b.size += len(p.Function.Arguments) + len(p.Function.Name) + len(p.ID)
		if i < len(b.signatures) {
			c.Signature = cmp.Or(c.Signature, b.signatures[i])
		}
	}
	return nil
}

// open is the call that a piece goes on with; nil when it begins one. Gemini and
// Ollama give several calls the same index and send each whole, at times without
// an id; OpenAI tells index and id properly, the id only once.
func (b *builder) open(p openai.ToolCall) *partial {
	for _, c := range slices.Backward(b.calls) {
		switch {
		case p.Index != nil && c.index != *p.Index:
			continue
		case p.ID != "" && p.ID != c.ID,
			p.ID == "" && p.Function.Name != "" && json.Valid([]byte(c.arguments.String())):
			return nil
		}
		return c
	}
	return nil
}

// over reports an answer that is too large to be kept.
func (b *builder) over() error {
	if b.size > maxAnswer {
		return errTooLarge
	}
	return nil
}

func (b *builder) answer(model string) Answer {
	a := Answer{Text: b.text.String(), Usage: b.used, Model: b.model, StopReason: StopReason(b.stop)}
	if a.Model == "" {
		a.Model = model
	}
	for i, c := range b.calls {
		c.Arguments = c.arguments.String()
		if c.ID == "" {
			c.ID = "call_" + strconv.Itoa(i)
		}
		a.ToolCalls = append(a.ToolCalls, c.ToolCall)
	}
	if len(a.ToolCalls) > 0 && a.StopReason == Stopped { // some say so though they wait for a tool
		a.StopReason = CallsTool
	}
	return a
}
