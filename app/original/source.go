package original

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"uaol/providers/postgres"
)

// source is the original's database, inside the transaction that reads it. Its
// tables are in public, where its migrations put them. Columns that came later than
// the first schema are read by way of JSON: an older database lacks them.
type source struct{ tx pgx.Tx }

const (
	dialling = 10 * time.Second
	leaving  = 5 * time.Second
)

// read opens the source and runs f in a transaction that can't write: the server
// refuses that. Statements have no names, so that a pooler may be in between.
func read(ctx context.Context, url string, f func(*source) error) error {
	cfg, err := pgx.ParseConfig(url)
	if err != nil { // pgx leaves the password out
		return fmt.Errorf("--from: %s", postgres.Cause(err))
	}
	cfg.DefaultQueryExecMode = pgx.QueryExecModeExec
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = dialling
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return fmt.Errorf("--from: no connection to %s, database %s: %s", cfg.Host, cfg.Database, postgres.Cause(err))
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaving)
		defer cancel()
		_ = conn.Close(ctx) // nothing was written
	}()
	return pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		// Rows are read while others are written, which may take as long as it likes.
		if _, err := tx.Exec(ctx, `SET LOCAL statement_timeout = 0`); err != nil {
			return unread(err)
		}
		s := &source{tx: tx}
		var missing []string
		for _, table := range []string{"users", "mcp_tools", "processing_jobs"} {
			there, err := s.has(ctx, table)
			if err != nil {
				return err
			}
			if !there {
				missing = append(missing, "public."+table)
			}
		}
		if len(missing) > 0 {
			return fmt.Errorf("--from: there is no %s in the database %s: it is not the original's, or this role may not see it", strings.Join(missing, ", "), cfg.Database)
		}
		return f(s)
	})
}

func unread(err error) error {
	return errors.New("the source could not be read: " + postgres.Cause(err))
}

// has reports whether the source has a table.
func (s *source) has(ctx context.Context, table string) (there bool, err error) {
	err = s.tx.QueryRow(ctx, `
		SELECT EXISTS (SELECT 1 FROM information_schema.tables WHERE table_schema = 'public' AND table_name = $1::text)`, table).Scan(&there)
	if err != nil {
		err = unread(err)
	}
	return there, err
}

type userRow struct {
	ID        string             `db:"id"`
	Email     *string            `db:"email"`
	Credits   *int64             `db:"credits"`
	Tier      *string            `db:"tier"`
	Key       *string            `db:"api_key"`
	Guest     bool               `db:"guest"`
	CreatedAt pgtype.Timestamptz `db:"created_at"`
}

// users gives the oldest first: of two with one address the first one keeps it.
func (s *source) users(ctx context.Context, f func(userRow) error) error {
	return each(ctx, s.tx, f, `
		SELECT u.user_id::text AS id, u.email, u.current_credits::bigint AS credits, u.subscription_tier AS tier, u.api_key, u.created_at,
			coalesce((to_jsonb(u)->>'is_guest')::boolean, false) AS guest
		FROM public.users u ORDER BY u.created_at, u.user_id`)
}

type toolRow struct {
	ID         string             `db:"id"`
	Developer  *string            `db:"developer"`
	OfGuest    *bool              `db:"of_guest"` // null: there is no such user
	Name       string             `db:"name"`
	GatewayURL string             `db:"gateway_url"`
	Protocol   string             `db:"protocol"`
	Price      int64              `db:"price"`
	Status     string             `db:"status"`
	CreatedAt  pgtype.Timestamptz `db:"created_at"`
}

func (s *source) tools(ctx context.Context, f func(toolRow) error) error {
	return each(ctx, s.tx, f, `
		SELECT t.tool_id::text AS id, t.developer_id::text AS developer, coalesce(left(t.name, 1000), '') AS name,
			coalesce(left(t.gateway_url, 10000), '') AS gateway_url, coalesce(to_jsonb(t)->>'protocol', '') AS protocol,
			coalesce(t.credit_cost_per_call, 1)::bigint AS price, coalesce(t.status, '') AS status, t.created_at,
			CASE WHEN u.user_id IS NOT NULL THEN coalesce((to_jsonb(u)->>'is_guest')::boolean, false) END AS of_guest
		FROM public.mcp_tools t LEFT JOIN public.users u ON u.user_id = t.developer_id ORDER BY t.created_at, t.tool_id`)
}

type jobRow struct {
	ID              string             `db:"id"`
	User            *string            `db:"account"`
	OfGuest         *bool              `db:"of_guest"` // null: there is no such user
	Status          string             `db:"status"`
	Definition      *string            `db:"definition"` // null when it is too large
	DefinitionBytes int64              `db:"definition_bytes"`
	Output          *string            `db:"output"` // null when there is none or it is too large
	OutputBytes     int64              `db:"output_bytes"`
	Error           *string            `db:"error_message"`
	Retries         int                `db:"retry_count"`
	StartTime       pgtype.Timestamptz `db:"start_time"`
	EndTime         pgtype.Timestamptz `db:"end_time"`
	CreatedAt       pgtype.Timestamptz `db:"created_at"`
	UpdatedAt       pgtype.Timestamptz `db:"updated_at"`
}

// jobs gives jobs in the order of their ids. What is larger than most bytes never
// leaves the source.
func (s *source) jobs(ctx context.Context, most int64, f func(jobRow) error) error {
	return each(ctx, s.tx, f, `
		SELECT x.id, x.account, x.of_guest, x.status, x.definition_bytes, x.output_bytes,
			CASE WHEN x.definition_bytes <= $1::bigint THEN x.workflow_definition::text END AS definition,
			CASE WHEN x.output_bytes <= $1::bigint THEN x.final_output::text END AS output,
			left(x.error_message, 10000) AS error_message, x.retry_count, x.start_time, x.end_time, x.created_at, x.updated_at
		FROM (
			SELECT j.job_id, j.job_id::text AS id, j.user_id::text AS account, coalesce(j.status, '') AS status,
				j.workflow_definition, coalesce(octet_length(j.workflow_definition::text), 0)::bigint AS definition_bytes,
				j.final_output, coalesce(octet_length(j.final_output::text), 0)::bigint AS output_bytes,
				j.error_message, coalesce(j.retry_count, 0)::bigint AS retry_count, j.start_time, j.end_time, j.created_at, j.updated_at,
				CASE WHEN u.user_id IS NOT NULL THEN coalesce((to_jsonb(u)->>'is_guest')::boolean, false) END AS of_guest
			FROM public.processing_jobs j LEFT JOIN public.users u ON u.user_id = j.user_id) x
		ORDER BY x.job_id`, most)
}

func (s *source) providerKeys(ctx context.Context) (int64, error) {
	return counted(ctx, s.tx, `SELECT count(*) FROM public.user_api_keys`)
}

func (s *source) oauthTokens(ctx context.Context) (int64, error) {
	return counted(ctx, s.tx, `SELECT count(*) FROM public.user_oauth_tokens`)
}

func counted(ctx context.Context, tx pgx.Tx, sql string) (n int64, err error) {
	if err = tx.QueryRow(ctx, sql).Scan(&n); err != nil {
		err = unread(err)
	}
	return n, err
}

// each hands rows on one by one as they come, so that a table is never in memory. What
// f says of its own is passed on as it is.
func each[T any](ctx context.Context, tx pgx.Tx, f func(T) error, sql string, args ...any) error {
	var own error
	err := postgres.Each(ctx, tx, func(row T) error {
		own = f(row)
		return own
	}, sql, args...)
	if err != nil && own == nil && ctx.Err() == nil {
		err = unread(err)
	}
	return err
}
