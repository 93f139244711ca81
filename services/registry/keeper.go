package registry

import (
	"context"
	"strings"

	"uaol/services"
	"uaol/services/registry/credentials"
)

// everything is the registry as a keeper of people's things: tools, and what
// calls of tools carry.
type everything struct {
	tools       *Service
	credentials *credentials.Service // nil: none are kept
}

// thenCredentials begins the place where an export goes on after the tools.
const thenCredentials = "credentials:"

// Export implements services.Keeper.
func (e everything) Export(ctx context.Context, in services.ExportRequest) (services.Part, error) {
	after, further := strings.CutPrefix(in.After, thenCredentials)
	if !further || e.credentials == nil {
		part, err := e.tools.Export(ctx, in)
		if err == nil && part.Next == "" && e.credentials != nil {
			part.Next = thenCredentials
		}
		return part, err
	}
	in.After = after
	part, err := e.credentials.Export(ctx, in)
	if part.Next != "" {
		part.Next = thenCredentials + part.Next
	}
	return part, err
}

// Erase implements services.Keeper. Credentials go first, while it is known
// whose the tools are.
func (e everything) Erase(ctx context.Context, who services.Person) error {
	if e.credentials != nil {
		if err := e.credentials.Erase(ctx, who); err != nil {
			return err
		}
	}
	return e.tools.Erase(ctx, who)
}
