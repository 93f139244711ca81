package chat

import (
	"strconv"

	"uaol/providers/config"
)

// Config bounds what a message may take.
type Config struct {
	Context int    `env:"UAOL_CHAT_CONTEXT_TOKENS" envDefault:"24000" want:"a whole number of tokens, 1000 or more" doc:"the most tokens that a model is given with a message: what was said before, documents and tools' answers; the oldest is left out"`
	Answer  int    `env:"UAOL_CHAT_ANSWER_TOKENS" envDefault:"2048" want:"a whole number of tokens, 16 or more" doc:"the most tokens of one answer of a model"`
	Budget  int64  `env:"UAOL_CHAT_BUDGET" envDefault:"500" want:"a whole number of credits, 0 or more" doc:"credits that one message may cost, tools and the platform's models together, unless it says itself"`
	Prices  string `env:"UAOL_MODEL_PRICES" envDefault:"*=1/4" want:"words such as gpt-4o-mini=1/4 claude-*=6/30" doc:"what the platform's models cost: credits for 1,000 tokens that go in and for 1,000 that come out, for each model; a * ends a name that others begin with, and the longest name counts. One's own keys are free"`

	prices prices
}

// Check reads the price table and refuses bounds that mean nothing.
func (c *Config) Check() (err error) {
	fault := func(variable, value, want string) error {
		return &config.Fault{Variable: variable, Value: value, Want: want}
	}
	switch {
	case c.Context < 1000 || c.Context > 1<<24:
		return fault("UAOL_CHAT_CONTEXT_TOKENS", strconv.Itoa(c.Context), "a whole number of tokens, 1000 or more")
	case c.Answer < 16 || c.Answer > 1<<20:
		return fault("UAOL_CHAT_ANSWER_TOKENS", strconv.Itoa(c.Answer), "a whole number of tokens, 16 or more")
	case c.Budget < 0:
		return fault("UAOL_CHAT_BUDGET", strconv.FormatInt(c.Budget, 10), "a whole number of credits, 0 or more")
	}
	if c.prices, err = readPrices(c.Prices); err != nil {
		return fault("UAOL_MODEL_PRICES", c.Prices, "words such as gpt-4o-mini=1/4 claude-*=6/30: "+err.Error())
	}
	return nil
}
