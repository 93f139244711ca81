package payments

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Ledger is where credits are kept. It works in the transaction it is given, so
// that what is known of a payment and the credits for it change together. Each
// call counts once for its operation.
type Ledger interface {
	// Purchase makes credits available that were paid for; debt is paid first.
	Purchase(ctx context.Context, tx pgx.Tx, organization uuid.UUID, operation string, credits int64, facts string) error
	// TakeBack takes credits away whose money went back. What is available never
	// falls below zero: the rest becomes debt.
	TakeBack(ctx context.Context, tx pgx.Tx, organization uuid.UUID, operation string, credits int64, facts string) error
	// Subscribed gives an account the tier and its credits for [from, until), which
	// were paid for. A period may come after a later one; then it changes nothing.
	Subscribed(ctx context.Context, tx pgx.Tx, organization uuid.UUID, tier string, from, until time.Time, operation string) error
	// Unsubscribed ends an account's tier now. It may be told twice.
	Unsubscribed(ctx context.Context, tx pgx.Tx, organization uuid.UUID) error
}

// The tiers that can be bought, by the names that accounts have them under.
const (
	Pro        = "Pro"
	Enterprise = "Enterprise"
)
