package conversations

import (
	"context"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/postgres"
	"uaol/services"
)

var (
	errAnswering = services.Errorf(services.Conflict, "A message of this conversation is being answered; wait for that")
	errOver      = services.Errorf(services.Conflict, "The answer took too long: its turn is another's by now")
)

// begin begins a turn. Who speaks at the same time waits for the conversation's row.
func (r *Repository) begin(ctx context.Context, in BeginRequest) (begun Begun, err error) {
	err = postgres.InTx(ctx, r.pool, func(tx pgx.Tx) error {
		begun = Begun{}
		if in.New {
			if _, err := postgres.Exec(ctx, tx, `
				INSERT INTO uaol_storage.conversations (conversation_id, organization_id, account_id, title) VALUES ($1, $2, $3, $4)
				ON CONFLICT (conversation_id) DO NOTHING`, in.Conversation, in.Caller.Organization, in.Caller.Account, in.Title); err != nil {
				return err
			}
		}
		of, err := r.held(ctx, tx, in.Caller, in.Conversation)
		if err != nil {
			return err
		}
		said, err := r.turn(ctx, tx, in.Conversation, in.Turn)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(said, func(m Message) bool { return m.Role != User })
		if at >= 0 {
			begun.Opening, begun.Answer = said[:at], said[at:]
			return nil
		}
		begun.Opening = said
		claim := uuid.New()
		claimed, err := postgres.Exec(ctx, tx, `
			UPDATE uaol_storage.conversations SET claim = $2, lease_until = now() + interval '1 minute'
			WHERE conversation_id = $1 AND (claim IS NULL OR lease_until < now())`, in.Conversation, claim)
		if err != nil {
			return err
		}
		if claimed == 0 {
			return errAnswering
		}
		begun.Claim, begun.Again = claim, len(said) > 0
		if !begun.Again {
			if err := r.append(ctx, tx, of, in.Turn, in.Messages); err != nil {
				return err
			}
		}
		begun.History, err = r.before(ctx, tx, in.Conversation, in.Turn, in.History)
		return err
	})
	return begun, err
}

// held is a conversation, for who is about to change it. Kind NotFound for another's too.
func (r *Repository) held(ctx context.Context, tx pgx.Tx, caller services.Caller, id uuid.UUID) (Conversation, error) {
	of, err := postgres.One[Conversation](ctx, tx, `SELECT `+columns+` FROM uaol_storage.conversations WHERE conversation_id = $1 FOR UPDATE`, id)
	if services.Is(err, services.NotFound) || (err == nil && !of.belongsTo(caller)) {
		return of, errNone
	}
	return of, err
}

// append adds messages at a conversation's end.
func (r *Repository) append(ctx context.Context, tx pgx.Tx, of Conversation, turn uuid.UUID, messages []Message) error {
	roles, contents, details := make([]string, len(messages)), make([]string, len(messages)), make([]*string, len(messages))
	for i, m := range messages {
		roles[i], contents[i] = string(m.Role), m.Content
		if len(m.Details) > 0 {
			text := string(m.Details)
			details[i] = &text
		}
	}
	if _, err := postgres.Exec(ctx, tx, `
		INSERT INTO uaol_storage.messages (conversation_id, seq, turn_id, role, content, details)
		SELECT $1, $2::integer + place, $3, role, content, details
		FROM unnest($4::text[], $5::text[], $6::text[]) WITH ORDINALITY AS m (role, content, details, place)`,
		of.ID, of.LastSeq, turn, roles, contents, details); err != nil {
		return err
	}
	_, err := postgres.Exec(ctx, tx, `UPDATE uaol_storage.conversations SET last_seq = last_seq + $2, updated_at = now() WHERE conversation_id = $1`, of.ID, len(messages))
	return err
}

func (r *Repository) renew(ctx context.Context, in Claim) error {
	n, err := postgres.Exec(ctx, r.pool, `
		UPDATE uaol_storage.conversations SET lease_until = now() + interval '1 minute' WHERE conversation_id = $1 AND claim = $2`, in.Conversation, in.Claim)
	if err == nil && n == 0 {
		err = errOver
	}
	return err
}

func (r *Repository) finish(ctx context.Context, in FinishRequest) error {
	return postgres.InTx(ctx, r.pool, func(tx pgx.Tx) error {
		of, err := r.held(ctx, tx, in.Caller, in.Conversation)
		if err != nil {
			return err
		}
		ended, err := postgres.Exec(ctx, tx, `
			UPDATE uaol_storage.conversations SET claim = NULL, lease_until = NULL WHERE conversation_id = $1 AND claim = $2`, in.Conversation, in.Claim.Claim)
		if err != nil {
			return err
		}
		if ended == 0 {
			return errOver
		}
		if len(in.Messages) == 0 {
			return r.undo(ctx, tx, of.ID, in.Turn)
		}
		return r.append(ctx, tx, of, in.Turn, in.Messages)
	})
}

// undo removes a turn that came to nothing, and the conversation with its only one.
func (r *Repository) undo(ctx context.Context, tx pgx.Tx, conversation, turn uuid.UUID) error {
	if _, err := postgres.Exec(ctx, tx, `DELETE FROM uaol_storage.messages WHERE conversation_id = $1 AND turn_id = $2`, conversation, turn); err != nil {
		return err
	}
	left, err := postgres.Exec(ctx, tx, `
		UPDATE uaol_storage.conversations SET last_seq = (SELECT max(seq) FROM uaol_storage.messages WHERE conversation_id = $1)
		WHERE conversation_id = $1 AND EXISTS (SELECT 1 FROM uaol_storage.messages WHERE conversation_id = $1)`, conversation)
	if err == nil && left == 0 {
		_, err = postgres.Exec(ctx, tx, `DELETE FROM uaol_storage.conversations WHERE conversation_id = $1`, conversation)
	}
	return err
}
