package upstream

import (
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
func (c *Client) callBare(ctx context.Context, target Target, r *request) (*Answer, error) {
	got, err := c.bare(ctx, target, r, false)
	if err != nil {
		return nil, err
	}
	if !isObject(got.raw) {
		if got.raw, err = asText(got.raw); err != nil {
			return nil, err
		}
	}
	return got.answer(false, false)
}

func (c *Client) bare(ctx context.Context, target Target, r *request, repeatable bool) (reply, error) {
	const id = 1 // alone in its HTTP exchange
	body, err := r.body(id, "")
	if err != nil {
		return reply{}, err
	}
	got, _, err := c.exchange(ctx, target, outgoing{verb: http.MethodPost, address: target.URL, body: body, kind: jsonType, key: r.key}, repeatable)
	if err != nil {
		return reply{}, err
	}
	message, err := parseMessage(got.raw)
	if err != nil {
		return reply{}, err
	}
	got.raw, err = message.outcome()
	var answer RPCError
	if errors.As(err, &answer) {
		return reply{}, rpcFault(answer)
	}
	return got, err
}

// callREST posts the arguments to {url}/{method}, or does what the tool's OpenAPI
// document says of the method. An answer that is MCP's result object is passed
// on; any other becomes its text and, when it is an object, its structured
// content. Of meta only the idempotency key has a place in REST.
func (c *Client) callREST(ctx context.Context, target Target, r *request) (*Answer, error) {
	if err := checkAddress(target.URL); err != nil {
		return nil, err
	}
	base, err := url.Parse(target.URL)
	if err != nil {
		return nil, services.Errorf(services.Invalid, "the tool's address is not a URL, register it again")
	}
	out, err := restRequest(base, target.Operations, r)
	if err != nil {
		return nil, err
	}
	got, kind, err := c.exchange(ctx, target, out, out.safe())
	if err != nil {
		return nil, err
	}
	if !utf8.Valid(got.raw) {
		return nil, garbage("it is not UTF-8")
	}
	valid := json.Valid(got.raw)
	if kind == jsonType && len(got.raw) > 0 && !valid {
		return nil, garbage("it says that it is JSON and is not")
	}
	if !valid || !isObject(got.raw) || len(target.Operations) > 0 || !hasContent(got.raw) {
		if got.raw, err = asText(got.raw); err != nil {
			return nil, err
		}
	}
	return got.answer(false, false)
}

func hasContent(object []byte) (has bool) {
	Members(object, func(key, value []byte) {
		has = has || string(key) == "content" && value[0] == '['
	})
	return has
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

const jsonType = "application/json"

// outgoing is a request as it leaves; nothing in it is another request's.
type outgoing struct {
	verb, address string
	body          []byte // nil for none
	kind          string // media type of the body
	accept        string // default JSON
	key           string
	header        http.Header // what the method's arguments say
}

// safe reports a request that may be repeated by HTTP's own rules.
func (o *outgoing) safe() bool {
	return o.verb == http.MethodGet || o.verb == http.MethodHead || o.verb == http.MethodOptions
}

// exchange sends a request once, or twice where the first did not leave, and
// reads its answer.
func (c *Client) exchange(ctx context.Context, target Target, out outgoing, repeatable bool) (reply, string, error) {
	if err := checkAddress(out.address); err != nil {
		return reply{}, "", err
	}
	way, err := c.ways.of(target.Allow)
	if err != nil {
		return reply{}, "", err
	}
	response, d, err := send(ctx, way, target, out, repeatable)
	if err != nil {
		return reply{}, "", err
	}
	defer func() { _ = response.Body.Close() }()
	buffer := newBuffer()
	data, err := readAll(buffer, response.Body, c.limits.MaxAnswer)
	if err != nil {
		freeBuffer(buffer)
		return reply{}, "", fault(ctx, d, err, repeatable)
	}
	return reply{raw: data, received: int64(len(data)), buffer: buffer}, mediaType(response), nil
}

func send(ctx context.Context, way *way, target Target, out outgoing, repeatable bool) (*http.Response, *delivery, error) {
	for again := false; ; again = true {
		d := &delivery{key: out.key, tool: target.ToolID}
		request, err := out.request(ctx, d)
		if err != nil {
			return nil, nil, fault(ctx, d, err, repeatable)
		}
		carry(request.Header, target.Headers)
		response, err := way.do(request)
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
			return nil, nil, said.fault()
		}
		return response, d, nil
	}
}

func (o *outgoing) request(ctx context.Context, d *delivery) (*http.Request, error) {
	to, err := url.Parse(o.address)
	if err != nil {
		return nil, err
	}
	header := http.Header{"Accept": typeJSON}
	for name, values := range o.header {
		header[name] = values
	}
	if o.accept != "" {
		header["Accept"] = []string{o.accept}
	}
	if o.body == nil {
		request := &http.Request{Method: o.verb, URL: to, Host: to.Host, Header: header, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
		return request.WithContext(withDelivery(ctx, d)), nil
	}
	header["Content-Type"] = []string{o.kind}
	request := post(ctx, d, to, o.body, header)
	request.Method = o.verb
	return request, nil
}
