package storage

import (
	"context"
	"strings"

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

const thenConversations = "conversations/" // what an export's place begins with after the files

// Export implements services.Keeper.
func (e *Everything) Export(ctx context.Context, in services.ExportRequest) (services.Part, error) {
	after, further := strings.CutPrefix(in.After, thenConversations)
	if !further {
		part, err := e.files.Export(ctx, in)
		if err == nil && part.Next == "" {
			part.Next = thenConversations
		}
		return part, err
	}
	in.After = after
	part, err := e.conversations.Export(ctx, in)
	if part.Next != "" {
		part.Next = thenConversations + part.Next
	}
	return part, err
}

// Erase implements services.Keeper.
func (e *Everything) Erase(ctx context.Context, who services.Person) error {
	if err := e.conversations.Erase(ctx, who); err != nil {
		return err
	}
	return e.files.Erase(ctx, who)
}
