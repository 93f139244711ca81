package billing

import (
	"context"

	"uaol/providers/peers"
	"uaol/services"
)

// ClientConfig is where billing runs, for processes that do not run it.
type ClientConfig struct {
	URL string `env:"UAOL_BILLING_URL" want:"the billing service's URL such as http://host:3005" doc:"where billing runs, for a process that does not run it; several addresses separated by commas"`
}

// Client is a Meter and a services.Keeper over HTTP.
type Client struct{ peer *peers.Peer }

// NewClient makes a Client; a Fault names the variable when no URL is set.
func NewClient(cfg ClientConfig, tokens *peers.Tokens) (*Client, error) {
	peer, err := peers.New(services.Billing, "UAOL_BILLING_URL", cfg.URL, tokens)
	return &Client{peer: peer}, err
}

// Balance implements Meter.
func (c *Client) Balance(ctx context.Context, in BalanceRequest) (Balance, error) {
	return peers.Call[BalanceRequest, Balance](ctx, c.peer, "balance", in)
}

// Hold implements Meter.
func (c *Client) Hold(ctx context.Context, in HoldRequest) (Hold, error) {
	return peers.Call[HoldRequest, Hold](ctx, c.peer, "hold", in)
}

// Settle implements Meter.
func (c *Client) Settle(ctx context.Context, in SettleRequest) (Hold, error) {
	return peers.Call[SettleRequest, Hold](ctx, c.peer, "settle", in)
}

// Release implements Meter.
func (c *Client) Release(ctx context.Context, in ReleaseRequest) (Hold, error) {
	return peers.Call[ReleaseRequest, Hold](ctx, c.peer, "release", in)
}

// HoldMany implements Meter.
func (c *Client) HoldMany(ctx context.Context, in HoldsRequest) ([]Outcome, error) {
	return peers.Call[HoldsRequest, []Outcome](ctx, c.peer, "hold-many", in)
}

// SettleMany implements Meter.
func (c *Client) SettleMany(ctx context.Context, in SettlesRequest) ([]Outcome, error) {
	return peers.Call[SettlesRequest, []Outcome](ctx, c.peer, "settle-many", in)
}

// ReleaseMany implements Meter.
func (c *Client) ReleaseMany(ctx context.Context, in ReleasesRequest) ([]Outcome, error) {
	return peers.Call[ReleasesRequest, []Outcome](ctx, c.peer, "release-many", in)
}

// Abandoned implements Meter.
func (c *Client) Abandoned(ctx context.Context, in AbandonedRequest) ([]AbandonedHold, error) {
	return peers.Call[AbandonedRequest, []AbandonedHold](ctx, c.peer, "abandoned", in)
}

// Plans implements Meter.
func (c *Client) Plans(ctx context.Context, in PlansRequest) ([]Plan, error) {
	return peers.Call[PlansRequest, []Plan](ctx, c.peer, "plans", in)
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
