package llm

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
)

// unsigned stands for the signature of calls that Gemini did not make itself:
// a conversation may have begun with another model.
// https://ai.google.dev/gemini-api/docs/thought-signatures
const unsigned = "skip_thought_signature_validator"

// signature is one to be sent back, by the places of its message and its call.
type signature struct {
	message, call int
	text          string
}

// signature is what goes with a message's call. Of calls made together only the
// first has one.
func (w *wire) signature(calls []ToolCall, i int) string {
	if w.door.Provider != Gemini {
		return ""
	}
	if calls[i].Signature == "" && i == 0 {
		for _, c := range calls {
			if c.Signature != "" {
				return ""
			}
		}
		return unsigned
	}
	return calls[i].Signature
}

// sign writes signatures into a request, whose type has no place for them.
func sign(request *http.Request, signatures []signature) error {
	text, err := io.ReadAll(request.Body)
	if err != nil {
		return err
	}
	var body map[string]json.RawMessage
	if err := json.Unmarshal(text, &body); err != nil {
		return err
	}
	var messages []map[string]json.RawMessage
	if err := json.Unmarshal(body["messages"], &messages); err != nil {
		return err
	}
	for _, s := range signatures {
		var calls []map[string]any
		if err := json.Unmarshal(messages[s.message]["tool_calls"], &calls); err != nil {
			return err
		}
		calls[s.call]["extra_content"] = map[string]any{"google": map[string]string{"thought_signature": s.text}}
		if messages[s.message]["tool_calls"], err = json.Marshal(calls); err != nil {
			return err
		}
	}
	if body["messages"], err = json.Marshal(messages); err != nil {
		return err
	}
	if text, err = json.Marshal(body); err != nil {
		return err
	}
	request.Body, request.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	request.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil }
	return nil
}

// signaturesOf reads the signatures of an answer's calls, or of a piece of one.
func signaturesOf(raw []byte) (signatures []string) {
	if !bytes.Contains(raw, []byte(`"thought_signature"`)) {
		return nil
	}
	type calls struct {
		ToolCalls []struct {
			Extra struct {
				Google struct {
					Signature string `json:"thought_signature"`
				} `json:"google"`
			} `json:"extra_content"`
		} `json:"tool_calls"`
	}
	var read struct {
		Choices []struct {
			Message calls `json:"message"`
			Delta   calls `json:"delta"`
		} `json:"choices"`
	}
	if json.Unmarshal(raw, &read) != nil || len(read.Choices) == 0 {
		return nil
	}
	for _, c := range append(read.Choices[0].Message.ToolCalls, read.Choices[0].Delta.ToolCalls...) {
		signatures = append(signatures, c.Extra.Google.Signature)
	}
	return signatures
}
