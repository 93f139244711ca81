package compare

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
)

// The two revisions of MCP that are spoken: the newest with sessions, and the stateless one.
const (
	sessions  = "2025-11-25"
	stateless = "2026-07-28"
)

// client is somebody who speaks MCP with an endpoint, by requests made beforehand: it
// takes as little as it can of the processors that it shares with who is measured.
type client struct {
	endpoint string
	header   http.Header // what the endpoint wants of everybody
	version  string      // that is spoken; "" until it is agreed on
	session  string
	http     *http.Client
	ids      *atomic.Int64
}

func newClient(endpoint string, header http.Header, h *http.Client) *client {
	return &client{endpoint: endpoint, header: header, http: h, ids: new(atomic.Int64)}
}

// agree finds the newest revision that the endpoint speaks, and begins a session if that
// has some. With a revision it takes that one or nothing.
func (c *client) agree(ctx context.Context, only string) error {
	if only != sessions {
		c.version = stateless
		var about struct {
			Supported []string `json:"supportedVersions"`
		}
		err := c.result(ctx, "server/discover", "", nil, &about)
		for _, version := range about.Supported {
			if err == nil && version == stateless {
				return nil
			}
		}
		if only == stateless {
			return errors.Join(fmt.Errorf("it does not speak %s, but %v", stateless, about.Supported), err)
		}
	}
	c.version = ""
	var begun struct {
		Version string `json:"protocolVersion"`
	}
	hello := object{"protocolVersion": sessions, "capabilities": object{}, "clientInfo": object{"name": "compare", "version": "1"}}
	if err := c.result(ctx, "initialize", "", hello, &begun); err != nil {
		return err
	}
	if c.version = begun.Version; c.version == "" {
		return errors.New("it names no version")
	}
	return c.tell(ctx, "notifications/initialized")
}

type object = map[string]any

// tell sends a notification.
func (c *client) tell(ctx context.Context, method string) error {
	text, err := json.Marshal(object{"jsonrpc": "2.0", "method": method})
	if err != nil {
		return err
	}
	_, _, err = c.send(ctx, method, "", text)
	return err
}

// result asks for something, which name is the name or address of.
func (c *client) result(ctx context.Context, method, name string, params object, into any) error {
	text, err := c.message(method, params)
	if err != nil {
		return err
	}
	answer, header, err := c.send(ctx, method, name, text)
	if err != nil {
		return err
	}
	if session := header.Get("Mcp-Session-Id"); session != "" {
		c.session = session
	}
	var said struct {
		Result json.RawMessage `json:"result"`
		Error  *struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	if err := json.Unmarshal(answerIn(answer), &said); err != nil {
		return fmt.Errorf("%s: %w: %.200s", method, err, answer)
	}
	if said.Error != nil {
		return fmt.Errorf("%s: %d %s", method, said.Error.Code, said.Error.Message)
	}
	return json.Unmarshal(said.Result, into)
}

// answerIn finds the response in an answer that may be a stream of events.
func answerIn(answer []byte) []byte {
	if trimmed := bytes.TrimSpace(answer); len(trimmed) > 0 && trimmed[0] == '{' {
		return trimmed
	}
	for line := range bytes.Lines(answer) {
		if data, is := bytes.CutPrefix(line, []byte("data:")); is && (bytes.Contains(data, []byte(`"result"`)) || bytes.Contains(data, []byte(`"error"`))) {
			return bytes.TrimSpace(data)
		}
	}
	return nil
}

// message is a request, with an id of its own.
func (c *client) message(method string, params object) ([]byte, error) {
	all := object{}
	for name, value := range params {
		all[name] = value
	}
	if c.version == stateless {
		all["_meta"] = object{
			"io.modelcontextprotocol/protocolVersion":    stateless,
			"io.modelcontextprotocol/clientInfo":         object{"name": "compare", "version": "1"},
			"io.modelcontextprotocol/clientCapabilities": object{},
		}
	}
	return json.Marshal(object{"jsonrpc": "2.0", "id": c.ids.Add(1), "method": method, "params": all})
}

// send posts a message, and gives the whole answer.
func (c *client) send(ctx context.Context, method, name string, text []byte) ([]byte, http.Header, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint, bytes.NewReader(text))
	if err != nil {
		return nil, nil, err
	}
	request.Header = c.headers(method, name)
	response, err := c.http.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode >= http.StatusBadRequest {
		err = fmt.Errorf("%s: %d %.300s", method, response.StatusCode, answer)
	}
	return answer, response.Header, err
}

func (c *client) headers(method, name string) http.Header {
	header := c.header.Clone()
	if header == nil {
		header = http.Header{}
	}
	header.Set("Content-Type", "application/json")
	header.Set("Accept", "application/json, text/event-stream")
	if c.version != "" {
		header.Set("Mcp-Protocol-Version", c.version)
	}
	if c.session != "" {
		header.Set("Mcp-Session-Id", c.session)
	}
	if c.version == stateless {
		header.Set("Mcp-Method", method)
		if name != "" {
			header.Set("Mcp-Name", name)
		}
	}
	return header
}

// end closes the session, where there is one: some keep what belongs to it until then.
func (c *client) end(ctx context.Context) {
	if c.session == "" {
		return
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodDelete, c.endpoint, nil)
	if err != nil {
		return
	}
	request.Header = c.headers("", "")
	if response, err := c.http.Do(request); err == nil {
		_ = response.Body.Close()
	}
}

// list is what an endpoint has of one kind: "tools", "prompts", "resources".
func (c *client) list(ctx context.Context, kind string) (names []string, err error) {
	var listed map[string]json.RawMessage
	if err := c.result(ctx, kind+"/list", "", nil, &listed); err != nil {
		return nil, err
	}
	var all []struct {
		Name string `json:"name"`
		URI  string `json:"uri"`
	}
	if err := json.Unmarshal(listed[kind], &all); err != nil {
		return nil, err
	}
	for _, one := range all {
		if kind == "resources" {
			names = append(names, one.URI)
		} else {
			names = append(names, one.Name)
		}
	}
	return names, nil
}

// given is how an endpoint calls something, whose own name it may have put others before,
// and that which is before it.
func given(names []string, own string) (name, before string, there bool) {
	for _, name := range names {
		if before, is := strings.CutSuffix(name, own); is {
			return name, before, true
		}
	}
	return "", "", false
}
