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

// Client is a Runner, a billing.JobDirectory and a services.Keeper over HTTP.
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

// Runnable implements Runner.
func (c *Client) Runnable(ctx context.Context, in RunnableRequest) ([]Runnable, error) {
	return peers.Call[RunnableRequest, []Runnable](ctx, c.peer, "runnable", in)
}

// Begin implements Runner.
func (c *Client) Begin(ctx context.Context, in BeginRequest) (Standing, error) {
	return peers.Call[BeginRequest, Standing](ctx, c.peer, "begin", in)
}

// Standing implements Runner.
func (c *Client) Standing(ctx context.Context, in StandingRequest) (Standing, error) {
	return peers.Call[StandingRequest, Standing](ctx, c.peer, "standing", in)
}

// Answer implements Runner.
func (c *Client) Answer(ctx context.Context, in AnswerRequest) error {
	_, err := peers.Call[AnswerRequest, struct{}](ctx, c.peer, "answer", in)
	return err
}

// Stop implements Runner.
func (c *Client) Stop(ctx context.Context, in StandingRequest) error {
	_, err := peers.Call[StandingRequest, struct{}](ctx, c.peer, "stop", in)
	return err
}
