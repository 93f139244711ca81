// Package client speaks to a server the way any other client would: over HTTP.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// Client is somebody with an API key or a sign-in, or nobody without either.
type Client struct {
	Base  string
	Key   string
	Token string       // of a sign-in
	HTTP  *http.Client // nil is the default one
}

// Refusal is an answer of the server's that says no.
type Refusal struct {
	Request string // its method and path
	Status  int
	Code    string
	Message string
}

func (r *Refusal) Error() string { return fmt.Sprintf("%s: %s: %s", r.Request, r.Code, r.Message) }

// Do sends one request and reads the contract's envelope. What the server refuses
// is a *Refusal.
func (c Client) Do(ctx context.Context, method, path string, body, data any) error {
	return c.DoOnce(ctx, "", method, path, body, data)
}

// DoOnce is Do under an idempotency key: repeated, it is the same request.
func (c Client) DoOnce(ctx context.Context, key, method, path string, body, data any) error {
	var payload io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		payload = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.Base+path, payload)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	if c.Key != "" {
		request.Header.Set("X-API-Key", c.Key)
	}
	if c.Token != "" {
		request.Header.Set("Authorization", "Bearer "+c.Token)
	}
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	use := c.HTTP
	if use == nil {
		use = http.DefaultClient
	}
	response, err := use.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var envelope struct {
		Success bool            `json:"success"`
		Data    json.RawMessage `json:"data"`
		Error   struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	if err := json.NewDecoder(response.Body).Decode(&envelope); err != nil {
		return fmt.Errorf("%s %s: %s, and the answer cannot be read: %w", method, path, response.Status, err)
	}
	if !envelope.Success {
		return &Refusal{Request: method + " " + path, Status: response.StatusCode, Code: envelope.Error.Code, Message: envelope.Error.Message}
	}
	if data == nil || len(envelope.Data) == 0 {
		return nil
	}
	return json.Unmarshal(envelope.Data, data)
}
