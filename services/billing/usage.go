package billing

import (
	"context"
	"time"

	"github.com/google/uuid"

	"uaol/providers/postgres"
	"uaol/services"
)

// Grouping says by what usage is added up.
type Grouping string

// The groupings.
const (
	ByDay    Grouping = "day"
	ByTool   Grouping = "tool"
	ByJob    Grouping = "job"
	ByMember Grouping = "member"
	ByKey    Grouping = "key"
)

// Usage is what was spent on one day, tool, job, by one member or with one key.
type Usage struct {
	Key     string `json:"key" db:"key" doc:"the day, or the id of the tool, job, member or key; empty for what has none"`
	Credits int64  `json:"-" db:"credits"`
	Charges int64  `json:"charges" db:"charges"`
}

// UsageFilter says what is added up; the zero times are the last 30 days.
type UsageFilter struct {
	By       Grouping
	From, To time.Time
	Account  uuid.UUID // of this member alone
	After    UsageKey  // where the page before ended
}

// UsageKey is a place in a list of usage: days by their order, all else by what
// was spent, the most first.
type UsageKey struct {
	Credits int64
	Key     string
	There   bool
}

const usageDays = 30

// Usage adds up what was charged and not given back.
func (s *Service) Usage(ctx context.Context, caller services.Caller, f UsageFilter, limit int) ([]Usage, error) {
	a, err := s.open(ctx, caller.Organization, holderOf(caller))
	if err != nil {
		return nil, err
	}
	if !seesAll(caller) {
		f.Account = caller.Account
	}
	if f.From.IsZero() {
		f.From = a.Now.AddDate(0, 0, -usageDays)
	}
	f.From = s.reaches(a, f.From)
	return s.repository.usage(ctx, caller.Organization, f, limit)
}

func (r *Repository) usage(ctx context.Context, organization uuid.UUID, f UsageFilter, limit int) ([]Usage, error) {
	first, end, err := r.between(ctx, organization, f.From, f.To)
	if err != nil {
		return nil, err
	}
	return postgres.All[Usage](ctx, r.pool, `
		SELECT key, credits, charges FROM (
			SELECT coalesce(CASE $2
					WHEN 'day' THEN (j.created_at AT TIME ZONE 'UTC')::date::text
					WHEN 'tool' THEN j.tool_id::text
					WHEN 'job' THEN j.job_id::text
					WHEN 'member' THEN s.account_id::text
					ELSE nullif(s.key_id, '00000000-0000-0000-0000-000000000000')::text END, '') AS key,
				sum(CASE j.kind WHEN 'refund' THEN -j.amount ELSE j.amount END)::bigint AS credits,
				count(*) FILTER (WHERE j.kind <> 'refund') AS charges
			FROM uaol_billing.journal j LEFT JOIN uaol_billing.spenders s ON s.spender_id = j.spender_id
			WHERE j.organization_id = $1 AND j.seq >= $3 AND j.seq < $4 AND j.kind IN ('settle', 'deduct', 'refund')
				AND ($9::uuid = '00000000-0000-0000-0000-000000000000' OR s.account_id = $9::uuid)
			GROUP BY 1) u
		WHERE NOT $5 OR CASE WHEN $2 = 'day' THEN u.key > $7 ELSE u.credits < $6 OR (u.credits = $6 AND u.key > $7) END
		ORDER BY CASE WHEN $2 = 'day' THEN 0 ELSE -u.credits END, u.key LIMIT $8`,
		organization, f.By, first, end, f.After.There, f.After.Credits, f.After.Key, limit, f.Account)
}
