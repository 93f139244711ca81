package upstream

import (
	"context"
	"encoding/json"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"uaol/services"
)

// Offered is what a tool's server says that it has besides methods.
type Offered struct {
	Resources   bool
	Prompts     bool
	Completions bool
	Logging     bool
	Subscribe   bool   // to single resources
	Version     string // of the protocol
}

func offeredBy(sdk *mcp.ClientSession) Offered {
	said := sdk.InitializeResult()
	offered := Offered{Version: said.ProtocolVersion}
	if can := said.Capabilities; can != nil {
		offered.Resources, offered.Prompts = can.Resources != nil, can.Prompts != nil
		offered.Completions, offered.Logging = can.Completions != nil, can.Logging != nil
		offered.Subscribe = can.Resources != nil && can.Resources.Subscribe
	}
	return offered
}

// newSDKClient is the SDK's part in a session: it opens and closes it.
func newSDKClient(can Capabilities) *mcp.Client {
	options := &mcp.ClientOptions{Capabilities: &mcp.ClientCapabilities{}}
	var said struct {
		Roots *mcp.RootCapabilities `json:"roots"`
	}
	if can != "" && json.Unmarshal([]byte(can), options.Capabilities) == nil && json.Unmarshal([]byte(can), &said) == nil {
		options.Capabilities.RootsV2 = said.Roots
	}
	return mcp.NewClient(clientName, options)
}

// speaksMCP reports whether a tool has more than methods.
func (t Target) speaksMCP() bool {
	switch t.Protocol {
	case ProtocolMCP, "", ProtocolSSE, ProtocolStdio:
		return true
	}
	return false
}

// Offered asks a tool's server what it has besides methods; tools of other protocols
// than MCP have nothing.
func (c *Client) Offered(ctx context.Context, target Target) (Offered, error) {
	if !target.speaksMCP() {
		return Offered{}, nil
	}
	ctx, l, err := c.begin(ctx, 0, false)
	if err != nil {
		return Offered{}, err
	}
	defer l.end()
	s, err := c.sessions.acquire(ctx, keyOf(target, listing), target)
	if err != nil {
		return Offered{}, fault(ctx, &delivery{}, err, true)
	}
	defer c.sessions.release(s)
	return s.offered(), nil
}

// listing is how methods are listed: by somebody who could be asked anything, and who
// is never asked.
var listing = &Talk{Can: Everything, Who: "listing"}

func notMCP(target Target) error {
	return services.Errorf(services.NotFound, "A tool of the protocol %s has methods only", target.Protocol)
}
