package llm

import (
	"net"
	"net/url"
	"strings"
	"time"

	"uaol/providers/config"
)

// Config is where models are asked, and for how long.
type Config struct {
	OpenAIURL    string        `env:"UAOL_OPENAI_URL" envDefault:"https://api.openai.com/v1" want:"a URL such as http://localhost:11434/v1" doc:"where models of OpenAI are asked, or of anything that speaks its protocol, such as Ollama or vLLM; it may be a private address"`
	GeminiURL    string        `env:"UAOL_GEMINI_URL" envDefault:"https://generativelanguage.googleapis.com/v1beta/openai" want:"a URL such as https://example.com/v1" doc:"where models of Gemini are asked, in OpenAI's protocol; it may be a private address"`
	AnthropicURL string        `env:"UAOL_ANTHROPIC_URL" envDefault:"https://api.anthropic.com/v1" want:"a URL such as https://example.com/v1" doc:"where models of Anthropic are asked, in OpenAI's protocol; it may be a private address"`
	Silence      time.Duration `env:"UAOL_MODEL_SILENCE" envDefault:"2m" want:"a duration of 1s or more such as 2m" doc:"how long a model that streams its answer may send nothing, before its first word and after"`
	Timeout      time.Duration `env:"UAOL_MODEL_TIMEOUT" envDefault:"10m" want:"a duration of 1s or more such as 10m" doc:"how long a model may take for a whole answer, with all attempts"`
}

// Check refuses addresses and durations that mean nothing.
func (c *Config) Check() error {
	for _, e := range c.endpoints() {
		if err := e.Check(); err != nil {
			return err
		}
	}
	for variable, d := range map[string]time.Duration{"UAOL_MODEL_SILENCE": c.Silence, "UAOL_MODEL_TIMEOUT": c.Timeout} {
		if d < time.Second {
			return &config.Fault{Variable: variable, Value: d.String(), Want: "a duration of 1s or more such as 2m"}
		}
	}
	return nil
}

// Endpoint is an address that speaks OpenAI's protocol, with the setting that names it.
type Endpoint struct {
	Provider Provider
	Variable string
	URL      string

	own string // the provider's; "" where an operator names every one
}

// Endpoint is where a provider's models are asked; one that c does not know is at an
// address that an operator names.
func (c *Config) Endpoint(of Provider) Endpoint {
	for _, e := range c.endpoints() {
		if e.Provider == of {
			return e
		}
	}
	return Endpoint{Provider: of}
}

// At is the same provider at an address of another setting; "" changes nothing.
func (e Endpoint) At(variable, address string) Endpoint {
	if address != "" {
		e.Variable, e.URL = variable, address
	}
	return e
}

// Check refuses addresses that can't be called, with a *config.Fault.
func (e Endpoint) Check() error {
	u, err := url.Parse(e.URL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return &config.Fault{Variable: e.Variable, Value: e.URL, Want: "a URL such as http://localhost:11434/v1, without a password, a query or a fragment"}
	}
	return nil
}

func (c *Config) endpoints() []Endpoint {
	return []Endpoint{
		{OpenAI, "UAOL_OPENAI_URL", c.OpenAIURL, "https://api.openai.com/v1"},
		{Gemini, "UAOL_GEMINI_URL", c.GeminiURL, "https://generativelanguage.googleapis.com/v1beta/openai"},
		{Anthropic, "UAOL_ANTHROPIC_URL", c.AnthropicURL, "https://api.anthropic.com/v1"},
	}
}

// Set reports an address that is not the provider's own: an operator's.
func (e Endpoint) Set() bool { return strings.TrimRight(e.URL, "/") != e.own }

// exceptions to the egress policy: an operator who names an address wants it
// called, wherever it is; TOOL_EGRESS_DENY still closes it.
func (e Endpoint) exceptions() []string {
	u, err := url.Parse(e.URL)
	if err != nil || !e.Set() {
		return nil
	}
	port := u.Port()
	switch {
	case port != "":
	case u.Scheme == "https":
		port = "443"
	default:
		port = "80"
	}
	return []string{net.JoinHostPort(u.Hostname(), port)}
}
