package jobs

import (
	"context"

	"github.com/google/uuid"

	"uaol/providers/peers"
	"uaol/services"
	"uaol/services/billing"
)

// ClientConfig is where the jobs service runs, for processes that do not run it.
type ClientConfig struct {
	URL string `env:"UAOL_JOBS_URL" want:"the jobs service's URL such as http://host:3003" doc:"where the jobs service runs, for a process that does not run it; several addresses separated by commas"`
}

// Client is a billing.JobDirectory and a services.Keeper over HTTP.
type Client struct{ peer *peers.Peer }

// NewClient makes a Client; a Fault names the variable when no URL is set.
func NewClient(cfg ClientConfig, tokens *peers.Tokens) (*Client, error) {
	peer, err := peers.New(services.Jobs, "UAOL_JOBS_URL", cfg.URL, tokens)
	return &Client{peer: peer}, err
}

// Ended implements billing.JobDirectory.
func (c *Client) Ended(ctx context.Context, in billing.EndedRequest) ([]uuid.UUID, error) {
	return peers.Call[billing.EndedRequest, []uuid.UUID](ctx, c.peer, "ended", in)
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
