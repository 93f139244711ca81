package billing

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/services"
	"uaol/services/billing/chain"
)

// Paid is the ledger as payments use it; it is a payments.Ledger. All of it works
// in the transaction of whoever gathers what is known of a payment.
type Paid struct{ plans Plans }

// NewPaid makes a Paid.
func NewPaid(cfg PlansConfig) *Paid { return &Paid{plans: cfg.plans} }

// existing locks an account and makes the row of one that has none: who pays for
// an account need not have asked for it before.
func existing(ctx context.Context, tx pgx.Tx, organization uuid.UUID) (account, error) {
	if err := begin(ctx, tx, organization); err != nil {
		return account{}, err
	}
	return locked(ctx, tx, organization)
}

// Purchase makes credits available that were paid for; debt is paid first.
func (p *Paid) Purchase(ctx context.Context, tx pgx.Tx, organization uuid.UUID, operation string, credits int64, facts string) error {
	if _, err := existing(ctx, tx, organization); err != nil {
		return err
	}
	made, err := post(ctx, tx, posting{Organization: organization, Operation: operation, Kind: chain.Purchase, Amount: credits, Facts: facts})
	if err != nil || !made {
		return err
	}
	return payDebt(ctx, tx, organization, operation)
}

// TakeBack takes credits away whose money went back. What is available never
// falls below zero: the rest becomes debt.
func (p *Paid) TakeBack(ctx context.Context, tx pgx.Tx, organization uuid.UUID, operation string, credits int64, facts string) error {
	a, err := existing(ctx, tx, organization)
	if err != nil {
		return err
	}
	for _, kind := range []Kind{chain.Return, chain.Owe} {
		if _, err := posted(ctx, tx, organization, operation, kind); !services.Is(err, services.NotFound) {
			return err // done before, or not to be known
		}
	}
	back := min(a.Available, credits)
	for _, part := range []posting{{Kind: chain.Return, Amount: back}, {Kind: chain.Owe, Amount: credits - back}} {
		if part.Amount == 0 {
			continue
		}
		part.Organization, part.Operation, part.Facts = organization, operation, facts
		made, err := post(ctx, tx, part)
		if err == nil && !made {
			err = services.Errorf(services.Conflict, "More was to be taken back than was bought")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Subscribed gives an account the tier and its credits for [from, until), which
// were paid for. A period that comes after a later one changes nothing.
func (p *Paid) Subscribed(ctx context.Context, tx pgx.Tx, organization uuid.UUID, tier string, from, until time.Time, operation string) error {
	a, err := existing(ctx, tx, organization)
	if err != nil {
		return err
	}
	operation = chain.MonthPrefix + operation
	if _, err := posted(ctx, tx, organization, operation, chain.Grant); !services.Is(err, services.NotFound) {
		return err
	}
	if a.PaidFrom != nil && from.Before(*a.PaidFrom) || !a.Now.Before(until.Add(grace)) {
		return nil
	}
	a.Tier, a.PaidFrom, a.PaidUntil = Tier(tier), &from, &until
	next := p.plans.next(a, a.Holder)
	next.Operation = operation
	return renewIn(ctx, tx, a, next)
}

// Unsubscribed ends an account's tier now, and what is left of its month.
func (p *Paid) Unsubscribed(ctx context.Context, tx pgx.Tx, organization uuid.UUID) error {
	a, err := existing(ctx, tx, organization)
	if err != nil || a.PaidUntil == nil {
		return err
	}
	a.Tier, a.PaidFrom, a.PaidUntil = Free, nil, nil
	return renewIn(ctx, tx, a, p.plans.next(a, a.Holder))
}
