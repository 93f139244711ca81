// Package embeddings makes vectors of texts, by a model of OpenAI, of Gemini, or of
// whatever speaks OpenAI's protocol: texts that mean the same have vectors that are near.
package embeddings

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"uaol/providers/egress"
	"uaol/providers/llm"
	"uaol/services"
)

// Bounds of one request. OpenAI takes 2,048 texts and 300,000 tokens, Gemini 100 texts;
// a token has a byte or more.
const (
	mostTexts = 96
	mostBytes = 200_000
)

// Client makes vectors. It is safe for concurrent use.
type Client struct {
	door   *llm.Door // nil where there is no model
	access llm.Access
	length int // of a vector, where it is asked for
	name   string
	fix    string
}

// New makes a Client. An address that an operator set is open to it wherever it is.
func New(cfg Config, policy *egress.Policy) (*Client, error) {
	provider := cfg.provider()
	if provider == "" {
		return &Client{}, nil
	}
	door, err := llm.NewDoor(cfg.endpoint(), policy, cfg.Timeout)
	if err != nil {
		return nil, err
	}
	variable, key := cfg.key()
	c := &Client{
		door: door, length: cfg.Dimension, fix: "an operator sets " + variable,
		access: llm.Access{Provider: provider, Key: llm.Key(key), Model: cfg.model(), Platform: true},
	}
	c.name = string(provider) + "/" + c.access.Model
	if c.length > 0 {
		c.name += "/" + strconv.Itoa(c.length)
	}
	return c, nil
}

// Close lets go of idle connections.
func (c *Client) Close() {
	if c.door != nil {
		c.door.Close()
	}
}

// Model names what makes the vectors; those of two names can't be compared. "" says that
// there is none.
func (c *Client) Model() string { return c.name }

// Format implements fmt.Formatter, without the key.
func (c *Client) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "vectors of "+c.name) }

// Embed gives a vector for each text, in their order, all of one length. Kinds:
// Unconfigured without a model; Invalid for a text that is empty, or that the model does
// not take, with llm's codes; Limited, Upstream, Unavailable and Timeout when there was
// no answer, after a few attempts for each 96 texts.
func (c *Client) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	if c.door == nil {
		return nil, services.Errorf(services.Unconfigured, "No model makes vectors here: an operator sets EMBEDDINGS_PROVIDER")
	}
	for i, text := range texts {
		if strings.TrimSpace(text) == "" {
			return nil, services.Errorf(services.Invalid, "Text %d is empty, and has no vector", i)
		}
	}
	vectors := make([][]float32, 0, len(texts))
	for len(texts) > 0 {
		n := portion(texts)
		some, err := c.ask(ctx, texts[:n])
		if err != nil {
			return nil, err
		}
		vectors, texts = append(vectors, some...), texts[n:]
		if length := len(vectors[0]); len(some[0]) != length {
			return nil, c.wrong("%d numbers in one vector and %d in another", length, len(some[0]))
		}
	}
	return vectors, nil
}

// portion is how many of the texts go into the next request: one at least.
func portion(texts []string) int {
	size := 0
	for i, text := range texts {
		if size += len(text); i == mostTexts || i > 0 && size > mostBytes {
			return i
		}
	}
	return len(texts)
}

type request struct {
	Model      string   `json:"model"`
	Input      []string `json:"input"`
	Dimensions int      `json:"dimensions,omitempty"`
}

type answer struct {
	Data []struct {
		Index  *int   `json:"index"`
		Vector vector `json:"embedding"`
	} `json:"data"`
}

// ask sends one request. Answers tell which vector is of which text; those that do not
// have them in the order of the texts.
func (c *Client) ask(ctx context.Context, texts []string) ([][]float32, error) {
	body, err := json.Marshal(request{c.access.Model, texts, c.length})
	if err != nil {
		return nil, err
	}
	var got answer
	err = c.door.JSON(ctx, llm.Call{
		Access: c.access, Path: "embeddings", Type: "application/json", Length: int64(len(body)), Fix: c.fix,
		Body: func() (io.Reader, error) { return bytes.NewReader(body), nil },
	}, &got)
	if err != nil {
		return nil, err
	}
	if len(got.Data) != len(texts) {
		return nil, c.wrong("%d vectors for %d texts", len(got.Data), len(texts))
	}
	vectors := make([][]float32, len(texts))
	for i, d := range got.Data {
		at := i
		if d.Index != nil {
			at = *d.Index
		}
		if at < 0 || at >= len(vectors) || vectors[at] != nil {
			return nil, c.wrong("a vector of a text %d, of which there is none or another", at)
		}
		if err := d.Vector.check(); err != nil {
			return nil, err
		}
		vectors[at] = d.Vector
	}
	want := len(vectors[0])
	if c.length > 0 {
		want = c.length
	}
	for _, v := range vectors {
		if len(v) != want {
			return nil, c.wrong("%d numbers in a vector, and not %d", len(v), want)
		}
	}
	return vectors, nil
}

func (c *Client) wrong(format string, args ...any) error {
	e := services.Errorf(services.Upstream, format, args...)
	e.Message = "The model " + c.access.Model + " gives no vectors that can be used: " + e.Message
	return e
}
