package billing

import (
	"context"
	"encoding/json"
	"strconv"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/postgres"
	"uaol/services"
	"uaol/services/billing/chain"
)

// Correction is a change of somebody's credits by an admin or by a service. Who
// made it stands in the audit log.
type Correction struct {
	Organization uuid.UUID `json:"organization"`     // whose credits they are
	Operation    uuid.UUID `json:"operation"`        // repeated, it counts once
	Amount       int64     `json:"amount"`           // credits, at least one
	Job          uuid.UUID `json:"job,omitzero"`     // that it is about; a refund's may be a direct call
	Reason       string    `json:"reason,omitempty"` // for the books
	Tier         Tier      `json:"tier,omitempty"`   // of SetTier alone
}

// AccountDirectory is what billing has to ask auth.
type AccountDirectory interface {
	// Home gives an account's own organisation; kind NotFound without one.
	Home(ctx context.Context, in HomeRequest) (Home, error)
}

// HomeRequest names an account.
type HomeRequest struct {
	Account uuid.UUID `json:"account"`
}

// Home is the organisation that is an account's own.
type Home struct {
	Organization uuid.UUID `json:"organization"`
	Guest        bool      `json:"guest"`
}

// Grant gives credits that stay until they are spent.
func (s *Service) Grant(ctx context.Context, c Correction) (Balance, error) {
	return s.correct(ctx, c, chain.Grant, nil)
}

// Deduct takes credits as though they had been spent; kind Insufficient when
// there are fewer.
func (s *Service) Deduct(ctx context.Context, c Correction) (Balance, error) {
	return s.correct(ctx, c, chain.Deduct, nil)
}

// Refund gives back what was charged: of the job, if one is named, else of all
// that the account has ever paid. Kind Conflict when that was less.
func (s *Service) Refund(ctx context.Context, c Correction) (Balance, error) {
	return s.correct(ctx, c, chain.Refund, func(tx pgx.Tx, a account) error {
		charged := a.Revenue
		if c.Job != uuid.Nil {
			var err error
			if charged, err = chargedFor(ctx, tx, c.Organization, c.Job); err != nil {
				return err
			}
			charged = min(charged, a.Revenue) // the rest was given back without naming the job
		}
		if c.Amount > charged {
			return services.Errorf(services.Conflict, "Only what was charged can be refunded: %d credits", charged)
		}
		return nil
	})
}

// chargedFor is what a job, or a direct call, has cost so far, less what was given
// back.
func chargedFor(ctx context.Context, tx pgx.Tx, organization, job uuid.UUID) (int64, error) {
	return postgres.Value[int64](ctx, tx, `
		SELECT coalesce(sum(CASE c.kind WHEN 'refund' THEN -c.amount ELSE c.amount END), 0)::bigint FROM (
			SELECT kind, amount FROM uaol_billing.journal
			WHERE organization_id = $1 AND job_id = $2 AND kind IN ('settle', 'deduct', 'refund')
			UNION ALL
			SELECT kind, amount FROM uaol_billing.journal
			WHERE organization_id = $1 AND operation_id = $2::uuid::text AND kind = 'settle' AND job_id IS NULL) c`, organization, job)
}

// correct makes one entry under the account's lock, once; allowed looks at the
// account as it then is.
func (s *Service) correct(ctx context.Context, c Correction, kind Kind, allowed func(pgx.Tx, account) error) (Balance, error) {
	if c.Amount <= 0 || c.Amount > mostCredits {
		return Balance{}, services.Errorf(services.Invalid, "Valid amount is required")
	}
	if _, err := s.open(ctx, c.Organization, ""); err != nil {
		return Balance{}, err
	}
	operation := c.Operation.String()
	err := postgres.InTx(ctx, s.repository.pool, func(tx pgx.Tx) error {
		a, err := locked(ctx, tx, c.Organization)
		if err != nil {
			return err
		}
		switch amount, err := posted(ctx, tx, c.Organization, operation, kind); {
		case err == nil && amount != c.Amount:
			return services.Errorf(services.Conflict, "This operationId was used for another amount")
		case err == nil || !services.Is(err, services.NotFound):
			return err
		}
		if a.Closed {
			return services.Errorf(services.Conflict, "The account has ended")
		}
		if allowed != nil {
			if err := allowed(tx, a); err != nil {
				return err
			}
		}
		made, err := post(ctx, tx, posting{Organization: c.Organization, Operation: operation, Kind: kind, Amount: c.Amount, Job: c.Job, Facts: reasonFact(c.Reason)})
		if err == nil && !made {
			err = services.Errorf(services.Insufficient, "Insufficient credits. Required: %d, Available: %d", c.Amount, a.Available)
		}
		if err != nil || kind == chain.Deduct {
			return err
		}
		return payDebt(ctx, tx, c.Organization, operation)
	})
	if err != nil {
		return Balance{}, err
	}
	services.Note(ctx, "organization", c.Organization.String())
	services.Note(ctx, "operation", operation)
	services.Note(ctx, "amount", strconv.FormatInt(c.Amount, 10))
	a, err := s.repository.account(ctx, c.Organization)
	return a.balance(), err
}

func reasonFact(reason string) string {
	if reason == "" {
		return ""
	}
	text, _ := json.Marshal(map[string]string{"reason": reason})
	return string(text)
}

// SetTier gives an account a tier that nobody pays for; it ends a subscription's
// say. What was used of this month counts against the new plan's credits, and what
// members moved here this month stays. Kind Conflict for guests, and when the
// operation was another tier's.
func (s *Service) SetTier(ctx context.Context, c Correction) (Balance, error) {
	if _, known := s.plans[c.Tier]; !known {
		return Balance{}, services.Faults(services.Fault{Path: "body.tier", Message: "is none of Free, Pro and Enterprise"})
	}
	a, err := s.open(ctx, c.Organization, "")
	if err != nil {
		return Balance{}, err
	}
	if a.Holder == HolderGuest {
		return Balance{}, services.Errorf(services.Conflict, "A guest has no plan; it has to register first")
	}
	err = postgres.InTx(ctx, s.repository.pool, func(tx pgx.Tx) error {
		now, err := locked(ctx, tx, c.Organization)
		if err != nil {
			return err
		}
		operation, facts := chain.MonthPrefix+c.Operation.String(), `{"tier":"`+string(c.Tier)+`"}`
		switch before, err := postgres.Value[string](ctx, tx, `
			SELECT facts FROM uaol_billing.journal WHERE organization_id = $1 AND operation_id = $2 AND kind = 'grant'`, c.Organization, operation); {
		case err == nil && before != facts:
			return services.Errorf(services.Conflict, "This operationId was used for another tier")
		case err == nil || !services.Is(err, services.NotFound):
			return err
		case now.Tier == c.Tier && now.PaidUntil == nil:
			return nil
		}
		had := s.plans.month(now.Holder, now.Tier)
		used, moved := max(had-now.Monthly, 0), max(now.Monthly-had, 0)
		now.Tier, now.PaidFrom, now.PaidUntil = c.Tier, nil, nil
		next := s.plans.next(now, "")
		next.Operation, next.Facts = operation, facts
		next.Monthly = max(next.Monthly-used, 0) + moved
		return renewIn(ctx, tx, now, next)
	})
	if err != nil {
		return Balance{}, err
	}
	services.Note(ctx, "organization", c.Organization.String())
	services.Note(ctx, "tier", string(c.Tier))
	a, err = s.repository.account(ctx, c.Organization)
	return a.balance(), err
}
