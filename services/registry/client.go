package registry

import (
	"context"

	"github.com/google/uuid"

	"uaol/providers/events"
	"uaol/providers/peers"
	"uaol/services"
	"uaol/services/registry/credentials"
)

// ClientConfig is where the registry runs, for processes that do not run it.
type ClientConfig struct {
	URL string `env:"UAOL_REGISTRY_URL" want:"the registry's URL such as http://host:3002" doc:"where the registry runs, for a process that does not run it; several addresses separated by commas"`
}

// Client is a Catalog and a services.Keeper over HTTP.
type Client struct{ peer *peers.Peer }

// NewClient makes a Client; a Fault names the variable when no URL is set.
func NewClient(cfg ClientConfig, tokens *peers.Tokens) (*Client, error) {
	peer, err := peers.New(services.Registry, "UAOL_REGISTRY_URL", cfg.URL, tokens)
	return &Client{peer: peer}, err
}

// Tools implements Catalog.
func (c *Client) Tools(ctx context.Context, in ToolsRequest) ([]Tool, error) {
	return peers.Call[ToolsRequest, []Tool](ctx, c.peer, "tools", in)
}

// Offers implements Catalog.
func (c *Client) Offers(ctx context.Context, in ToolsRequest) ([]Offer, error) {
	return peers.Call[ToolsRequest, []Offer](ctx, c.peer, "offers", in)
}

// Callable implements Catalog.
func (c *Client) Callable(ctx context.Context, in CallableRequest) ([]Offer, error) {
	return peers.Call[CallableRequest, []Offer](ctx, c.peer, "callable", in)
}

// Visible implements Catalog.
func (c *Client) Visible(ctx context.Context, in VisibleRequest) ([]uuid.UUID, error) {
	return peers.Call[VisibleRequest, []uuid.UUID](ctx, c.peer, "visible", in)
}

// Inspect implements Catalog.
func (c *Client) Inspect(ctx context.Context, in InspectRequest) (Offer, error) {
	return peers.Call[InspectRequest, Offer](ctx, c.peer, "inspect", in)
}

// Credentials implements Catalog.
func (c *Client) Credentials(ctx context.Context, in CredentialsRequest) (credentials.Carried, error) {
	return peers.Call[CredentialsRequest, credentials.Carried](ctx, c.peer, "credentials", in)
}

// Recent is an events.Source.
func (c *Client) Recent(ctx context.Context, in events.RecentRequest) ([]events.Event, error) {
	return peers.Call[events.RecentRequest, []events.Event](ctx, c.peer, "recent", in)
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
