package registry

import (
	"context"

	"github.com/google/uuid"

	"uaol/providers/upstream"
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
	// Callable gives tools that a caller may call: those that are named, or those that a
	// text is most likely about. Kind NotFound for a name that is none of theirs.
	Callable(ctx context.Context, in CallableRequest) ([]Offer, error)
	// Visible gives the ids of the tools that a caller may call, by their slugs.
	Visible(ctx context.Context, in VisibleRequest) ([]uuid.UUID, error)
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

// Tool is a registered MCP server. What is said of how it is called is of the
// version in force or, when none is, of the newest one.
type Tool struct {
	ID               uuid.UUID        `json:"tool_id" db:"tool_id"`
	Slug             string           `json:"slug" db:"slug" doc:"unique short name, fixed when the tool was registered"`
	Name             string           `json:"name" db:"name"`
	Description      string           `json:"description" db:"description"`
	Tags             []string         `json:"tags" db:"tags"`
	DocumentationURL string           `json:"documentation_url" db:"documentation_url"`
	Visibility       Visibility       `json:"visibility" db:"visibility" enum:"public,organization,private"`
	GatewayURL       string           `json:"gateway_url" db:"gateway_url"`
	Price            int64            `json:"credit_cost_per_call" db:"credit_cost_per_call"`
	Prices           map[string]int64 `json:"method_costs" db:"method_costs" doc:"of single methods, instead of credit_cost_per_call"`
	Developer        uuid.UUID        `json:"developer_id" db:"developer_id"`
	Organization     uuid.UUID        `json:"-" db:"organization_id"`
	Protocol         string           `json:"protocol" db:"protocol" enum:"mcp,sse,stdio,json-rpc,rest"`
	Status           Status           `json:"status" db:"status"`
	Version          int64            `json:"version" db:"version" doc:"grows with every change of what is called"`
	PendingVersion   *int64           `json:"pending_version" db:"pending_version" doc:"the version that waits for a decision"`
	Health           Health           `json:"health" db:"-"`
	CreatedAt        services.Time    `json:"created_at" db:"created_at"`
	UpdatedAt        services.Time    `json:"updated_at" db:"updated_at"`

	revision int64 // of its owner's changes

	// What lists leave out.
	Details
}

// Details are shown of a single tool.
type Details struct {
	Methods  []Shown                `json:"methods,omitempty" db:"-" doc:"as they were pinned when the version was approved"`
	Inject   *credentials.Injection `json:"inject,omitempty" db:"-"`
	OAuth    *credentials.OAuth     `json:"oauth,omitempty" db:"-"`
	Limits   *Limits                `json:"limits,omitempty" db:"-"`
	Command  *upstream.Command      `json:"command,omitempty" db:"-" doc:"for its owner and admins alone"`
	Egress   []string               `json:"egress,omitempty" db:"-" doc:"for its owner and admins alone"`
	Proposed *Definition            `json:"pending,omitempty" db:"-" doc:"what waits for a decision; for its owner and admins alone"`
}

// Health is what the last look at a tool's server found.
type Health struct {
	Status    HealthStatus   `json:"status"`
	LatencyMS int64          `json:"latency_ms"`
	LastError string         `json:"last_error"`
	CheckedAt *services.Time `json:"checked_at"`
	Since     *services.Time `json:"since" doc:"when the status became what it is"`
}

// HealthStatus says whether a tool's server answers.
type HealthStatus string

// The statuses of a server.
const (
	Healthy   HealthStatus = "healthy"
	Unhealthy HealthStatus = "unhealthy"
	Unknown   HealthStatus = "unknown" // nobody could look yet
)

// VisibleTo reports whether a caller may know of the tool: whoever may find it,
// and platform admins.
func (t Tool) VisibleTo(caller services.Caller) bool {
	return caller.Admin() || t.Visibility.lets(caller, t.Organization, t.Developer)
}

// belongsTo reports whether a caller may change the tool: a private one is its
// maker's alone.
func (t Tool) belongsTo(caller services.Caller) bool {
	return caller.Owns(t.Organization) && (t.Visibility != Private || caller.Account == t.Developer)
}

// insider reports whether a caller is shown more of the tool than others are.
func (t Tool) insider(caller services.Caller) bool { return caller.Admin() || t.belongsTo(caller) }

var errNotFound = services.Errorf(services.NotFound, "Tool not found")
