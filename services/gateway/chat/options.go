package chat

import (
	"context"

	"uaol/providers/llm"
	"uaol/services"
	"uaol/services/auth/modelkeys"
)

// Options are what a message may ask for.
type Options struct {
	Models []Model `json:"models" doc:"none: a provider's key has to be stored first"`
	Budget int64   `json:"budget" doc:"credits that a message may cost unless it says itself"`
}

// Model is what a provider is asked for where a message names no model.
type Model struct {
	Provider string `json:"provider"`
	Model    string `json:"model"`
	Default  bool   `json:"isDefault" doc:"it is asked where a message names no provider"`
	Platform bool   `json:"platform" doc:"with the platform's key, for credits; else with one of the caller's own, for none"`
	Input    int64  `json:"inputCredits" doc:"for 1,000 tokens that go in"`
	Output   int64  `json:"outputCredits" doc:"for 1,000 tokens that come out"`
}

// Options says what a message of the caller's may ask for.
func (s *Service) Options(ctx context.Context, caller services.Caller) (Options, error) {
	options := Options{Models: []Model{}, Budget: s.cfg.Budget}
	preferred, err := s.keys.ModelAccess(ctx, modelkeys.AccessRequest{Caller: caller})
	if services.IsCode(err, modelkeys.CodeMissing) {
		return options, nil
	}
	if err != nil {
		return Options{}, err
	}
	for _, provider := range []llm.Provider{llm.OpenAI, llm.Gemini, llm.Anthropic} {
		access, err := s.keys.ModelAccess(ctx, modelkeys.AccessRequest{Caller: caller, Provider: named(provider)})
		if services.IsCode(err, modelkeys.CodeMissing) {
			continue
		}
		if err != nil {
			return Options{}, err
		}
		model := Model{Provider: named(provider), Model: access.Model, Default: provider == preferred.Provider, Platform: access.Platform}
		if access.Platform {
			price, _, priced := s.cfg.prices.of(access.Model)
			if !priced { // nobody can ask it
				continue
			}
			model.Input, model.Output = price.in, price.out
		}
		options.Models = append(options.Models, model)
	}
	return options, nil
}
