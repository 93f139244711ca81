package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// text is what the demo's workflow studies.
const text = "Many tools, one door. Each call is known, paid for and written down."

// toolServer is a real MCP server on loopback, made with the official SDK.
type toolServer struct {
	url   string
	calls atomic.Int64
	http  *http.Server
}

// pace is how long each method takes, so that people see what runs side by side.
const pace = 300 * time.Millisecond

type textArgs struct {
	Text string `json:"text" jsonschema:"the text to look at"`
}

type number struct {
	Number int `json:"number"`
}

type reportArgs struct {
	Title   string `json:"title"`
	Words   number `json:"words"`
	Letters number `json:"letters"`
}

func startToolServer() (*toolServer, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("the demo's tool server: %w", err)
	}
	s := &toolServer{url: "http://" + listener.Addr().String() + "/mcp"}
	server := mcp.NewServer(&mcp.Implementation{Name: "demo-text", Version: "1"}, nil)
	harmless := &mcp.ToolAnnotations{ReadOnlyHint: true}
	addTool(s, server, &mcp.Tool{Name: "fetch_text", Description: "A text worth studying", Annotations: harmless},
		func(struct{}) (string, any) { return text, nil })
	addTool(s, server, &mcp.Tool{Name: "count_words", Description: "How many words a text has", Annotations: harmless},
		func(in textArgs) (string, any) { n := words(in.Text); return fmt.Sprint(n), number{n} })
	addTool(s, server, &mcp.Tool{Name: "count_letters", Description: "How many letters a text has", Annotations: harmless},
		func(in textArgs) (string, any) { n := letters(in.Text); return fmt.Sprint(n), number{n} })
	addTool(s, server, &mcp.Tool{Name: "title", Description: "A text's first sentence, in capitals", Annotations: harmless},
		func(in textArgs) (string, any) { return title(in.Text), nil })
	addTool(s, server, &mcp.Tool{Name: "report", Description: "Puts findings together", Annotations: harmless},
		func(in reportArgs) (string, any) { return report(in.Title, in.Words.Number, in.Letters.Number), nil })
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil)
	s.http = &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = s.http.Serve(listener) }() // ends with close
	return s, nil
}

func (s *toolServer) close() error {
	err := s.http.Close()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func addTool[In any](s *toolServer, server *mcp.Server, tool *mcp.Tool, f func(In) (text string, structured any)) {
	mcp.AddTool(server, tool, func(ctx context.Context, _ *mcp.CallToolRequest, in In) (*mcp.CallToolResult, any, error) {
		s.calls.Add(1)
		select {
		case <-time.After(pace):
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
		said, structured := f(in)
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: said}}}, structured, nil
	})
}

func words(text string) int { return len(strings.Fields(text)) }

func letters(text string) int {
	n := 0
	for _, r := range strings.ToLower(text) {
		if r >= 'a' && r <= 'z' {
			n++
		}
	}
	return n
}

func title(text string) string {
	first, _, _ := strings.Cut(text, ".")
	return strings.ToUpper(first)
}

func report(title string, words, letters int) string {
	return fmt.Sprintf("%s: %d words, %d letters", title, words, letters)
}
