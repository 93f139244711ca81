package proxy

import (
	"context"

	"uaol/providers/peers"
	"uaol/providers/upstream"
	"uaol/services"
)

// ClientConfig is where the proxy runs, for processes that do not run it.
type ClientConfig struct {
	URL string `env:"UAOL_PROXY_URL" want:"the proxy's URL such as http://host:3004" doc:"where the proxy runs, for a process that does not run it; several addresses separated by commas"`
}

// Client is an Invoker over HTTP.
type Client struct{ peer *peers.Peer }

// NewClient makes a Client; a Fault names the variable when no URL is set.
func NewClient(cfg ClientConfig, tokens *peers.Tokens) (*Client, error) {
	peer, err := peers.New(services.Proxy, "UAOL_PROXY_URL", cfg.URL, tokens)
	return &Client{peer: peer}, err
}

// Call implements Invoker. It is sent once: whether a repetition is harmless is
// the caller's to judge.
func (c *Client) Call(ctx context.Context, in CallRequest) (CallResult, error) {
	return peers.CallOnce[CallRequest, CallResult](ctx, c.peer, "call", in)
}

// Methods implements Invoker.
func (c *Client) Methods(ctx context.Context, in MethodsRequest) ([]upstream.Method, error) {
	return peers.Call[MethodsRequest, []upstream.Method](ctx, c.peer, "methods", in)
}

// Export implements services.Keeper.
func (c *Client) Export(ctx context.Context, in services.ExportRequest) (services.Part, error) {
	return peers.Call[services.ExportRequest, services.Part](ctx, c.peer, "export", in)
}

// Erase implements services.Keeper.
func (c *Client) Erase(ctx context.Context, who services.Person) error {
	_, err := peers.Call[services.Person, struct{}](ctx, c.peer, "erase", who)
	return err
}
