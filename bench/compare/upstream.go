package compare

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"uaol/bench/fleet"
)

// What this program is to be instead of tests, and where, in variables.
const (
	serveAs   = "UAOL_COMPARE_SERVE"
	serveAt   = "UAOL_COMPARE_SERVE_AT"
	serveFrom = "UAOL_COMPARE_SERVE_FROM"
)

// serve is one of those that this program can be; it never returns but with an error.
func serve(as, at, from string) error {
	handlers := map[string]func(string) (http.Handler, error){
		"fast":  func(string) (http.Handler, error) { return http.HandlerFunc(fast), nil },
		"naive": func(from string) (http.Handler, error) { return naive(from, nil) },
		"naive-stateless": func(from string) (http.Handler, error) {
			return naive(from, &mcp.StreamableHTTPOptions{Stateless: true})
		},
	}
	make, known := handlers[as]
	if !known {
		return fmt.Errorf("%s=%s is unknown", serveAs, as)
	}
	handler, err := make(from)
	if err != nil {
		return err
	}
	server := &http.Server{Addr: at, Handler: handler, ReadHeaderTimeout: time.Minute}
	return server.ListenAndServe()
}

// self runs this program as one of those until the test ends.
func self(t testing.TB, as, from string) (endpoint string, p *fleet.Process) {
	t.Helper()
	at := fleet.FreeAddress(t)
	p, err := fleet.Other{
		Name: as, Program: os.Args[0], Dir: t.TempDir(), Ready: at,
		Env: []string{serveAs + "=" + as, serveAt + "=" + at, serveFrom + "=" + from, "HOME=" + t.TempDir()},
	}.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Kill() })
	return "http://" + at + "/mcp", p
}

// What the fast server says. Its results suit the protocols with sessions and the
// stateless one alike.
const (
	fastTools = `{"resultType":"complete","ttlMs":60000,"cacheScope":"public","tools":[{"name":"echo","description":"says it again","annotations":{"readOnlyHint":true},"inputSchema":{"type":"object","required":["text"],"additionalProperties":false,"properties":{"text":{"type":"string","maxLength":1000},"times":{"type":"integer","minimum":1,"maximum":10}}}}]}`
	fastAbout = `{"resultType":"complete","ttlMs":60000,"cacheScope":"public","supportedVersions":["` + stateless + `"],"capabilities":{"tools":{}},"serverInfo":{"name":"fast","version":"1"}}`
	fastSays  = `{"resultType":"complete","content":[{"type":"text","text":"` + said + `"}],"isError":false}`
	said      = "hello hello hello"
)

// fast is an MCP server that does as little as one can, so that what is between it and who
// calls is measured.
func fast(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.WriteHeader(http.StatusMethodNotAllowed) // it has nothing to say by itself, and keeps no session
		return
	}
	body, err := io.ReadAll(r.Body)
	var message struct {
		ID     json.RawMessage `json:"id"`
		Method string          `json:"method"`
		Params struct {
			ProtocolVersion string `json:"protocolVersion"`
		} `json:"params"`
	}
	if err != nil || json.Unmarshal(body, &message) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if len(message.ID) == 0 {
		w.WriteHeader(http.StatusAccepted)
		return
	}
	outcome := `"result":`
	switch message.Method {
	case "tools/call":
		outcome += fastSays
	case "tools/list":
		outcome += fastTools
	case "server/discover":
		outcome += fastAbout
	case "initialize":
		version := message.Params.ProtocolVersion
		if version == "" || version >= stateless {
			version = sessions
		}
		outcome += `{"protocolVersion":"` + version + `","capabilities":{"tools":{}},"serverInfo":{"name":"fast","version":"1"}}`
	case "ping":
		outcome += `{}`
	default:
		outcome = `"error":{"code":-32601,"message":"Method not found"}`
	}
	whole := make([]byte, 0, 1024)
	whole = append(append(append(whole, `{"jsonrpc":"2.0","id":`...), message.ID...), ',')
	whole = append(append(whole, outcome...), '}')
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(whole)))
	_, _ = w.Write(whole)
}

// naive is a gateway that passes a server's methods on by the SDK's server and client.
func naive(from string, o *mcp.StreamableHTTPOptions) (http.Handler, error) {
	ctx := context.Background()
	upstream, err := mcp.NewClient(&mcp.Implementation{Name: "naive", Version: "1"}, nil).Connect(ctx, &mcp.StreamableClientTransport{
		Endpoint: from, HTTPClient: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}, DisableStandaloneSSE: true,
	}, nil)
	if err != nil {
		return nil, err
	}
	listed, err := upstream.ListTools(ctx, nil)
	if err != nil {
		return nil, err
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "naive", Version: "1"}, nil)
	for _, tool := range listed.Tools {
		server.AddTool(tool, func(ctx context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return upstream.CallTool(ctx, &mcp.CallToolParams{Name: r.Params.Name, Arguments: r.Params.Arguments})
		})
	}
	return mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, o), nil
}
