package chat

import (
	"context"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"uaol/providers/api"
	"uaol/services"
)

// Handler is chat over HTTP.
type Handler struct{ service *Service }

// NewHandler makes a Handler.
func NewHandler(service *Service) *Handler { return &Handler{service: service} }

// perMinute bounds guests, whose messages cost somebody.
const perMinute = 20

// Operations are chat's part of the gateway's API.
func (h *Handler) Operations() []api.Operation {
	return []api.Operation{
		api.Get("/chat/options", "What a message may ask for: models, with what they cost, and the budget unless it says itself", h.options, api.Allow(api.Guest)),
		api.Post("/chat", "Say something to a model, with documents and tools, and wait for its answer", h.chat, api.Allow(api.Guest), api.GuestsPerMinute(perMinute)),
		api.PostStream("/chat/stream", "The same, with the answer as server-sent events: begun, delta, tool, and done (what POST /chat answers) or error", h.stream, api.Allow(api.Guest), api.GuestsPerMinute(perMinute)),
	}
}

func (h *Handler) options(ctx context.Context, caller services.Caller, _ *struct{}) (api.Data[Options], error) {
	options, err := h.service.Options(ctx, caller)
	return api.OK(options), err
}

type body struct {
	Message      string     `json:"message,omitempty" doc:"required, unless calls are confirmed"`
	Conversation string     `json:"conversationId,omitempty" format:"uuid" doc:"the one to go on with; without it another is begun"`
	File         string     `json:"fileId,omitempty"`
	Files        []string   `json:"fileIds,omitempty" doc:"documents that the message is about, at most 20"`
	Provider     string     `json:"provider,omitempty" doc:"openai, gemini or claude; without it, or without a key for it, the caller's default, its first key, or the platform's"`
	Model        string     `json:"model,omitempty" maxLength:"200"`
	Tools        *Tools     `json:"tools,omitempty" doc:"true, or ids and slugs of tools that the model may call; without it none"`
	Budget       *int64     `json:"budget,omitempty" doc:"the most credits that this message may cost"`
	Confirm      []Decision `json:"confirm,omitempty" doc:"what is decided about the calls that the last answer waits for; those that are not named are declined"`
}

// Schema implements huma.SchemaProvider.
func (Tools) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{OneOf: []*huma.Schema{
		{Type: huma.TypeBoolean}, {Type: huma.TypeArray, Items: &huma.Schema{Type: huma.TypeString}}}}
}

func (b body) request(key string) (Request, error) {
	in := Request{Message: b.Message, Files: b.Files, Provider: b.Provider, Model: b.Model, Tools: b.Tools, Budget: b.Budget, Confirm: b.Confirm, Key: key}
	if b.File != "" {
		in.Files = append([]string{b.File}, in.Files...)
	}
	var err error
	if b.Conversation != "" {
		if in.Conversation, err = uuid.Parse(b.Conversation); err != nil {
			err = services.Faults(services.Fault{Path: "body.conversationId", Message: "must be a UUID"})
		} else if in.Conversation == uuid.Nil { // which is nobody's, and would begin one
			err = services.Errorf(services.NotFound, "Conversation not found")
		}
	}
	return in, err
}

type chatInput struct {
	Key  string `header:"Idempotency-Key" maxLength:"255" doc:"requests with the same one are the same request"`
	Body body
}

func (h *Handler) chat(ctx context.Context, caller services.Caller, in *chatInput) (api.Data[Reply], error) {
	request, err := in.Body.request(in.Key)
	if err != nil {
		return api.Data[Reply]{}, err
	}
	reply, err := h.service.Chat(ctx, caller, request, nil)
	return api.OK(reply), err
}

func (h *Handler) stream(ctx context.Context, caller services.Caller, in *chatInput, out *api.Events) error {
	request, err := in.Body.request(in.Key)
	if err != nil {
		return err
	}
	reply, err := h.service.Chat(ctx, caller, request, events{out})
	if err != nil {
		return err
	}
	return out.Send("done", reply)
}

// events is a Sink.
type events struct{ out *api.Events }

// Begun implements Sink.
func (e events) Begun(conversation, turn uuid.UUID) error {
	return e.out.Send("begun", map[string]uuid.UUID{"conversationId": conversation, "turnId": turn})
}

// Delta implements Sink.
func (e events) Delta(text string) error { return e.out.Send("delta", map[string]string{"text": text}) }

// Used implements Sink.
func (e events) Used(use ToolUse) error { return e.out.Send("tool", use) }
