package billing

import (
	"context"
	"strconv"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/postgres"
	"uaol/services"
)

// Scope is whose spending a cap bounds.
type Scope string

// The scopes.
const (
	ScopeOrganization Scope = "organization"
	ScopeMember       Scope = "member"
	ScopeKey          Scope = "key"
)

// Period is how long a cap counts, by the calendar of UTC.
type Period string

// The periods.
const (
	PeriodDay   Period = "day"
	PeriodMonth Period = "month"
)

// CapID names one cap of an organisation.
type CapID struct {
	Scope   Scope     `json:"scope" db:"scope"`
	Subject uuid.UUID `json:"subjectId" db:"subject_id" doc:"the organisation, the account or the key"`
	Period  Period    `json:"period" db:"period"`
}

// Cap is how many credits may be spent in a period. What is held counts as
// spent until it is released.
type Cap struct {
	CapID
	Amount      int64         `json:"amount" db:"amount"`
	Spent       int64         `json:"spent" db:"spent" doc:"in this period; what is held counts"`
	PeriodStart services.Time `json:"periodStart" db:"period_start"`
}

// SetCap sets a cap of the caller's organisation. What was spent in the period
// so far counts.
func (s *Service) SetCap(ctx context.Context, caller services.Caller, id CapID, amount int64) (Cap, error) {
	id, err := id.of(caller, "body.subjectId")
	if err != nil {
		return Cap{}, err
	}
	if _, err := s.Balance(ctx, BalanceRequest{Caller: caller}); err != nil { // opens the account
		return Cap{}, err
	}
	id.note(ctx)
	services.Note(ctx, "amount", strconv.FormatInt(amount, 10))
	return s.repository.setCap(ctx, caller.Organization, id, amount)
}

// Caps lists the caps of the caller's organisation after the given one.
func (s *Service) Caps(ctx context.Context, caller services.Caller, after CapID, limit int) ([]Cap, error) {
	return s.repository.caps(ctx, caller.Organization, after, limit)
}

// RemoveCap ends a cap of the caller's organisation; kind NotFound when there is none.
func (s *Service) RemoveCap(ctx context.Context, caller services.Caller, id CapID) error {
	id, err := id.of(caller, "query.subjectId")
	if err != nil {
		return err
	}
	id.note(ctx)
	removed, err := s.repository.removeCap(ctx, caller.Organization, id)
	if err == nil && !removed {
		err = services.Errorf(services.NotFound, "There is no such cap")
	}
	return err
}

// of completes an id: an organisation caps no organisation but itself. path is
// where its subject stood.
func (id CapID) of(caller services.Caller, path string) (CapID, error) {
	switch {
	case id.Scope != ScopeOrganization && id.Subject == uuid.Nil:
		return id, services.Faults(services.Fault{Path: path, Message: "must name the account or the key"})
	case id.Scope == ScopeOrganization && id.Subject != uuid.Nil && id.Subject != caller.Organization:
		return id, services.Faults(services.Fault{Path: path, Message: "is not the organisation that this request is for"})
	case id.Scope == ScopeOrganization:
		id.Subject = caller.Organization
	}
	return id, nil
}

func (id CapID) note(ctx context.Context) {
	services.Note(ctx, "scope", string(id.Scope))
	services.Note(ctx, "subject", id.Subject.String())
	services.Note(ctx, "period", string(id.Period))
}

// refusal says which cap stands in the way.
func (c Cap) refusal(needed int64) error {
	whose := map[Scope]string{
		ScopeOrganization: "The organisation's", ScopeMember: "This member's", ScopeKey: "This API key's",
	}[c.Scope]
	return services.Errorf(services.Insufficient, "%s spend cap of %d credits a %s is reached. Required: %d, Spent: %d",
		whose, c.Amount, c.Period, needed, c.Spent).WithCode("SPEND_CAP_EXCEEDED").WithDetails(c)
}

// capsSeen goes into the statement that moves credits back. It waits for the
// account's row, and a cap that was set meanwhile is newer than what the
// statement sees: then it violates accounts_caps_seen and is run again.
const capsSeen = `caps_set = CASE WHEN a.caps_set = (
	SELECT s.caps_set FROM uaol_billing.accounts s WHERE s.organization_id = a.organization_id) THEN a.caps_set ELSE -1 END`

// seeing runs a statement with capsSeen until no cap was set while it waited.
func seeing(f func() error) error {
	for {
		if err := f(); !postgres.Violates(err, "accounts_caps_seen") {
			return err
		}
	}
}

// capPeriod is the first day of the period of cap c in which x happened.
const capPeriod = `date_trunc(c.period, x.at AT TIME ZONE 'UTC')::date`

// capApplies says that cap c is one of those that bound x.
const capApplies = `c.organization_id = x.organization_id AND c.subject_id = ANY (ARRAY[x.organization_id, x.account_id, x.key_id])
	AND c.subject_id = CASE c.scope WHEN 'member' THEN x.account_id WHEN 'key' THEN x.key_id ELSE x.organization_id END`

// setCap locks the account first, as holds and releases do: what it adds up is
// complete, and who waited for it runs again.
func (r *Repository) setCap(ctx context.Context, organization uuid.UUID, id CapID, amount int64) (set Cap, err error) {
	err = postgres.InTx(ctx, r.pool, func(tx pgx.Tx) error {
		if _, err := postgres.Exec(ctx, tx, `
			UPDATE uaol_billing.accounts SET caps_set = caps_set + 1 WHERE organization_id = $1`, organization); err != nil {
			return err
		}
		set, err = postgres.One[Cap](ctx, tx, `
			INSERT INTO uaol_billing.caps AS c (organization_id, scope, subject_id, period, period_start, amount, ceiling, spent)
			SELECT $1, $2, $3, $4, p.start, $5, greatest($5, t.spent), t.spent
			FROM (SELECT date_trunc($4::text, clock_timestamp() AT TIME ZONE 'UTC')::date AS start) p
			CROSS JOIN LATERAL (
				SELECT coalesce(sum(CASE WHEN h.state = 'open' THEN h.amount ELSE h.settled END), 0)::bigint AS spent
				FROM uaol_billing.holds h LEFT JOIN uaol_billing.spenders s ON s.spender_id = h.spender_id
				WHERE h.organization_id = $1 AND h.created_at >= p.start::timestamp AT TIME ZONE 'UTC'
					AND CASE $2::text WHEN 'member' THEN s.account_id WHEN 'key' THEN s.key_id ELSE h.organization_id END = $3
			) t
			ON CONFLICT (organization_id, subject_id, scope, period) DO UPDATE
			SET period_start = excluded.period_start, amount = excluded.amount, ceiling = excluded.ceiling, spent = excluded.spent
			RETURNING c.scope, c.subject_id, c.period, c.amount, c.spent, c.period_start`,
			organization, id.Scope, id.Subject, id.Period, amount)
		return err
	})
	return set, err
}

func (r *Repository) removeCap(ctx context.Context, organization uuid.UUID, id CapID) (bool, error) {
	n, err := postgres.Exec(ctx, r.pool, `
		DELETE FROM uaol_billing.caps WHERE organization_id = $1 AND scope = $2 AND subject_id = $3 AND period = $4`,
		organization, id.Scope, id.Subject, id.Period)
	return n == 1, err
}

// capColumns show a cap as it is now: nothing is spent in a new period.
const capColumns = `c.scope, c.subject_id, c.period, c.amount, greatest(c.period_start, ` + capPeriod + `) AS period_start,
	CASE WHEN c.period_start < ` + capPeriod + ` THEN 0 ELSE c.spent END AS spent`

// caps lists an organisation's caps after the given one.
func (r *Repository) caps(ctx context.Context, organization uuid.UUID, after CapID, limit int) ([]Cap, error) {
	return postgres.All[Cap](ctx, r.pool, `
		SELECT `+capColumns+` FROM uaol_billing.caps c CROSS JOIN (SELECT now() AS at) x
		WHERE c.organization_id = $1 AND (c.subject_id, c.scope, c.period) > ($2::uuid, $3, $4)
		ORDER BY c.subject_id, c.scope, c.period LIMIT $5`, organization, after.Subject, after.Scope, after.Period, limit)
}

// reached gives the caps that leave no room for a hold.
func (r *Repository) reached(ctx context.Context, in HoldRequest) ([]Cap, error) {
	return postgres.All[Cap](ctx, r.pool, `
		SELECT `+capColumns+` FROM uaol_billing.caps c
		CROSS JOIN (SELECT $1::uuid AS organization_id, $2::uuid AS account_id, $3::uuid AS key_id, now() AS at) x
		WHERE `+capApplies+` AND $4::bigint > CASE WHEN c.period_start < `+capPeriod+` THEN c.amount ELSE c.ceiling - c.spent END
		ORDER BY c.scope, c.period`, in.Caller.Organization, in.Caller.Account, in.Caller.Key, in.Amount)
}
