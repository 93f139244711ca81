package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	crand "crypto/rand"

	"uaol/acceptance/world"
	"uaol/services"
)

// client is one at /mcp. Those of the older protocols begin a session once, and never
// again.
type client struct {
	clients *Clients
	key     string
	session string // "" for those of the stateless protocol
	name    string

	right, cut atomic.Int64
	since      atomic.Int64 // right ones since the last mark
}

var errLost = errors.New("the session is lost")

// TestMCPReplicas: clients of both eras at two replicas behind a balancer that knows no
// sessions. One replica is killed and comes back: no session is lost, and nothing that
// was answered is charged twice or not at all.
func TestMCPReplicas(t *testing.T) {
	f := Start(t, Options{Together: true, Replicas: 2, Redis: true, Env: map[string]string{"UAOL_CALLS_PER_USER_MINUTE": "0", "UAOL_CALLS_PER_ORGANIZATION_MINUTE": "0"}})
	c := NewClients(t, world.Balance(t, f.URLs(services.Gateway)).URL, f.Tools)
	var all []*client
	for i, key := range c.keys {
		one := &client{clients: c, key: key, name: "stateless"}
		if i%2 == 0 {
			one.name = "with a session"
			if err := one.initialize(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		all = append(all, one)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var work sync.WaitGroup
	for _, one := range all {
		work.Go(func() {
			for ctx.Err() == nil {
				if err := one.call(ctx); errors.Is(err, errLost) {
					t.Errorf("%s: %v", one.name, err)
					return
				}
			}
		})
	}
	goOn := func(what string) {
		t.Helper()
		for _, one := range all {
			one.since.Store(0)
		}
		for _, one := range all {
			for end := time.Now().Add(time.Minute); one.since.Load() < 20; time.Sleep(10 * time.Millisecond) {
				if time.Now().After(end) || t.Failed() {
					t.Fatalf("%s: a client %s does not get on", what, one.name)
				}
			}
		}
		fmt.Printf("%s: all %d clients go on\n", what, len(all))
	}
	goOn("both replicas")
	for _, victim := range f.Members {
		if err := victim.Kill(); err != nil {
			t.Fatal(err)
		}
		goOn(victim.Name + " killed")
		if err := victim.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		goOn(victim.Name + " back")
	}
	cancel()
	work.Wait()
	var right, cut int64
	for _, one := range all {
		right, cut = right+one.right.Load(), cut+one.cut.Load()
	}
	fmt.Printf("%d calls answered, %d cut off, no session lost\n", right, cut)
	books := f.Compare(t, c, true)
	fmt.Println(books)
	if len(books.Faults) > 0 {
		t.Errorf("%d faults", len(books.Faults))
	}
}

func (c *client) initialize(ctx context.Context) error {
	_, header, err := c.post(ctx, map[string]any{"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": map[string]any{
		"protocolVersion": "2025-11-25", "capabilities": map[string]any{}, "clientInfo": map[string]any{"name": "fleet", "version": "1"},
	}}, nil)
	if c.session = header.Get("Mcp-Session-Id"); err == nil && c.session == "" {
		err = errLost
	}
	return err
}

// call echoes a text through UAOL.
func (c *client) call(ctx context.Context) error {
	text := "mcp " + crand.Text()
	params := map[string]any{"name": "echo__echo", "arguments": map[string]any{"text": text}}
	header := http.Header{"Mcp-Session-Id": {c.session}, "Mcp-Protocol-Version": {"2025-11-25"}}
	if c.session == "" {
		params["_meta"] = map[string]any{"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": map[string]any{}}
		header = http.Header{"Mcp-Protocol-Version": {"2026-07-28"}, "Mcp-Method": {"tools/call"}, "Mcp-Name": {"echo__echo"}}
	}
	status, said, err := c.ask(ctx, map[string]any{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}, header)
	switch {
	case err != nil || status >= http.StatusInternalServerError:
		c.cut.Add(1)
		return nil
	case status != http.StatusOK:
		return fmt.Errorf("%w: HTTP status %d: %s", errLost, status, said)
	case at(said, "result", "content", 0, "text") != text:
		if code, _ := at(said, "error", "code").(float64); code >= 500 { // as REST's status
			c.cut.Add(1)
			return nil
		}
		return fmt.Errorf("%w: %v", errLost, said)
	}
	c.clients.mu.Lock()
	c.clients.calls = append(c.clients.calls, text)
	c.clients.mu.Unlock()
	c.right.Add(1)
	c.since.Add(1)
	return nil
}

func (c *client) ask(ctx context.Context, body map[string]any, header http.Header) (status int, said map[string]any, err error) {
	response, _, err := c.post(ctx, body, header)
	if err != nil {
		return 0, nil, err
	}
	_ = json.Unmarshal(response.text, &said) // what is no JSON says nothing
	return response.status, said, nil
}

type answered struct {
	status int
	text   []byte
}

func (c *client) post(ctx context.Context, body map[string]any, header http.Header) (answered, http.Header, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return answered{}, nil, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answersWithin)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.clients.base+"/mcp", bytes.NewReader(text))
	if err != nil {
		return answered{}, nil, err
	}
	request.Header = http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}, "X-Api-Key": {c.key}}
	for name, values := range header {
		request.Header[name] = values
	}
	response, err := c.clients.http.Do(request)
	if err != nil {
		return answered{}, nil, err
	}
	defer func() { _ = response.Body.Close() }()
	got, err := io.ReadAll(response.Body)
	return answered{response.StatusCode, got}, response.Header, err
}
