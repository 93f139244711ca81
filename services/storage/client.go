package storage

import (
	"context"

	"uaol/providers/peers"
	"uaol/services"
	"uaol/services/storage/conversations"
	"uaol/services/storage/library"
)

// ClientConfig is where storage runs, for processes that do not run it.
type ClientConfig struct {
	URL string `env:"UAOL_STORAGE_URL" want:"the storage service's URL such as http://host:3006" doc:"where storage runs, for a process that does not run it; several addresses separated by commas"`
}

// Client is a services.Keeper, a conversations.Book and a library.Library over HTTP.
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

// Begin implements conversations.Book.
func (c *Client) Begin(ctx context.Context, in conversations.BeginRequest) (conversations.Begun, error) {
	return peers.Call[conversations.BeginRequest, conversations.Begun](ctx, c.peer, "begin", in)
}

// Renew implements conversations.Book.
func (c *Client) Renew(ctx context.Context, in conversations.Claim) error {
	_, err := peers.Call[conversations.Claim, struct{}](ctx, c.peer, "renew", in)
	return err
}

// Finish implements conversations.Book.
func (c *Client) Finish(ctx context.Context, in conversations.FinishRequest) error {
	_, err := peers.Call[conversations.FinishRequest, struct{}](ctx, c.peer, "finish", in)
	return err
}

// Consult implements library.Library.
func (c *Client) Consult(ctx context.Context, in library.ConsultRequest) (library.Consulted, error) {
	return peers.Call[library.ConsultRequest, library.Consulted](ctx, c.peer, "consult", in)
}
