// Package chat leads conversations between people and models: with their documents,
// with the tools that they may call, and for what it costs.
package chat

import (
	"encoding/json"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"uaol/providers/llm"
	"uaol/services"
	"uaol/services/auth/modelkeys"
	"uaol/services/billing"
	"uaol/services/gateway/till"
	"uaol/services/proxy"
	"uaol/services/registry"
	"uaol/services/storage/conversations"
	"uaol/services/storage/library"
)

// Request is what somebody says.
type Request struct {
	Message      string
	Conversation uuid.UUID // uuid.Nil begins one
	Files        []string  // ids
	Provider     string    // openai, gemini or claude; "" for the caller's choice
	Model        string    // "" for the provider's default
	Tools        *Tools    // nil for none
	Budget       *int64    // credits; nil for the default
	Confirm      []Decision
	Key          string // tells that the same request was sent before
}

// Tools are those that the model may call.
type Tools struct {
	Named []string // ids or slugs; nil for all that the caller may call
	Off   bool     // none after all
}

// UnmarshalJSON reads true or a list of names.
func (t *Tools) UnmarshalJSON(text []byte) error {
	var all bool
	if json.Unmarshal(text, &all) == nil {
		t.Off = !all
		return nil
	}
	return json.Unmarshal(text, &t.Named)
}

// Decision is somebody's word on a call that waits for it.
type Decision struct {
	ID      string `json:"id"`
	Approve bool   `json:"approve"`
}

// Reply is what comes of a message.
type Reply struct {
	Message       string         `json:"message"`
	Provider      string         `json:"provider,omitempty"`
	Timestamp     services.Time  `json:"timestamp"`
	CutOff        string         `json:"cutOff,omitempty" doc:"why the message has no end; the same request again gives what there is of it"`
	Conversation  uuid.UUID      `json:"conversationId,omitzero"`
	Turn          uuid.UUID      `json:"turnId,omitzero"`
	Model         string         `json:"model,omitempty"`
	Usage         *Usage         `json:"usage,omitempty"`
	Credits       int64          `json:"credits,omitempty" doc:"what the tools and the platform's model have cost"`
	Citations     []Citation     `json:"citations,omitempty" doc:"passages that the message refers to by their numbers"`
	Files         []FileNote     `json:"files,omitempty" doc:"files that are not in what the model was given, or not as a whole"`
	ToolCalls     []ToolUse      `json:"toolCalls,omitempty"`
	Confirmations []Confirmation `json:"confirmations,omitempty" doc:"calls that wait for the caller's word: say it with confirm"`
	Workflow      *Proposal      `json:"workflow,omitempty" doc:"a workflow that the caller may start"`
}

// Usage counts tokens of all answers that a message took.
type Usage struct {
	Input  int `json:"inputTokens"`
	Output int `json:"outputTokens"`
}

// Citation is a passage of a document.
type Citation struct {
	N int `json:"n"`
	library.Passage
}

// FileNote says what of a file the model was not given.
type FileNote struct {
	File     uuid.UUID `json:"fileId"`
	Filename string    `json:"filename"`
	Note     string    `json:"note"`
}

// ToolUse is a call that was made, or was not.
type ToolUse struct {
	ID      string          `json:"id"`
	Call    uuid.UUID       `json:"callId,omitzero" doc:"of the call's record and receipt, when the tool was called"`
	Tool    string          `json:"tool"`
	ToolID  uuid.UUID       `json:"toolId,omitzero"`
	Method  string          `json:"method"`
	Given   json.RawMessage `json:"arguments,omitempty"`
	Outcome string          `json:"outcome" enum:"success,failed,refused,declined,unknown"`
	Error   string          `json:"error,omitempty"`
	Credits int64           `json:"credits"`
}

// Confirmation is a call that is made only when the caller says so.
type Confirmation struct {
	ID      string          `json:"id"`
	Tool    string          `json:"tool"`
	ToolID  uuid.UUID       `json:"toolId"`
	Version int64           `json:"version"`
	Method  string          `json:"method"`
	Given   json.RawMessage `json:"arguments"`
	Credits int64           `json:"credits"`
}

// Sink hears of an answer while it comes. An error of it ends the answer.
type Sink interface {
	Begun(conversation, turn uuid.UUID) error
	Delta(text string) error
	Used(use ToolUse) error
}

// Service leads conversations.
type Service struct {
	cfg     Config
	keys    modelkeys.Keys
	models  *llm.Client
	book    conversations.Book
	library library.Library
	catalog registry.Catalog
	invoker proxy.Invoker
	till    till.Till
	log     *zap.Logger
}

// NewService makes a Service.
func NewService(cfg Config, keys modelkeys.Keys, models *llm.Client, book conversations.Book, library library.Library,
	catalog registry.Catalog, invoker proxy.Invoker, meter billing.Meter, log *zap.Logger) *Service {
	return &Service{cfg: cfg, keys: keys, models: models, book: book, library: library, catalog: catalog, invoker: invoker, till: till.New(meter, models.Timeout(), log), log: log}
}
