package modelkeys

import (
	"strings"

	"uaol/providers/config"
	"uaol/providers/llm"
)

// Config is the platform's own keys, for callers who stored none, and which model
// is asked when a request names none.
type Config struct {
	OpenAIKey      string `env:"OPENAI_API_KEY" secret:"true" want:"an API key: printable ASCII without spaces" doc:"the platform's own key of OpenAI, for everybody who stored none with POST /api-keys, guests too; any text for a server that wants none"`
	GeminiKey      string `env:"GEMINI_API_KEY" secret:"true" want:"an API key: printable ASCII without spaces" doc:"the platform's own key of Gemini, for everybody who stored none with POST /api-keys, guests too"`
	AnthropicKey   string `env:"ANTHROPIC_API_KEY" secret:"true" want:"an API key: printable ASCII without spaces" doc:"the platform's own key of Anthropic, for everybody who stored none with POST /api-keys, guests too"`
	OpenAIModel    string `env:"OPENAI_MODEL" envDefault:"gpt-5.4-mini" doc:"model of OpenAI that is asked when a request names none"`
	GeminiModel    string `env:"GEMINI_MODEL" envDefault:"gemini-3.8-flash" doc:"model of Gemini that is asked when a request names none"`
	AnthropicModel string `env:"ANTHROPIC_MODEL" envDefault:"claude-sonnet-5" doc:"model of Anthropic that is asked when a request names none"`
}

// Check refuses keys that no request could carry.
func (c *Config) Check() error {
	for variable, key := range map[string]string{"OPENAI_API_KEY": c.OpenAIKey, "GEMINI_API_KEY": c.GeminiKey, "ANTHROPIC_API_KEY": c.AnthropicKey} {
		if !sendable(key) {
			return &config.Fault{Variable: variable, Value: key, Secret: true, Want: "an API key: printable ASCII without spaces"}
		}
	}
	return nil
}

// sendable reports a text that a header can hold: printable ASCII.
func sendable(secret string) bool {
	return !strings.ContainsFunc(secret, func(r rune) bool { return r <= ' ' || r > '~' })
}

// offer is a provider with what the platform has for it.
type offer struct {
	provider   llm.Provider
	stored     string // its name where keys are stored
	key, model string
}

// offers are in the order in which the platform's own keys are taken.
func (c Config) offers() []offer {
	return []offer{
		{llm.OpenAI, "openai", c.OpenAIKey, c.OpenAIModel},
		{llm.Gemini, "gemini", c.GeminiKey, c.GeminiModel},
		{llm.Anthropic, "claude", c.AnthropicKey, c.AnthropicModel},
	}
}
