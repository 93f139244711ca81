package upstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"unicode/utf8"

	"uaol/services"
)

// callBare posts tools/call without a session, as the first UAOL did. An
// answer's result is passed on whatever its members are; one that is not an
// object becomes a text.
func (c *Client) callBare(ctx context.Context, target Target, call callParams, key string) (json.RawMessage, error) {
	raw, err := c.bare(ctx, target, "tools/call", call, key, false)
	if err != nil || isObject(raw) {
		return raw, err
	}
	return asText(raw)
}

func (c *Client) bare(ctx context.Context, target Target, method string, params any, key string, repeatable bool) (json.RawMessage, error) {
	const id = 1 // alone in its HTTP exchange
	response, d, err := c.post(ctx, target.URL, map[string]any{"jsonrpc": "2.0", "id": id, "method": method, "params": params}, key, repeatable)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	data, err := readAll(response.Body, c.limits.MaxAnswer)
	if err != nil {
		return nil, fault(ctx, d, err, repeatable)
	}
	message, err := parseMessage(data)
	if err != nil {
		return nil, err
	}
	raw, err := message.outcome()
	var answer rpcError
	if errors.As(err, &answer) {
		return nil, rpcFault(answer.Code, answer.Message)
	}
	return raw, err
}

// callREST posts the arguments to {url}/{method}. An answer that is MCP's result
// object is passed on; any other becomes its text and, when it is an object,
// its structured content. Of meta only the idempotency key has a place in REST.
func (c *Client) callREST(ctx context.Context, target Target, call callParams, key string) (json.RawMessage, error) {
	if call.Name == "." || call.Name == ".." {
		return nil, services.Errorf(services.Invalid, "method must not be a path")
	}
	if err := checkAddress(target.URL); err != nil {
		return nil, err
	}
	base, err := url.Parse(target.URL)
	if err != nil {
		return nil, services.Errorf(services.Invalid, "the tool's address is not a URL, register it again")
	}
	response, d, err := c.post(ctx, base.JoinPath(url.PathEscape(call.Name)).String(), call.Arguments, key, false)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	data, err := readAll(response.Body, c.limits.MaxAnswer)
	if err != nil {
		return nil, fault(ctx, d, err, false)
	}
	if !utf8.Valid(data) {
		return nil, garbage("it is not UTF-8")
	}
	if mediaType(response) == "application/json" && len(data) > 0 && !json.Valid(data) {
		return nil, garbage("it says that it is JSON and is not")
	}
	var result struct {
		Content []json.RawMessage `json:"content"`
	}
	if isObject(data) && json.Unmarshal(data, &result) == nil && result.Content != nil {
		return data, nil
	}
	return asText(data)
}

// asText makes MCP's result object of any answer.
func asText(data []byte) (json.RawMessage, error) {
	type text struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
	said := string(data)
	var unquoted string
	if json.Unmarshal(data, &unquoted) == nil && !isNull(data) {
		said = unquoted
	}
	result := map[string]any{"content": []text{{"text", said}}, "isError": false}
	if isObject(data) && json.Valid(data) {
		result["structuredContent"] = json.RawMessage(data)
	}
	return encode(result)
}

// post sends a body once, or twice where the first did not leave.
func (c *Client) post(ctx context.Context, address string, body any, key string, repeatable bool) (*http.Response, *delivery, error) {
	if err := checkAddress(address); err != nil {
		return nil, nil, err
	}
	data, err := encode(body)
	if err != nil {
		return nil, nil, err
	}
	for again := false; ; again = true {
		d := &delivery{key: key}
		request, err := http.NewRequestWithContext(withDelivery(ctx, d), http.MethodPost, address, bytes.NewReader(data))
		if err != nil {
			return nil, nil, fault(ctx, d, err, repeatable)
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Accept", "application/json")
		response, err := c.http.Do(request)
		if err != nil {
			if !again && neverLeft(ctx, d, err) {
				continue
			}
			return nil, nil, fault(ctx, d, err, repeatable)
		}
		if response.StatusCode < 200 || response.StatusCode > 299 {
			said := readRefusal(response)
			_, _ = io.CopyN(io.Discard, response.Body, 4096)
			_ = response.Body.Close()
			return nil, nil, statusFault(response.StatusCode, said.code, said.message)
		}
		return response, d, nil
	}
}
