// Package ocr recognises text in images by a model that sees, or by Google Cloud Vision.
package ocr

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"uaol/providers/egress"
	"uaol/providers/llm"
	"uaol/services"
)

// pageTime is how long one image may take, with all attempts.
const pageTime = time.Minute

// Reader reads images. It is a documents.Reader, and safe for concurrent use.
type Reader struct {
	door *llm.Door
	call llm.Call // without its body
	ask  func(png string) any
	take func(raw json.RawMessage) (string, error)
}

// New makes the Reader that settings name; nil when they name none. An address that an
// operator set is open to it wherever it is.
func New(cfg Config, policy *egress.Policy) (*Reader, error) {
	switch {
	case cfg.Model != "":
		at, variable, key := cfg.model()
		door, err := llm.NewDoor(at, policy, pageTime)
		return &Reader{door: door, ask: question(cfg.Model), take: answer, call: llm.Call{
			Access: llm.Access{Provider: at.Provider, Key: llm.Key(key), Model: cfg.Model, Platform: true},
			Path:   "chat/completions", Type: "application/json", Fix: "an operator sets " + variable,
		}}, err
	case cfg.VisionKey != "":
		door, err := llm.NewDoor(cfg.vision(), policy, pageTime)
		return &Reader{door: door, ask: annotate, take: annotated, call: llm.Call{
			Access: llm.Access{Provider: vision, Key: llm.Key(cfg.VisionKey), Model: "DOCUMENT_TEXT_DETECTION", Platform: true},
			Path:   "images:annotate", Type: "application/json", KeyHeader: "X-Goog-Api-Key", Fix: "an operator sets GOOGLE_CLOUD_VISION_API_KEY",
		}}, err
	}
	return nil, nil
}

// Close lets go of idle connections.
func (r *Reader) Close() { r.door.Close() }

// Format implements fmt.Formatter, without the key.
func (r *Reader) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "OCR by "+r.call.Model) }

// Read gives the text in an image. Errors are for the people whose document it is: they
// say what happened, and no addresses.
func (r *Reader) Read(ctx context.Context, png []byte) (string, error) {
	body, err := json.Marshal(r.ask(base64.StdEncoding.EncodeToString(png)))
	if err != nil {
		return "", err
	}
	call := r.call
	call.Length, call.Body = int64(len(body)), func() (io.Reader, error) { return bytes.NewReader(body), nil }
	var raw json.RawMessage
	err = r.door.JSON(ctx, call, &raw)
	var text string
	if err == nil {
		text, err = r.take(raw)
	}
	if e := (*services.Error)(nil); errors.As(err, &e) {
		return "", errors.New(e.Message)
	}
	return strings.TrimSpace(text), err
}
