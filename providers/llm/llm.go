// Package llm asks chat models of OpenAI, Google and Anthropic, and of whatever
// speaks OpenAI's protocol at an address that an operator has set. All three are
// spoken to in that protocol, so that there is one way to be right or wrong.
package llm

import (
	"encoding/json"
	"fmt"
	"io"

	"go.uber.org/zap/zapcore"
)

// Provider is whose model is asked.
type Provider string

// The providers.
const (
	OpenAI    Provider = "openai"
	Gemini    Provider = "gemini"
	Anthropic Provider = "anthropic"
)

// Named is the provider that people call so; "claude" is Anthropic, as it is
// where keys are stored.
func Named(name string) (p Provider, known bool) {
	switch p = Provider(name); p {
	case "claude":
		return Anthropic, true
	case OpenAI, Gemini, Anthropic:
		return p, true
	}
	return "", false
}

// Key is a provider's API key. Printing or logging it shows nothing of it.
type Key string

// Format implements fmt.Formatter.
func (k Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) }

// String implements fmt.Stringer, which loggers ask for first.
func (Key) String() string { return "[secret]" }

// Access is what it takes to ask a model: auth says it (auth.ModelKeys).
type Access struct {
	Provider Provider `json:"provider"`
	Key      Key      `json:"key,omitempty"`
	Model    string   `json:"model"`
	Platform bool     `json:"platform,omitempty"` // the key is the operator's, not the caller's own
}

// MarshalLogObject implements zapcore.ObjectMarshaler, without the key.
func (a Access) MarshalLogObject(to zapcore.ObjectEncoder) error {
	to.AddString("provider", string(a.Provider))
	to.AddString("model", a.Model)
	to.AddBool("platform", a.Platform)
	return nil
}

// Request is one question to a model, with all that was said before.
type Request struct {
	Access
	System      string
	Messages    []Message
	Tools       []Tool
	MaxTokens   int      // of the answer; 0 leaves it to the provider
	Temperature *float64 // nil leaves it to the provider
}

// Role is who said something.
type Role string

// The roles. A tool's results follow the message that asked for them.
const (
	User      Role = "user"
	Assistant Role = "assistant"
	ToolRole  Role = "tool"
)

// Message is what somebody said.
type Message struct {
	Role       Role
	Content    string
	ToolCalls  []ToolCall // an assistant's, as they came in its Answer
	ToolCallID string     // of the call that a tool's result answers
}

// Tool is what a model may ask for.
type Tool struct {
	Name        string // at most 64 of A-Z a-z 0-9 _ -
	Description string
	Schema      json.RawMessage // of its arguments; none means that it takes none
}

// ToolCall is a model's wish.
type ToolCall struct {
	ID   string
	Name string
	// Arguments is JSON as the model wrote it: it may be cut off or wrong.
	Arguments string
	// Signature is the provider's own and has to come back with the call: without
	// it Gemini refuses the conversation.
	Signature string
}

// Usage is what an answer took, in tokens; zero when the provider does not say.
type Usage struct {
	Input  int `json:"input"`
	Output int `json:"output"` // what the model thought included
}

// StopReason is why an answer ended.
type StopReason string

// The reasons that all providers have; others come as they are.
const (
	Stopped   StopReason = "stop"
	TooShort  StopReason = "length" // MaxTokens or the model's own limit cut it
	CallsTool StopReason = "tool_calls"
	Filtered  StopReason = "content_filter"
)

// Answer is what a model said.
type Answer struct {
	Text       string
	ToolCalls  []ToolCall
	Usage      Usage
	Model      string // that really answered
	StopReason StopReason
}

// Message is the answer as a part of what was said, for the next Request.
func (a Answer) Message() Message {
	return Message{Role: Assistant, Content: a.Text, ToolCalls: a.ToolCalls}
}

// Delta is the next piece of an answer's text.
type Delta struct{ Text string }
