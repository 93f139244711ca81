// Package credentials keeps what calls to tools carry: secrets that people give
// and tokens that a tool's authorization server gives, and puts them into the
// places that the tool's definition names. Secrets are written and never read out.
package credentials

import (
	"context"
	"time"

	"github.com/google/uuid"

	"uaol/providers/api"
	"uaol/services"
)

// Injection puts secrets into calls. Values are templates: {{secret.NAME}}
// stands for a secret of the tool.
type Injection struct {
	Headers   map[string]string `json:"headers,omitempty"`
	Arguments map[string]string `json:"arguments,omitempty"` // by name; a caller can't set these
	Env       map[string]string `json:"env,omitempty"`       // of a stdio tool's process
}

// OAuth is how tokens for a tool are got. The client's secret is the tool's
// secret oauth_client_secret, for a client that has one.
type OAuth struct {
	Grant        string   `json:"grant" enum:"client_credentials,authorization_code"`
	AuthorizeURL string   `json:"authorize_url,omitempty"`
	TokenURL     string   `json:"token_url"`
	ClientID     string   `json:"client_id"`
	Scopes       []string `json:"scopes,omitempty"`
	Resource     string   `json:"resource,omitempty"` // RFC 8707
}

// Tool is what this package has to know of a tool.
type Tool struct {
	ID           uuid.UUID
	Name         string
	Version      int64 // that the rest is of
	Organization uuid.UUID
	Developer    uuid.UUID
	GatewayURL   string
	Inject       Injection
	OAuth        *OAuth
}

// Needs reports whether calls carry something that has to be asked for.
func (t Tool) Needs() bool {
	return len(t.Inject.Headers)+len(t.Inject.Arguments)+len(t.Inject.Env) > 0 || t.OAuth != nil
}

// Carried is what calls carry. It is in memory only, and never logged.
type Carried struct {
	Headers   map[string]string `json:"headers,omitempty"`
	Arguments map[string]string `json:"arguments,omitempty"`
	Env       map[string]string `json:"env,omitempty"`
	// Identity tells callers' credentials apart without showing them: calls
	// with equal ones may share a session. Empty when the tool takes none.
	Identity  string    `json:"identity,omitempty"`
	ExpiresAt time.Time `json:"expiresAt,omitzero"` // keep it no longer
}

// CodeRequired tells of a secret or a consent that a tool needs first.
const CodeRequired = "CREDENTIALS_REQUIRED"

// Tools is what the registry tells this package.
type Tools interface {
	// Credentialed gives a tool as it is called now or, while it was never
	// approved, as it is proposed, if the caller may see it; kind NotFound else.
	Credentialed(ctx context.Context, caller services.Caller, id uuid.UUID) (Tool, error)
	// CredentialsChanged tells every process that what it knows of a tool's
	// credentials counts no more.
	CredentialsChanged(ctx context.Context, id uuid.UUID) error
}

// Service is the use cases.
type Service struct{}

// NewService makes a Service.
func NewService() *Service { return &Service{} }

// For gives what a caller's calls of a tool carry. The zero Caller stands for
// the platform itself, which has the tool's own secrets alone. Kind Invalid with
// CodeRequired when something was not given yet.
func (s *Service) For(_ context.Context, _ Tool, _ services.Caller) (Carried, error) {
	return Carried{}, services.Errorf(services.Unavailable, "not built yet")
}

// Handler is the package's part of the registry's routes.
type Handler struct{ service *Service }

// NewHandler makes a Handler.
func NewHandler(service *Service) *Handler { return &Handler{service: service} }

// Operations is the routes, as data.
func (h *Handler) Operations() []api.Operation { return nil }
