package ocr

import (
	"strings"

	"uaol/providers/config"
	"uaol/providers/llm"
)

// Config is who recognises text in images, if not tesseract. OpenAI's address and key
// hold here as well.
type Config struct {
	Model     string `env:"UAOL_OCR_MODEL" doc:"model that sees, such as gpt-5.4-mini, to recognise text in images and scanned pages instead of tesseract; they are sent to it"`
	URL       string `env:"UAOL_OCR_URL" want:"a URL such as http://localhost:11434/v1" doc:"where UAOL_OCR_MODEL is asked, if not where OpenAI's models are: anything with OpenAI's /chat/completions; it may be a private address"`
	Key       string `env:"UAOL_OCR_KEY" secret:"true" want:"an API key: printable ASCII without spaces" doc:"key for UAOL_OCR_MODEL, if not OPENAI_API_KEY; for UAOL_OCR_URL this one alone"`
	VisionKey string `env:"GOOGLE_CLOUD_VISION_API_KEY" secret:"true" want:"an API key: printable ASCII without spaces" doc:"key of Google Cloud Vision, which then recognises text in images and scanned pages, unless UAOL_OCR_MODEL is set; they are sent to it"`
	VisionURL string `env:"UAOL_VISION_URL" envDefault:"https://vision.googleapis.com/v1" want:"a URL such as https://example.com/v1" doc:"where Google Cloud Vision is asked"`
	OpenAIKey string `env:"OPENAI_API_KEY" secret:"true" want:"an API key: printable ASCII without spaces" doc:"the platform's own key of OpenAI"`

	Chat llm.Config
}

// The providers beside OpenAI.
const (
	custom llm.Provider = "custom"
	vision llm.Provider = "Google Cloud Vision"
)

// Check refuses addresses and keys that can't be used.
func (c *Config) Check() error {
	at, variable, key := c.model()
	if c.Model == "" {
		if c.VisionKey == "" {
			return nil
		}
		at, variable, key = c.vision(), "GOOGLE_CLOUD_VISION_API_KEY", c.VisionKey
	}
	if err := at.Check(); err != nil {
		return err
	}
	switch {
	case key == "" && !at.Set():
		return &config.Fault{Variable: variable, Want: "an API key, because UAOL_OCR_MODEL is set; UAOL_OCR_KEY is one for this alone"}
	case strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }):
		return &config.Fault{Variable: variable, Value: key, Secret: true, Want: "an API key: printable ASCII without spaces"}
	}
	return nil
}

// model is where a model is asked, and with which setting's key.
func (c *Config) model() (at llm.Endpoint, variable, key string) {
	if c.URL != "" {
		return c.Chat.Endpoint(custom).At("UAOL_OCR_URL", c.URL), "UAOL_OCR_KEY", c.Key
	}
	at, variable, key = c.Chat.Endpoint(llm.OpenAI), "OPENAI_API_KEY", c.OpenAIKey
	if c.Key != "" {
		variable, key = "UAOL_OCR_KEY", c.Key
	}
	return at, variable, key
}

func (c *Config) vision() llm.Endpoint {
	return c.Chat.Endpoint(vision).At("UAOL_VISION_URL", c.VisionURL)
}
