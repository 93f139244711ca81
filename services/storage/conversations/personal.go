package conversations

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/postgres"
	"uaol/services"
)

type place struct {
	At time.Time
	ID uuid.UUID
}

// Export is a part of what services.Keeper hands out: a conversation at a time.
func (s *Service) Export(ctx context.Context, in services.ExportRequest) (services.Part, error) {
	return services.PartOf(in, "conversations", func(h services.Holding, after *place) ([]withMessages, error) {
		if after == nil {
			after = &place{}
		}
		of, err := s.repository.oldest(ctx, h, *after)
		if err != nil || len(of) == 0 {
			return nil, err
		}
		said, err := s.repository.after(ctx, of[0].ID, 0, of[0].LastSeq)
		return []withMessages{{Conversation: of[0], Said: said}}, err
	}, func(c withMessages) place { return place{c.CreatedAt.Time, c.ID} })
}

func (r *Repository) oldest(ctx context.Context, h services.Holding, after place) ([]Conversation, error) {
	return postgres.All[Conversation](ctx, r.pool, `
		SELECT `+columns+` FROM uaol_storage.conversations
		WHERE organization_id = $1 AND ($2::uuid IS NULL OR account_id = $2::uuid) AND (created_at, conversation_id) > ($3::timestamptz, $4::uuid)
		ORDER BY created_at, conversation_id LIMIT 1`, h.Organization, h.Maker, after.At, after.ID)
}

// Erase is a part of services.Keeper's: what somebody said goes wherever it was said,
// for it was nobody else's.
func (s *Service) Erase(ctx context.Context, who services.Person) error {
	return postgres.InTx(ctx, s.repository.pool, func(tx pgx.Tx) error {
		_, err := postgres.Exec(ctx, tx, `
			DELETE FROM uaol_storage.conversations WHERE account_id = $1 OR organization_id = ANY ($2::text[]::uuid[])`, who.Account, postgres.UUIDs(who.Organizations))
		return err
	})
}
