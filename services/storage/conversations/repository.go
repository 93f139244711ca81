package conversations

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
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

func (r *Repository) newest(ctx context.Context, conversation uuid.UUID, limit int) ([]Message, error) {
	return messagesOf(postgres.All[messageRow](ctx, r.pool, `
		SELECT `+messageColumns+` FROM (
			SELECT * FROM uaol_storage.messages WHERE conversation_id = $1 ORDER BY seq DESC LIMIT $2) m ORDER BY seq`, conversation, limit))
}

func (r *Repository) turn(ctx context.Context, conversation, turn uuid.UUID) ([]Message, error) {
	return messagesOf(postgres.All[messageRow](ctx, r.pool, `
		SELECT `+messageColumns+` FROM uaol_storage.messages WHERE conversation_id = $1 AND turn_id = $2 ORDER BY seq`, conversation, turn))
}

// add adds a turn, once. Who speaks at the same time waits for the conversation's row.
func (r *Repository) add(ctx context.Context, in AddRequest) error {
	roles, contents, details := make([]string, len(in.Messages)), make([]string, len(in.Messages)), make([]*string, len(in.Messages))
	for i, m := range in.Messages {
		roles[i], contents[i] = string(m.Role), m.Content
		if len(m.Details) > 0 {
			text := string(m.Details)
			details[i] = &text
		}
	}
	return postgres.InTx(ctx, r.pool, func(tx pgx.Tx) error {
		if _, err := postgres.Exec(ctx, tx, `
			INSERT INTO uaol_storage.conversations (conversation_id, organization_id, account_id, title) VALUES ($1, $2, $3, $4)
			ON CONFLICT (conversation_id) DO NOTHING`, in.Conversation, in.Caller.Organization, in.Caller.Account, in.Title); err != nil {
			return err
		}
		of, err := postgres.One[Conversation](ctx, tx, `SELECT `+columns+` FROM uaol_storage.conversations WHERE conversation_id = $1 FOR UPDATE`, in.Conversation)
		if err != nil {
			return err
		}
		if !of.belongsTo(in.Caller) {
			return errNone
		}
		said, err := postgres.Value[int64](ctx, tx, `SELECT count(*) FROM uaol_storage.messages WHERE conversation_id = $1 AND turn_id = $2`, in.Conversation, in.Turn)
		if err != nil || said > 0 {
			return err
		}
		if _, err := postgres.Exec(ctx, tx, `
			INSERT INTO uaol_storage.messages (conversation_id, seq, turn_id, role, content, details)
			SELECT $1, $2::integer + place, $3, role, content, details
			FROM unnest($4::text[], $5::text[], $6::text[]) WITH ORDINALITY AS m (role, content, details, place)`,
			in.Conversation, of.LastSeq, in.Turn, roles, contents, details); err != nil {
			return err
		}
		_, err = postgres.Exec(ctx, tx, `UPDATE uaol_storage.conversations SET last_seq = last_seq + $2, updated_at = now() WHERE conversation_id = $1`, in.Conversation, len(in.Messages))
		return err
	})
}
