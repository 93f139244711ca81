package conversations

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"uaol/providers/postgres"
	"uaol/services"
)

// Repository is the SQL of conversations.
type Repository struct{ pool *pgxpool.Pool }

// NewRepository makes a Repository.
func NewRepository(pool *pgxpool.Pool) *Repository { return &Repository{pool: pool} }

const columns = `conversation_id, account_id, organization_id, title, last_seq, created_at, updated_at`

func (r *Repository) byID(ctx context.Context, id uuid.UUID) (Conversation, error) {
	return postgres.One[Conversation](ctx, r.pool, `SELECT `+columns+` FROM uaol_storage.conversations WHERE conversation_id = $1`, id)
}

// recent lists an account's conversations in an organisation, the one that was spoken
// in last first, before the given one.
func (r *Repository) recent(ctx context.Context, account, organization uuid.UUID, before time.Time, beforeID uuid.UUID, limit int) ([]Conversation, error) {
	return postgres.All[Conversation](ctx, r.pool, `
		SELECT `+columns+` FROM uaol_storage.conversations
		WHERE account_id = $1 AND organization_id = $2 AND (updated_at, conversation_id) < ($3::timestamptz, $4::uuid)
		ORDER BY updated_at DESC, conversation_id DESC LIMIT $5`, account, organization, before, beforeID, limit)
}

func (r *Repository) rename(ctx context.Context, id uuid.UUID, title string) (Conversation, error) {
	return postgres.One[Conversation](ctx, r.pool, `
		UPDATE uaol_storage.conversations SET title = $2 WHERE conversation_id = $1 RETURNING `+columns, id, title)
}

func (r *Repository) delete(ctx context.Context, id uuid.UUID) error {
	_, err := postgres.Exec(ctx, r.pool, `DELETE FROM uaol_storage.conversations WHERE conversation_id = $1`, id)
	return err
}

// messageRow is a message as it is stored.
type messageRow struct {
	Seq       int           `db:"seq"`
	Turn      uuid.UUID     `db:"turn_id"`
	Role      Role          `db:"role"`
	Content   string        `db:"content"`
	Details   *string       `db:"details"`
	CreatedAt services.Time `db:"created_at"`
}

func messagesOf(rows []messageRow, err error) ([]Message, error) {
	all := make([]Message, len(rows))
	for i, row := range rows {
		all[i] = Message{row.Seq, row.Turn, row.Role, row.Content, nil, row.CreatedAt}
		if row.Details != nil {
			all[i].Details = json.RawMessage(*row.Details)
		}
	}
	return all, err
}

const messageColumns = `seq, turn_id, role, content, details, created_at`

// after lists messages in the order in which they were said.
func (r *Repository) after(ctx context.Context, conversation uuid.UUID, seq, limit int) ([]Message, error) {
	return messagesOf(postgres.All[messageRow](ctx, r.pool, `
		SELECT `+messageColumns+` FROM uaol_storage.messages WHERE conversation_id = $1 AND seq > $2 ORDER BY seq LIMIT $3`, conversation, seq, limit))
}

// before gives the newest messages that are no part of a turn, oldest first.
func (r *Repository) before(ctx context.Context, q postgres.Querier, conversation, turn uuid.UUID, limit int) ([]Message, error) {
	return messagesOf(postgres.All[messageRow](ctx, q, `
		SELECT `+messageColumns+` FROM (
			SELECT * FROM uaol_storage.messages WHERE conversation_id = $1 AND turn_id <> $2 ORDER BY seq DESC LIMIT $3) m ORDER BY seq`, conversation, turn, limit))
}

func (r *Repository) turn(ctx context.Context, q postgres.Querier, conversation, turn uuid.UUID) ([]Message, error) {
	return messagesOf(postgres.All[messageRow](ctx, q, `
		SELECT `+messageColumns+` FROM uaol_storage.messages WHERE conversation_id = $1 AND turn_id = $2 ORDER BY seq`, conversation, turn))
}
