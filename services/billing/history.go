package billing

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"uaol/providers/postgres"
	"uaol/services"
)

// Entry is one line of an account's history.
type Entry struct {
	Seq       int64           `json:"seq" db:"seq" doc:"counts the account's entries, without gaps"`
	Operation string          `json:"operationId" db:"operation_id"`
	Kind      Kind            `json:"kind" db:"kind"`
	Amount    int64           `json:"-" db:"amount"`
	Balance   int64           `json:"-" db:"balance"`
	Hold      *uuid.UUID      `json:"holdId" db:"hold_id"`
	Tool      *uuid.UUID      `json:"toolId" db:"tool_id"`
	Job       *uuid.UUID      `json:"jobId" db:"job_id"`
	Account   *uuid.UUID      `json:"accountId" db:"account_id"`
	Key       *uuid.UUID      `json:"keyId" db:"key_id"`
	Facts     json.RawMessage `json:"facts" db:"facts"`
	Sealed    bool            `json:"sealed" db:"sealed" doc:"whether the tamper-evident chain covers it yet"`
	CreatedAt services.Time   `json:"createdAt" db:"created_at"`
}

// HistoryFilter chooses entries; what is empty chooses all.
type HistoryFilter struct {
	Kind     Kind
	From, To time.Time
	Tool     uuid.UUID
	Job      uuid.UUID
	Account  uuid.UUID
	Key      uuid.UUID
	Before   int64 // entries with a smaller number; 0 for the newest
}

// History lists an account's entries, the newest first.
func (s *Service) History(ctx context.Context, caller services.Caller, f HistoryFilter, limit int) ([]Entry, error) {
	a, err := s.open(ctx, caller.Organization, holderOf(caller))
	if err != nil {
		return nil, err
	}
	if !seesAll(caller) {
		f.Account = caller.Account
	}
	f.From = s.reaches(a, f.From)
	return s.repository.history(ctx, caller.Organization, f, limit)
}

// seesAll reports whether somebody sees what others spend in the organisation, as
// those who decide about it do; others see what is their own.
func seesAll(caller services.Caller) bool { return caller.OrgRole.AtLeast(services.OrgAdmin) }

// reaches is from when a plan lets one look back.
func (s *Service) reaches(a account, from time.Time) time.Time {
	days := s.plans[a.Tier].HistoryDays
	if days == 0 {
		return from
	}
	if first := a.Now.AddDate(0, 0, -int(days)); from.Before(first) {
		return first
	}
	return from
}

func (r *Repository) history(ctx context.Context, organization uuid.UUID, f HistoryFilter, limit int) ([]Entry, error) {
	first, end, err := r.between(ctx, organization, f.From, f.To)
	if err != nil {
		return nil, err
	}
	if f.Before > 0 {
		end = min(end, f.Before)
	}
	return postgres.All[Entry](ctx, r.pool, `
		SELECT j.seq, j.operation_id, j.kind, j.amount, j.balance, j.hold_id, j.tool_id, j.job_id, s.account_id,
			nullif(s.key_id, '00000000-0000-0000-0000-000000000000') AS key_id, nullif(j.facts, '')::json AS facts, j.created_at,
			j.seq <= coalesce((SELECT max(last_seq) FROM uaol_billing.seal_ranges g WHERE g.organization_id = $1), 0) AS sealed
		FROM uaol_billing.journal j LEFT JOIN uaol_billing.spenders s ON s.spender_id = j.spender_id
		WHERE j.organization_id = $1 AND j.seq >= $2 AND j.seq < $3 AND j.amount > 0
			AND ($4 = '' OR j.kind = $4)
			AND ($5::uuid = '00000000-0000-0000-0000-000000000000' OR j.tool_id = $5::uuid)
			AND ($6::uuid = '00000000-0000-0000-0000-000000000000' OR j.job_id = $6::uuid)
			AND ($7::uuid = '00000000-0000-0000-0000-000000000000' OR s.account_id = $7::uuid)
			AND ($8::uuid = '00000000-0000-0000-0000-000000000000' OR s.key_id = $8::uuid)
		ORDER BY j.seq DESC LIMIT $9`,
		organization, first, end, f.Kind, f.Tool, f.Job, f.Account, f.Key, limit)
}

// between gives the numbers of an account's entries of some time: from first on,
// and before end. The entries are in the order of their times, so that a few
// looks find them, however many there are.
func (r *Repository) between(ctx context.Context, organization uuid.UUID, from, to time.Time) (first, end int64, err error) {
	first, end = 1, int64(1)<<62
	if !from.IsZero() {
		if first, err = r.seqAt(ctx, organization, from); err != nil {
			return first, end, err
		}
	}
	if !to.IsZero() {
		end, err = r.seqAt(ctx, organization, to)
	}
	return first, end, err
}

// seqAt is the number of an account's first entry at or after a moment.
func (r *Repository) seqAt(ctx context.Context, organization uuid.UUID, at time.Time) (int64, error) {
	seq, err := postgres.Value[int64](ctx, r.pool, `
		WITH RECURSIVE look (low, high) AS (
			SELECT 1::bigint, last_seq + 1 FROM uaol_billing.accounts WHERE organization_id = $1
			UNION ALL
			SELECT CASE WHEN j.created_at < $2 THEN j.seq + 1 ELSE l.low END, CASE WHEN j.created_at < $2 THEN l.high ELSE j.seq END
			FROM look l JOIN uaol_billing.journal j ON j.organization_id = $1 AND j.seq = (l.low + l.high) / 2
			WHERE l.low < l.high
		)
		SELECT low FROM look WHERE low >= high`, organization, at)
	if services.Is(err, services.NotFound) {
		return 1, nil
	}
	return seq, err
}
