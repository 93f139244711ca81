package llm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"strings"
	"time"

	openai "github.com/sashabaranov/go-openai"
)

// wire is one attempt: the library's client, and around its HTTP what it leaves
// out. It reads neither Retry-After nor Gemini's and Anthropic's own errors, it
// bounds nothing, and it has no place for signatures.
type wire struct {
	door    door
	in      Request
	silence time.Duration
	fix     string // what helps when a key is refused; "" for what does in a chat

	sent  bool        // the request reached the door
	begun bool        // a streamed answer came back
	raw   []byte      // the whole answer, unless it is streamed
	alive func()      // what is read from a stream is a sign of life
	calls []signature // to be sent back
}

func newWire(d door, in Request, silence time.Duration) *wire {
	return &wire{door: d, in: in, silence: silence}
}

func (w *wire) client() *openai.Client {
	cfg := openai.DefaultConfig(string(w.in.Key))
	cfg.BaseURL, cfg.HTTPClient = w.door.URL, w
	return openai.NewClientWithConfig(cfg)
}

// Do implements openai.HTTPDoer.
func (w *wire) Do(request *http.Request) (*http.Response, error) {
	if len(w.calls) > 0 {
		if err := sign(request, w.calls); err != nil {
			return nil, err
		}
	}
	w.sent = true
	response, err := w.door.http.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode < 200 || response.StatusCode >= 300 {
		defer response.Body.Close()
		body, _ := io.ReadAll(io.LimitReader(response.Body, maxFault))
		return nil, w.refused(response.StatusCode, response.Header, body)
	}
	response.Body = &capped{response.Body, maxWire, w.alive}
	if w.alive != nil {
		w.begun = true
		return response, nil
	}
	defer response.Body.Close()
	if w.raw, err = io.ReadAll(response.Body); err != nil {
		return nil, err
	}
	if len(w.raw) == 0 {
		return nil, errNoAnswer
	}
	response.Body = io.NopCloser(bytes.NewReader(w.raw))
	return response, nil
}

// capped bounds a body.
type capped struct {
	io.ReadCloser
	left  int64
	alive func() // nil for none
}

func (c *capped) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	if c.left -= int64(n); c.left < 0 {
		return 0, errTooLarge
	}
	if c.alive != nil && n > 0 {
		c.alive()
	}
	return n, err
}

func (w *wire) complete(ctx context.Context) (Answer, error) {
	response, err := w.client().CreateChatCompletion(ctx, w.request())
	switch {
	case err != nil && len(w.raw) == 0:
		return Answer{}, err
	case err != nil || len(response.Choices) == 0:
		if said := w.spoken(w.raw); said != nil {
			return Answer{}, said
		}
		if err != nil {
			return Answer{}, errGarbage.Because(err)
		}
		return Answer{}, errNoAnswer
	}
	choice := response.Choices[0]
	b := builder{signatures: signaturesOf(w.raw)}
	b.model, b.stop = response.Model, choice.FinishReason
	b.usage(&response.Usage)
	b.write(choice.Message.Content)
	for _, part := range choice.Message.MultiContent {
		b.write(part.Text)
	}
	b.write(choice.Message.Refusal)
	for i := range choice.Message.ToolCalls {
		choice.Message.ToolCalls[i].Index = &i
	}
	if err := b.call(choice.Message.ToolCalls); err != nil {
		return Answer{}, err
	}
	return b.answer(w.in.Model), b.over()
}

// stream reports begun as soon as it has handed anything on.
func (w *wire) stream(ctx context.Context, each func(Delta) error) (answer Answer, begun bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silent := time.AfterFunc(w.silence, func() { cancel(errSilent) })
	defer silent.Stop()
	w.alive = func() { silent.Reset(w.silence) }

	request := w.request()
	request.StreamOptions = &openai.StreamOptions{IncludeUsage: true}
	stream, err := w.client().CreateChatCompletionStream(ctx, request)
	if err != nil {
		return answer, false, w.late(ctx, err)
	}
	defer stream.Close()
	var b builder
	for {
		silent.Reset(w.silence)
		raw, err := stream.RecvRaw()
		silent.Stop() // whoever is told may take their time
		if errors.Is(err, io.EOF) && b.stop != "" {
			return b.answer(w.in.Model), begun, nil
		}
		if err != nil {
			return b.answer(w.in.Model), begun, w.late(ctx, err)
		}
		text, err := b.add(raw, w.spoken)
		if err == nil {
			err = b.over()
		}
		if err != nil {
			return b.answer(w.in.Model), begun, err
		}
		if text == "" {
			continue
		}
		begun = true
		if err := each(Delta{Text: text}); err != nil {
			return b.answer(w.in.Model), begun, handed{err}
		}
	}
}

// late tells silence from what it looks like to the one who reads.
func (w *wire) late(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errSilent) {
		return errSilent
	}
	return err
}

// request puts the question into the library's words.
func (w *wire) request() openai.ChatCompletionRequest {
	out := openai.ChatCompletionRequest{Model: w.in.Model}
	if w.in.MaxTokens > 0 {
		if w.newer() {
			out.MaxCompletionTokens = w.in.MaxTokens
		} else {
			out.MaxTokens = w.in.MaxTokens //nolint:staticcheck // deprecated at OpenAI only
		}
	}
	if t := w.in.Temperature; t != nil {
		// The library leaves a zero out, which would mean the provider's own.
		out.Temperature = max(float32(*t), math.SmallestNonzeroFloat32)
	}
	if w.in.System != "" {
		out.Messages = append(out.Messages, openai.ChatCompletionMessage{Role: openai.ChatMessageRoleSystem, Content: w.in.System})
	}
	for _, m := range w.in.Messages {
		message := openai.ChatCompletionMessage{Role: string(m.Role), Content: m.Content, ToolCallID: m.ToolCallID}
		if m.Role == ToolRole && m.Content == "" {
			message.Content = `""` // a result without a content is refused
		}
		for i, c := range m.ToolCalls {
			message.ToolCalls = append(message.ToolCalls, openai.ToolCall{
				ID: c.ID, Type: openai.ToolTypeFunction,
				Function: openai.FunctionCall{Name: c.Name, Arguments: object(c.Arguments)},
			})
			if s := w.signature(m.ToolCalls, i); s != "" {
				w.calls = append(w.calls, signature{len(out.Messages), i, s})
			}
		}
		out.Messages = append(out.Messages, message)
	}
	for _, t := range w.in.Tools {
		schema := t.Schema
		if len(schema) == 0 {
			schema = json.RawMessage(`{"type":"object","properties":{}}`)
		}
		out.Tools = append(out.Tools, openai.Tool{Type: openai.ToolTypeFunction,
			Function: &openai.FunctionDefinition{Name: t.Name, Description: t.Description, Parameters: schema}})
	}
	return out
}

// newer reports a model that refuses max_tokens; what only speaks OpenAI's
// protocol may know nothing else.
func (w *wire) newer() bool {
	if w.door.Provider == OpenAI && !w.door.Set() {
		return true
	}
	for _, prefix := range []string{"o1", "o3", "o4", "gpt-5", "gpt-6"} {
		if strings.HasPrefix(w.in.Model, prefix) {
			return true
		}
	}
	return false
}

// object is arguments as a provider takes them back: what a model wrote wrongly
// would be refused, and the conversation with it.
func object(arguments string) string {
	var fields map[string]json.RawMessage
	if json.Unmarshal([]byte(arguments), &fields) != nil || fields == nil {
		return "{}"
	}
	return arguments
}
