package registry

import (
	"context"

	"github.com/google/uuid"

	"uaol/services"
	"uaol/services/registry/credentials"
)

// Catalog is what other services see of the registry.
type Catalog interface {
	// Tools gives those of the tools that exist, in any status, by id. Their
	// organisation stays in the registry.
	Tools(ctx context.Context, in ToolsRequest) ([]Tool, error)
	// Offers gives what can be called of those of the tools that are approved, by
	// id: the version in force with its methods. Who may call is for the caller
	// to ask of Offer.VisibleTo.
	Offers(ctx context.Context, in ToolsRequest) ([]Offer, error)
	// Inspect compares what a tool's server lists now with what is pinned, and
	// gives the offer with what was found. Kinds: NotFound, Conflict when the
	// version is not in force any more, and those of upstream.Client.List.
	Inspect(ctx context.Context, in InspectRequest) (Offer, error)
	// Credentials gives what a caller's calls of a tool carry. Kinds: NotFound,
	// Invalid with the code CREDENTIALS_REQUIRED when something that the tool
	// asks for was not given yet.
	Credentials(ctx context.Context, in CredentialsRequest) (credentials.Carried, error)
}

// ToolsRequest asks for tools by id.
type ToolsRequest struct {
	IDs []uuid.UUID `json:"ids"`
}

// Status is where a tool stands.
type Status string

// The statuses, in the contract's words.
const (
	Pending  Status = "Pending"
	Approved Status = "Approved"
	Rejected Status = "Rejected"
	Disabled Status = "Disabled"
)

// MaxPrice is the most credits that one call may cost.
const MaxPrice = 1_000_000_000

// Tool is a registered MCP server.
type Tool struct {
	ID           uuid.UUID     `json:"tool_id" db:"tool_id"`
	Slug         string        `json:"slug" db:"slug" doc:"unique short name, fixed when the tool was registered"`
	Name         string        `json:"name" db:"name"`
	GatewayURL   string        `json:"gateway_url" db:"gateway_url"`
	Price        int64         `json:"credit_cost_per_call" db:"credit_cost_per_call"`
	Developer    uuid.UUID     `json:"developer_id" db:"developer_id"`
	Organization uuid.UUID     `json:"-" db:"organization_id"`
	Protocol     string        `json:"protocol" db:"protocol" enum:"mcp,sse,json-rpc,rest"`
	Status       Status        `json:"status" db:"status"`
	Version      int64         `json:"version" db:"version" doc:"grows with every change of what is called"`
	CreatedAt    services.Time `json:"created_at" db:"created_at"`
	UpdatedAt    services.Time `json:"updated_at" db:"updated_at"`
}

// Callable returns the tool if calls may go to it; kind NotFound otherwise, in
// the same words whether it is unknown or only not approved.
func Callable(tools []Tool, id uuid.UUID) (Tool, error) {
	for _, t := range tools {
		if t.ID == id && t.Status == Approved {
			return t, nil
		}
	}
	return Tool{}, errNotFound
}

var errNotFound = services.Errorf(services.NotFound, "Tool not found")
