package storage

import (
	"context"

	"uaol/providers/peers"
	"uaol/services"
	"uaol/services/storage/conversations"
)

// ClientConfig is where storage runs, for processes that do not run it.
type ClientConfig struct {
	URL string `env:"UAOL_STORAGE_URL" want:"the storage service's URL such as http://host:3006" doc:"where storage runs, for a process that does not run it; several addresses separated by commas"`
}

// Client is a services.Keeper and a conversations.Book over HTTP.
type Client struct{ peer *peers.Peer }

// NewClient makes a Client; a Fault names the variable when no URL is set.
func NewClient(cfg ClientConfig, tokens *peers.Tokens) (*Client, error) {
	peer, err := peers.New(services.Storage, "UAOL_STORAGE_URL", cfg.URL, tokens)
	return &Client{peer: peer}, err
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

// Recall implements conversations.Book.
func (c *Client) Recall(ctx context.Context, in conversations.RecallRequest) (conversations.Recalled, error) {
	return peers.Call[conversations.RecallRequest, conversations.Recalled](ctx, c.peer, "recall", in)
}

// Add implements conversations.Book.
func (c *Client) Add(ctx context.Context, in conversations.AddRequest) error {
	_, err := peers.Call[conversations.AddRequest, struct{}](ctx, c.peer, "add", in)
	return err
}
