// Package speech turns speech into text and text into speech, by OpenAI or whatever
// speaks its protocol.
package speech

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"

	"go.uber.org/zap"

	"uaol/providers/egress"
	"uaol/providers/llm"
	"uaol/services"
	"uaol/services/auth/modelkeys"
	"uaol/services/billing"
	"uaol/services/gateway/till"
)

// Service is the use cases.
type Service struct {
	cfg                   Config
	keys                  modelkeys.Keys
	till                  till.Till
	transcribing, talking *way
}

// way is where and as what a model is asked.
type way struct {
	door *llm.Door
	own  *llm.Access // an operator's address: whoever asks is nobody to it; nil for OpenAI's
	name string      // of the model
	fix  string      // what helps there when the key is refused
}

// NewService makes a Service. An address that an operator set is open to it wherever it is.
func NewService(cfg Config, keys modelkeys.Keys, meter billing.Meter, policy *egress.Policy, log *zap.Logger) (*Service, error) {
	s := &Service{cfg: cfg, keys: keys, till: till.New(meter, cfg.Chat.Timeout, log)}
	var err error
	if s.transcribing, err = newWay(cfg, policy, "UAOL_TRANSCRIPTION_URL", cfg.TranscriptionURL, "UAOL_TRANSCRIPTION_KEY", cfg.TranscriptionKey, cfg.TranscriptionModel); err != nil {
		return nil, err
	}
	s.talking, err = newWay(cfg, policy, "UAOL_SPEECH_URL", cfg.SpeechURL, "UAOL_SPEECH_KEY", cfg.SpeechKey, cfg.SpeechModel)
	return s, err
}

func newWay(cfg Config, policy *egress.Policy, variable, address, keyVariable, key, model string) (*way, error) {
	w := &way{name: model}
	at := cfg.Chat.Endpoint(llm.OpenAI)
	if address != "" {
		at = cfg.Chat.Endpoint(custom).At(variable, address)
		w.own = &llm.Access{Provider: custom, Key: llm.Key(key), Model: model, Platform: true}
		w.fix = "an operator sets " + keyVariable
	}
	var err error
	w.door, err = llm.NewDoor(at, policy, cfg.Chat.Timeout)
	return w, err
}

// Close lets go of idle connections.
func (s *Service) Close() {
	s.transcribing.door.Close()
	s.talking.door.Close()
}

// Transcription says how speech becomes text for somebody.
func (s *Service) Transcription(ctx context.Context, caller services.Caller) (llm.Access, error) {
	return s.access(ctx, caller, s.transcribing)
}

// access is the caller's own key of OpenAI, or else the platform's. A key goes to no
// address but the one that it was given for.
func (s *Service) access(ctx context.Context, caller services.Caller, w *way) (llm.Access, error) {
	if w.own != nil {
		return *w.own, nil
	}
	access, err := s.keys.ModelAccess(ctx, modelkeys.AccessRequest{Caller: caller, Provider: string(llm.OpenAI)})
	if e := (*services.Error)(nil); errors.As(err, &e) && e.Code == modelkeys.CodeMissing {
		// The contract's words; what helps stands beside them.
		return access, services.Errorf(services.Unconfigured, "OpenAI API key not configured").WithCode("CONFIGURATION_ERROR").
			WithDetails([]services.Fault{{Path: "", Message: e.Message}})
	}
	access.Model = w.name
	return access, err
}

// Audio is a recording.
type Audio struct {
	Content   io.ReaderAt
	Size      int64  // bytes
	Extension string // of its type, such as ".mp3": it is what providers know types by
}

const megabyte = 1 << 20

// Transcribe gives the text of speech. Kinds and codes as of llm.Client.Complete, and of
// billing.Meter.Hold with the platform's key.
func (s *Service) Transcribe(ctx context.Context, caller services.Caller, access llm.Access, in Audio) (string, error) {
	price := int64(0)
	if access.Platform {
		price = s.cfg.TranscriptionPrice * started(in.Size, megabyte)
	}
	f := newForm(access.Model, in)
	var answer struct {
		Text *string `json:"text"`
	}
	err := s.pay(ctx, caller, "transcribe", price, func() (bool, error) {
		err := s.transcribing.door.JSON(ctx, llm.Call{
			Access: access, Path: "audio/transcriptions", Type: f.kind, Body: f.body, Length: f.length, Fix: s.transcribing.fix,
		}, &answer)
		if err == nil && answer.Text == nil {
			err = services.Errorf(services.Upstream, "The model provider %s gives no text", access.Provider)
		}
		return err == nil, err
	})
	if err != nil {
		return "", err
	}
	return *answer.Text, nil
}

// MostSpoken is how many characters OpenAI speaks at a time.
const MostSpoken = 4096

// Spoken is a text to be spoken.
type Spoken struct {
	Text  string
	Voice string // "" for the operator's choice
}

// Speak hands out speech (MP3) as it comes. begin is called once, before its first byte;
// what fails before that is an error as of Transcribe, what fails later cuts it.
func (s *Service) Speak(ctx context.Context, caller services.Caller, in Spoken, begin func() io.Writer) error {
	access, err := s.access(ctx, caller, s.talking)
	if err != nil {
		return err
	}
	price := int64(0)
	if access.Platform {
		price = s.cfg.SpeechPrice * started(int64(utf8.RuneCountInString(in.Text)), 1000)
	}
	if in.Voice == "" {
		in.Voice = s.cfg.SpeechVoice
	}
	body, err := json.Marshal(map[string]string{"model": access.Model, "input": in.Text, "voice": in.Voice, "response_format": "mp3"})
	if err != nil {
		return err
	}
	return s.pay(ctx, caller, "speak", price, func() (begun bool, err error) {
		err = s.talking.door.Do(ctx, llm.Call{
			Access: access, Path: "audio/speech", Type: "application/json", Length: int64(len(body)), Fix: s.talking.fix,
			Body: func() (io.Reader, error) { return bytes.NewReader(body), nil },
		}, func(response *http.Response) error {
			if kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type")); strings.HasPrefix(kind, "text/") || kind == "application/json" {
				return services.Errorf(services.Upstream, "The model provider %s answers with %s, which is no speech", access.Provider, kind)
			}
			first := make([]byte, 32<<10)
			n, err := io.ReadAtLeast(response.Body, first, 1)
			if err != nil {
				return io.ErrUnexpectedEOF // whatever it was; there may be another attempt
			}
			begun = true
			if _, err := io.Copy(begin(), io.MultiReader(bytes.NewReader(first[:n]), response.Body)); err != nil {
				return services.Errorf(services.Upstream, "The speech was cut off").WithCode(llm.CodeCut).Because(err)
			}
			return nil
		})
		return begun, err
	})
}

// started is how many units are begun by so much, at least one.
func started(n, unit int64) int64 { return max((n+unit-1)/unit, 1) }
