package storage

import (
	"context"

	"uaol/services"
	"uaol/services/storage/conversations"
)

// Everything is storage as a services.Keeper: files, then conversations.
type Everything struct {
	files         *Service
	conversations *conversations.Service
}

// NewEverything makes an Everything.
func NewEverything(files *Service, talks *conversations.Service) *Everything {
	return &Everything{files: files, conversations: talks}
}

// Export implements services.Keeper.
func (e *Everything) Export(ctx context.Context, in services.ExportRequest) (services.Part, error) {
	return services.Sections(ctx, in, e.files.Export, e.conversations.Export)
}

// Erase implements services.Keeper.
func (e *Everything) Erase(ctx context.Context, who services.Person) error {
	if err := e.conversations.Erase(ctx, who); err != nil {
		return err
	}
	return e.files.Erase(ctx, who)
}
