package billing

import (
	"context"
	"time"

	"github.com/google/uuid"

	"uaol/services"
)

// Meter is what other services see of billing. All operations may be repeated.
type Meter interface {
	// Balance opens the account if need be and tells what is in it.
	Balance(ctx context.Context, in BalanceRequest) (Balance, error)
	// Hold sets credits aside. Kinds: Insufficient, with the code
	// SPEND_CAP_EXCEEDED when there are enough but a cap forbids it; Conflict
	// when the id was used for another hold.
	Hold(ctx context.Context, in HoldRequest) (Hold, error)
	// Settle pays operations out of a hold. Kinds: NotFound, Conflict when the
	// hold is closed or too small for what is new in the list.
	Settle(ctx context.Context, in SettleRequest) (Hold, error)
	// Release closes a hold and gives back what is left of it. A hold that
	// does not exist or is closed already is no error.
	Release(ctx context.Context, in ReleaseRequest) (Hold, error)
	// HoldMany, SettleMany and ReleaseMany do the same for thousands at once, in
	// one round trip and with one update of each account; each operation's
	// outcome stands in its place. An error is all of theirs: repeat them.
	HoldMany(ctx context.Context, in HoldsRequest) ([]Outcome, error)
	SettleMany(ctx context.Context, in SettlesRequest) ([]Outcome, error)
	ReleaseMany(ctx context.Context, in ReleasesRequest) ([]Outcome, error)
	// Abandoned gives open holds whose time is up, oldest first. They are their
	// owner's to end; billing itself ends a call's only after an hour more.
	Abandoned(ctx context.Context, in AbandonedRequest) ([]AbandonedHold, error)
	// Plans tells what organisations' plans bring, in the order of asking. One
	// that billing does not know yet has the smallest.
	Plans(ctx context.Context, in PlansRequest) ([]Plan, error)
}

// PlansRequest names organisations, at most 1,000.
type PlansRequest struct {
	Organizations []uuid.UUID `json:"organizations"`
}

// BalanceRequest names whose balance is asked for.
type BalanceRequest struct {
	Caller services.Caller `json:"caller"`
}

// Balance is an account's state. Available excludes what is held.
type Balance struct {
	Tier      Tier  `json:"tier"`
	Available int64 `json:"available"`
	Held      int64 `json:"held"`
	Debt      int64 `json:"debt,omitempty"` // nothing can be spent until it is paid
}

// Owner says who decides when a hold may be ended without being asked.
type Owner string

// The owners. A job's hold ends only when the jobs service says that the job
// has; a call's when the proxy says so, or an hour after it has expired; a model's
// answer's when it has expired, unpaid: whoever asked has not got it.
const (
	OwnerJob   Owner = "job"
	OwnerCall  Owner = "call"
	OwnerModel Owner = "model"
)

// HoldRequest sets Amount credits aside under ID, which is the job's or the
// call's own.
type HoldRequest struct {
	ID       uuid.UUID       `json:"id"`
	Caller   services.Caller `json:"caller"`
	Owner    Owner           `json:"owner"`
	Job      uuid.UUID       `json:"job,omitzero"`    // that it is for; a job's hold is for the job of its id unless it says otherwise
	Calls    int64           `json:"calls,omitempty"` // tool calls that it is for; 0 for one
	Amount   int64           `json:"amount"`
	Lifetime time.Duration   `json:"lifetime"` // until it counts as abandoned
	Memo     string          `json:"memo"`     // what it is for, in the owner's words; gone when the hold is closed
}

// MaxMemo is the most a hold's memo may have, in bytes.
const MaxMemo = 4 << 10

func (in HoldRequest) check() error {
	if in.Amount <= 0 || in.Caller.Organization == uuid.Nil || in.Lifetime <= 0 {
		return services.Errorf(services.Invalid, "A hold needs an organisation, a lifetime and at least one credit")
	}
	if len(in.Memo) > MaxMemo {
		return services.Errorf(services.Invalid, "A hold's memo has at most %d bytes", MaxMemo)
	}
	return nil
}

func (in HoldRequest) calls() int64 {
	if in.Owner == OwnerModel { // no tool is called
		return 0
	}
	return max(in.Calls, 1)
}

func (in HoldRequest) job() uuid.UUID {
	if in.Owner == OwnerJob && in.Job == uuid.Nil {
		return in.ID
	}
	return in.Job
}

// Hold is the state of credits set aside.
type Hold struct {
	ID      uuid.UUID `json:"id" db:"hold_id"`
	Amount  int64     `json:"amount" db:"amount"`
	Settled int64     `json:"settled" db:"settled"`
	Open    bool      `json:"open" db:"open"`
}

// Charge is one operation and its price.
type Charge struct {
	Operation string    `json:"operation"` // unique in the organisation: job/step, or the call's id
	Amount    int64     `json:"amount"`
	Tool      uuid.UUID `json:"tool,omitzero"`
	Facts     Facts     `json:"facts,omitzero"`
}

// SettleRequest pays Charges out of a hold; those paid before are passed over.
type SettleRequest struct {
	HoldID  uuid.UUID `json:"holdId"`
	Charges []Charge  `json:"charges"`
	// Last says that nothing more will be paid out of the hold: if nothing is left
	// of it, it is closed. A call's hold always is.
	Last bool `json:"last,omitempty"`
}

func (in SettleRequest) check() error {
	for _, c := range in.Charges {
		if c.Amount <= 0 || c.Operation == "" {
			return services.Errorf(services.Invalid, "A charge needs an operation and at least one credit")
		}
	}
	return nil
}

// ReleaseRequest closes a hold.
type ReleaseRequest struct {
	HoldID uuid.UUID `json:"holdId"`
}

// AbandonedRequest asks for holds that nobody ended.
type AbandonedRequest struct {
	Owner Owner `json:"owner"`
	Limit int   `json:"limit"`
}

// AbandonedHold is an open hold whose time is up.
type AbandonedHold struct {
	Hold
	Organization uuid.UUID `json:"organization" db:"organization_id"`
	Account      uuid.UUID `json:"account" db:"account_id"`
	Memo         string    `json:"memo" db:"memo"`
	CreatedAt    time.Time `json:"createdAt" db:"created_at"`
}

// JobDirectory is what billing has to ask the jobs service.
type JobDirectory interface {
	// Ended gives those of the ids whose job has ended or never existed.
	Ended(ctx context.Context, in EndedRequest) ([]uuid.UUID, error)
}

// EndedRequest asks about jobs by id.
type EndedRequest struct {
	JobIDs []uuid.UUID `json:"jobIds"`
}
