package speech

import (
	"strconv"
	"strings"

	"uaol/providers/config"
	"uaol/providers/llm"
)

// Config is where speech becomes text and text speech, and what that costs. The address
// and the time of OpenAI's chat models hold here as well.
type Config struct {
	TranscriptionURL   string `env:"UAOL_TRANSCRIPTION_URL" want:"a URL such as http://localhost:8000/v1" doc:"where speech becomes text, if not where OpenAI's models are asked: anything with OpenAI's /audio/transcriptions; it may be a private address. Users' own keys are not sent there"`
	TranscriptionKey   string `env:"UAOL_TRANSCRIPTION_KEY" secret:"true" want:"an API key: printable ASCII without spaces" doc:"key for UAOL_TRANSCRIPTION_URL, where that wants one"`
	TranscriptionModel string `env:"UAOL_TRANSCRIPTION_MODEL" envDefault:"whisper-1" doc:"model that turns speech into text"`
	TranscriptionPrice int64  `env:"UAOL_TRANSCRIPTION_PRICE" envDefault:"10" want:"a whole number of credits, 0 for none" doc:"credits for each megabyte of speech that is begun; with a key of one's own it costs none"`
	SpeechURL          string `env:"UAOL_SPEECH_URL" want:"a URL such as http://localhost:8000/v1" doc:"where text becomes speech, if not where OpenAI's models are asked: anything with OpenAI's /audio/speech; it may be a private address. Users' own keys are not sent there"`
	SpeechKey          string `env:"UAOL_SPEECH_KEY" secret:"true" want:"an API key: printable ASCII without spaces" doc:"key for UAOL_SPEECH_URL, where that wants one"`
	SpeechModel        string `env:"UAOL_SPEECH_MODEL" envDefault:"gpt-4o-mini-tts" doc:"model that turns text into speech"`
	SpeechVoice        string `env:"UAOL_SPEECH_VOICE" envDefault:"alloy" doc:"voice of speech when a request names none"`
	SpeechPrice        int64  `env:"UAOL_SPEECH_PRICE" envDefault:"10" want:"a whole number of credits, 0 for none" doc:"credits for each 1,000 characters that are begun to be spoken; with a key of one's own it costs none"`

	Chat llm.Config
}

// Check refuses addresses, keys and prices that can't be used.
func (c *Config) Check() error {
	for variable, price := range map[string]int64{"UAOL_TRANSCRIPTION_PRICE": c.TranscriptionPrice, "UAOL_SPEECH_PRICE": c.SpeechPrice} {
		if price < 0 || price > 1_000_000 {
			return &config.Fault{Variable: variable, Value: strconv.FormatInt(price, 10), Want: "a whole number of credits from 0 to 1,000,000"}
		}
	}
	for variable, key := range map[string]string{"UAOL_TRANSCRIPTION_KEY": c.TranscriptionKey, "UAOL_SPEECH_KEY": c.SpeechKey} {
		if strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return &config.Fault{Variable: variable, Value: key, Secret: true, Want: "an API key: printable ASCII without spaces"}
		}
	}
	for variable, address := range map[string]string{"UAOL_TRANSCRIPTION_URL": c.TranscriptionURL, "UAOL_SPEECH_URL": c.SpeechURL} {
		if address == "" {
			continue
		}
		at := c.Chat.Endpoint(custom).At(variable, address)
		if err := at.Check(); err != nil {
			return err
		}
	}
	return nil
}

// custom is the provider at an address that only speech has.
const custom llm.Provider = "custom"
