package compare

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

// names is what a gateway puts before the names of tools and prompts and the addresses of
// resources. The suite asks for bare ones.
type names struct {
	Tools     string `json:"tools,omitempty"`
	Prompts   string `json:"prompts,omitempty"`
	Resources string `json:"resources,omitempty"`
}

// learnNames looks at what is listed for something of each kind that the suite's server has.
func learnNames(ctx context.Context, endpoint string, header http.Header) (n names, err error) {
	h := &http.Client{Timeout: patience}
	defer h.CloseIdleConnections()
	c := newClient(endpoint, header, h)
	if err := c.agree(ctx, ""); err != nil {
		return n, err
	}
	defer c.end(ctx)
	before := func(kind, own string) string {
		listed, err := c.list(ctx, kind)
		if err != nil {
			return "" // it has none of these
		}
		_, before, _ := given(listed, own)
		return before
	}
	return names{
		Tools: before("tools", "test_simple_text"), Prompts: before("prompts", "test_simple_prompt"), Resources: before("resources", "test://static-text"),
	}, nil
}

// forward serves an endpoint at an address of its own until the test ends: with what it
// wants of everybody in each request, and with bare names.
func forward(t testing.TB, endpoint string, header http.Header, n names) string {
	t.Helper()
	to, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(nil)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = &httputil.ReverseProxy{
		FlushInterval: -1,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.URL.Path = to.Scheme, to.Host, to.Path
			for name, values := range header {
				r.Out.Header[name] = values
			}
			// The suite asks what becomes of a wrong name; a right one is the endpoint's own.
			if r.Out.Host = r.In.Host; r.In.Host == "127.0.0.1:"+port || r.In.Host == "localhost:"+port {
				r.Out.Host = to.Host
			}
			if n != (names{}) {
				n.ask(r.Out)
			}
		},
		ModifyResponse: func(r *http.Response) error {
			if n == (names{}) {
				return nil
			}
			return n.answer(r)
		},
	}
	server.Start()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL + to.Path
}

// of is what stands before the names that a method has in its parameters.
func (n names) of(method string) string {
	switch method {
	case "tools/call":
		return n.Tools
	case "prompts/get":
		return n.Prompts
	case "resources/read", "resources/subscribe", "resources/unsubscribe":
		return n.Resources
	}
	return ""
}

// ask puts a request's names as the gateway has them.
func (n names) ask(r *http.Request) {
	if name := r.Header.Get("Mcp-Name"); name != "" {
		r.Header.Set("Mcp-Name", n.of(r.Header.Get("Mcp-Method"))+name)
	}
	if r.Body == nil {
		return
	}
	body, err := io.ReadAll(r.Body)
	if err == nil {
		body = n.asked(body)
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	r.Header.Set("Content-Length", strconv.Itoa(len(body)))
}

// asked leaves all that has no names as it is, byte by byte.
func (n names) asked(body []byte) []byte {
	message := decode(body)
	params, _ := message["params"].(object)
	method, _ := message["method"].(string)
	if params == nil {
		return body
	}
	prefix := n.of(method)
	if method == "completion/complete" {
		ref, _ := params["ref"].(object)
		if ref == nil {
			return body
		}
		params, prefix = ref, n.Prompts
		if ref["uri"] != nil {
			prefix = n.Resources
		}
	}
	if prefix == "" {
		return body
	}
	for _, key := range []string{"name", "uri"} {
		if name, is := params[key].(string); is {
			params[key] = prefix + name
		}
	}
	return encode(message, body)
}

// answer puts an answer's names as the suite has them.
func (n names) answer(r *http.Response) error {
	if strings.HasPrefix(r.Header.Get("Content-Type"), "text/event-stream") {
		r.Body, r.ContentLength = n.stream(r.Body), -1
		r.Header.Del("Content-Length")
		return nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	_ = r.Body.Close()
	body = n.answered(body)
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	if r.Header.Get("Content-Length") != "" {
		r.Header.Set("Content-Length", strconv.Itoa(len(body)))
	}
	return nil
}

// stream does so with each event, as it comes.
func (n names) stream(from io.ReadCloser) io.ReadCloser {
	out, in := io.Pipe()
	go func() {
		defer from.Close()
		lines := bufio.NewReader(from)
		for {
			line, err := lines.ReadBytes('\n')
			if data, is := bytes.CutPrefix(line, []byte("data:")); is {
				if renamed := n.answered(bytes.TrimSpace(data)); !bytes.Equal(renamed, bytes.TrimSpace(data)) {
					line = append(append([]byte("data: "), renamed...), '\n')
				}
			}
			if _, closed := in.Write(line); closed != nil {
				return
			}
			if err != nil {
				_ = in.CloseWithError(err)
				return
			}
		}
	}()
	return closing{out, from}
}

// closing ends what is read from when nobody reads any more.
type closing struct {
	*io.PipeReader
	from io.Closer
}

func (c closing) Close() error {
	_ = c.PipeReader.Close()
	return c.from.Close()
}

func (n names) answered(body []byte) []byte {
	message := decode(body)
	changed := false
	bare := func(all any, key, prefix string) {
		list, _ := all.([]any)
		for _, one := range list {
			if entry, is := one.(object); is && prefix != "" {
				if name, _ := entry[key].(string); strings.HasPrefix(name, prefix) {
					entry[key], changed = strings.TrimPrefix(name, prefix), true
				}
			}
		}
	}
	if result, is := message["result"].(object); is {
		bare(result["tools"], "name", n.Tools)
		bare(result["prompts"], "name", n.Prompts)
		bare(result["resources"], "uri", n.Resources)
		bare(result["resourceTemplates"], "uriTemplate", n.Resources)
		bare(result["contents"], "uri", n.Resources)
	}
	if params, is := message["params"].(object); is {
		bare([]any{params}, "uri", n.Resources)
	}
	if !changed {
		return body
	}
	return encode(message, body)
}

func decode(text []byte) object {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var message object
	if decoder.Decode(&message) != nil {
		return nil
	}
	return message
}

// encode gives what was there where it can't.
func encode(message object, otherwise []byte) []byte {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if encoder.Encode(message) != nil {
		return otherwise
	}
	return bytes.TrimSpace(text.Bytes())
}
