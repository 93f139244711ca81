package auth

import (
	"context"

	"uaol/providers/llm"
	"uaol/providers/peers"
	"uaol/services"
	"uaol/services/auth/modelkeys"
	"uaol/services/billing"
)

// ClientConfig is where auth runs, for processes that do not run it.
type ClientConfig struct {
	URL string `env:"UAOL_AUTH_URL" want:"the auth service's URL such as http://host:3001" doc:"where auth runs, for a process that does not run it; several addresses separated by commas"`
}

// Client is a Verifier, a ModelKeys, a services.Auditor, a services.Standing and a
// billing.AccountDirectory over HTTP.
type Client struct{ peer *peers.Peer }

// NewClient makes a Client; a Fault names the variable when no URL is set.
func NewClient(cfg ClientConfig, tokens *peers.Tokens) (*Client, error) {
	peer, err := peers.New(services.Auth, "UAOL_AUTH_URL", cfg.URL, tokens)
	return &Client{peer: peer}, err
}

// Verify implements Verifier.
func (c *Client) Verify(ctx context.Context, in VerifyRequest) (Verified, error) {
	return peers.Call[VerifyRequest, Verified](ctx, c.peer, "verify", in)
}

// Record implements services.Auditor.
func (c *Client) Record(ctx context.Context, act services.Act) error {
	_, err := peers.Call[services.Act, struct{}](ctx, c.peer, "record", act)
	return err
}

// Acting implements services.Standing.
func (c *Client) Acting(ctx context.Context, in services.ActingRequest) (services.Caller, error) {
	return peers.Call[services.ActingRequest, services.Caller](ctx, c.peer, "acting", in)
}

// Home implements billing.AccountDirectory.
func (c *Client) Home(ctx context.Context, in billing.HomeRequest) (billing.Home, error) {
	return peers.Call[billing.HomeRequest, billing.Home](ctx, c.peer, "home", in)
}

// ModelAccess implements ModelKeys.
func (c *Client) ModelAccess(ctx context.Context, in modelkeys.AccessRequest) (llm.Access, error) {
	return peers.Call[modelkeys.AccessRequest, llm.Access](ctx, c.peer, "model-access", in)
}
