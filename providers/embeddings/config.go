package embeddings

import (
	"strconv"
	"strings"
	"time"

	"uaol/providers/config"
	"uaol/providers/llm"
)

// custom is whatever else speaks OpenAI's protocol.
const custom llm.Provider = "custom"

// models are asked when no setting names one.
var models = map[llm.Provider]string{llm.OpenAI: "text-embedding-3-small", llm.Gemini: "gemini-embedding-001"}

// Config is whose model makes vectors, and with which key. Keys and addresses of chat
// models hold here as well.
type Config struct {
	Provider  string        `env:"EMBEDDINGS_PROVIDER" want:"none, openai, gemini or custom" doc:"whose model makes the vectors by which documents are found by their meaning: openai, gemini, or custom with UAOL_EMBEDDINGS_URL; none, the default, finds them by their words alone"`
	URL       string        `env:"UAOL_EMBEDDINGS_URL" want:"a URL such as http://localhost:11434/v1" doc:"where vectors are made, if not where the provider's chat models are asked: anything with OpenAI's /embeddings, such as Ollama or vLLM; it may be a private address"`
	Model     string        `env:"UAOL_EMBEDDINGS_MODEL" doc:"model that makes vectors; text-embedding-3-small of OpenAI and gemini-embedding-001 of Gemini unless it is set. With another one all vectors are made anew"`
	Dimension int           `env:"UAOL_EMBEDDINGS_DIMENSION" want:"a whole number from 1 to 16384, or nothing" doc:"how many numbers a vector shall have, for models that can shorten theirs; their own number unless it is set"`
	Key       string        `env:"UAOL_EMBEDDINGS_KEY" secret:"true" want:"an API key: printable ASCII without spaces" doc:"key for vectors, if not the provider's OPENAI_API_KEY or GEMINI_API_KEY"`
	Timeout   time.Duration `env:"UAOL_EMBEDDINGS_TIMEOUT" envDefault:"2m" want:"a duration of 1s or more such as 2m" doc:"how long the vectors of up to 96 passages may take, with all attempts"`

	OpenAIKey string `env:"OPENAI_API_KEY" secret:"true" want:"an API key: printable ASCII without spaces" doc:"the platform's own key of OpenAI"`
	GeminiKey string `env:"GEMINI_API_KEY" secret:"true" want:"an API key: printable ASCII without spaces" doc:"the platform's own key of Gemini"`

	Chat llm.Config
}

const mostNumbers = 16384

// Check refuses what no vectors can be made with.
func (c *Config) Check() error {
	switch c.provider() {
	case "":
		return nil
	case llm.OpenAI, llm.Gemini, custom:
	default:
		return &config.Fault{Variable: "EMBEDDINGS_PROVIDER", Value: c.Provider, Want: "none, openai, gemini or custom"}
	}
	if c.provider() == custom && c.URL == "" {
		return &config.Fault{Variable: "UAOL_EMBEDDINGS_URL", Want: "a URL such as http://localhost:11434/v1, because EMBEDDINGS_PROVIDER is custom"}
	}
	at := c.endpoint()
	if err := at.Check(); err != nil {
		return err
	}
	variable, key := c.key()
	switch {
	case c.model() == "":
		return &config.Fault{Variable: "UAOL_EMBEDDINGS_MODEL", Want: "the name of a model at " + at.Variable}
	case c.Dimension < 0 || c.Dimension > mostNumbers:
		return &config.Fault{Variable: "UAOL_EMBEDDINGS_DIMENSION", Value: strconv.Itoa(c.Dimension), Want: "a whole number from 1 to 16384, or nothing"}
	case c.Timeout < time.Second:
		return &config.Fault{Variable: "UAOL_EMBEDDINGS_TIMEOUT", Value: c.Timeout.String(), Want: "a duration of 1s or more such as 2m"}
	case key == "" && !at.Set():
		return &config.Fault{Variable: variable, Want: "an API key, because EMBEDDINGS_PROVIDER is " + string(c.provider()) + "; UAOL_EMBEDDINGS_KEY is one for this alone"}
	case strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }):
		return &config.Fault{Variable: variable, Value: key, Secret: true, Want: "an API key: printable ASCII without spaces"}
	}
	return nil
}

// provider is "" for none. An address alone means that it is to be used.
func (c *Config) provider() llm.Provider {
	switch name := strings.ToLower(strings.TrimSpace(c.Provider)); {
	case name == "" && c.URL != "":
		return custom
	case name == "none":
		return ""
	default:
		return llm.Provider(name)
	}
}

func (c *Config) model() string {
	if c.Model != "" {
		return c.Model
	}
	return models[c.provider()]
}

func (c *Config) endpoint() llm.Endpoint {
	return c.Chat.Endpoint(c.provider()).At("UAOL_EMBEDDINGS_URL", c.URL)
}

// key is the one that counts, with the setting that it is or should be of.
func (c *Config) key() (variable, key string) {
	switch p := c.provider(); {
	case c.Key != "", p == custom:
		return "UAOL_EMBEDDINGS_KEY", c.Key
	case p == llm.Gemini:
		return "GEMINI_API_KEY", c.GeminiKey
	default:
		return "OPENAI_API_KEY", c.OpenAIKey
	}
}
