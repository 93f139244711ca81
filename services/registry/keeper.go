package registry

import (
	"context"

	"uaol/services"
	"uaol/services/registry/credentials"
)

// everything is the registry as a keeper of people's things: tools, and what
// calls of tools carry.
type everything struct {
	tools       *Service
	credentials *credentials.Service // nil: none are kept
}

// Export implements services.Keeper.
func (e everything) Export(ctx context.Context, in services.ExportRequest) (services.Part, error) {
	if e.credentials == nil {
		return e.tools.Export(ctx, in)
	}
	return services.Sections(ctx, in, e.tools.Export, e.credentials.Export)
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
