package jobs

import (
	"context"
	"encoding/json"

	"uaol/providers/llm"
	"uaol/services"
	"uaol/services/auth/modelkeys"
)

// Models is how language models are asked.
type Models struct {
	Keys   modelkeys.Keys
	Client *llm.Client
}

// modelResult is what an llm step comes to.
type modelResult struct {
	Text       string       `json:"text"`
	Model      string       `json:"model"`
	Provider   llm.Provider `json:"provider"`
	StopReason string       `json:"stop_reason"`
	Usage      struct {
		Input  int `json:"input_tokens"`
		Output int `json:"output_tokens"`
	} `json:"usage"`
}

// prepareModel fills a unit's prompt in; false when that can't be done, and it has
// failed.
func (r *run) prepareModel(u *unit) bool {
	step := r.workflow.Steps[u.position].LLM
	u.ask = &llm.Request{MaxTokens: step.MaxTokens, Temperature: step.Temperature}
	prompt, err := step.Prompt.Text(r.scopeOf(u))
	if err == nil && step.System != nil {
		u.ask.System, err = step.System.Text(r.scopeOf(u))
	}
	if err != nil {
		r.fail(u, message(err))
		return false
	}
	u.ask.Messages = []llm.Message{{Role: llm.User, Content: prompt}}
	return true
}

// askModel asks with the caller's own key: the platform's is not for workflows,
// which nobody has put a price on.
func (r *run) askModel(ctx context.Context, u *unit) (json.RawMessage, error) {
	step := r.workflow.Steps[u.position].LLM
	access, err := r.engine.models.Keys.ModelAccess(ctx, modelkeys.AccessRequest{Caller: r.caller, Provider: step.Provider})
	if err == nil && access.Platform {
		err = services.Errorf(services.Invalid, "A workflow asks models with a key of your own: store one with POST /api-keys").WithCode(modelkeys.CodeMissing)
	}
	if err != nil {
		return nil, err
	}
	ask := *u.ask
	if ask.Access = access; step.Model != "" {
		ask.Model = step.Model
	}
	answer, err := r.engine.models.Client.Complete(ctx, ask)
	if err != nil {
		return nil, err
	}
	result := modelResult{Text: answer.Text, Model: answer.Model, Provider: access.Provider, StopReason: string(answer.StopReason)}
	result.Usage.Input, result.Usage.Output = answer.Usage.Input, answer.Usage.Output
	return encode(result)
}
