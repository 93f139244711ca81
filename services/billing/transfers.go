package billing

import (
	"context"
	"strconv"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/postgres"
	"uaol/services"
	"uaol/services/billing/chain"
)

// TransferRequest moves a member's own credits to the organisation that the
// member acts for.
type TransferRequest struct {
	Organization uuid.UUID
	Amount       int64
	Operation    uuid.UUID // a transfer counts once, however often it is sent
}

// Transfer moves credits from the caller's personal organisation to the shared
// one that the request is for. Kinds: Invalid when the two do not fit; Forbidden
// for API keys; Insufficient; Conflict when the operation was another transfer.
func (s *Service) Transfer(ctx context.Context, caller services.Caller, in TransferRequest) (from, to Balance, err error) {
	switch {
	case caller.Key != uuid.Nil || caller.Home == uuid.Nil:
		err = services.Errorf(services.Forbidden, "An API key reaches only its own organisation's credits; sign in without one to move yours")
	case in.Organization != caller.Organization:
		err = services.Faults(services.Fault{Path: "body.organizationId", Message: "is not the organisation that this request is for; name it in X-Organization"})
	case caller.Personal:
		err = services.Faults(services.Fault{Path: "body.organizationId", Message: "is your personal organisation; credits move from there to a shared one"})
	}
	if err != nil {
		return from, to, err
	}
	home := caller
	home.Organization, home.Personal = caller.Home, true
	for _, side := range []services.Caller{home, caller} { // opens both accounts
		if _, err := s.Balance(ctx, BalanceRequest{Caller: side}); err != nil {
			return from, to, err
		}
	}
	services.Note(ctx, "amount", strconv.FormatInt(in.Amount, 10))
	services.Note(ctx, "operation", in.Operation.String())
	who, err := s.spenders.id(ctx, spenderOf(home))
	if err != nil {
		return from, to, err
	}
	if err := s.repository.transfer(ctx, caller, in, who); err != nil {
		return from, to, err
	}
	if from, err = s.Balance(ctx, BalanceRequest{Caller: home}); err != nil {
		return from, to, err
	}
	to, err = s.Balance(ctx, BalanceRequest{Caller: caller})
	return from, to, err
}

// transfer writes one entry on each side and moves the credits between them.
// Both accounts are locked in the order of their ids. The operation is named
// for its source: members choose the ids, and must not be in each other's way.
// The month's credits go first, and stay the month's on the other side: else
// they would be kept from ending by being sent to and fro.
func (r *Repository) transfer(ctx context.Context, caller services.Caller, in TransferRequest, who uuid.UUID) error {
	operation := caller.Home.String() + "/" + in.Operation.String()
	return postgres.InTx(ctx, r.pool, func(tx pgx.Tx) error {
		if _, err := postgres.Values[uuid.UUID](ctx, tx, `
			SELECT organization_id FROM uaol_billing.accounts WHERE organization_id IN ($1, $2) ORDER BY organization_id FOR UPDATE`,
			caller.Home, in.Organization); err != nil {
			return err
		}
		home, err := locked(ctx, tx, caller.Home)
		if err != nil {
			return err
		}
		sent, err := post(ctx, tx, posting{Organization: caller.Home, Operation: operation, Kind: chain.Send, Amount: in.Amount, Spender: who, Open: true})
		if err != nil {
			return err
		}
		if !sent {
			return r.sameTransfer(ctx, tx, operation, caller.Home, in)
		}
		if home.Debt > 0 {
			return owed(home.Debt)
		}
		monthly := min(home.Monthly, in.Amount)
		received, err := post(ctx, tx, posting{Organization: in.Organization, Operation: operation, Kind: chain.Receive, Amount: in.Amount,
			Monthly: monthly, Facts: monthlyFact(monthly), Open: true})
		if err == nil && !received {
			err = services.Errorf(services.Conflict, "The organisation has ended")
		}
		if err != nil {
			return err
		}
		return payDebt(ctx, tx, in.Organization, operation)
	})
}

// monthlyFact says how much of what arrives ends with the month.
func monthlyFact(monthly int64) string {
	if monthly == 0 {
		return ""
	}
	return `{"monthly":` + strconv.FormatInt(monthly, 10) + `}`
}

// sameTransfer is nil when the operation was this very transfer, and otherwise
// says why there was none.
func (r *Repository) sameTransfer(ctx context.Context, tx pgx.Tx, operation string, home uuid.UUID, in TransferRequest) error {
	if _, err := posted(ctx, tx, home, operation, chain.Send); services.Is(err, services.NotFound) {
		return services.Errorf(services.Insufficient, "Insufficient credits: your personal organisation has less than %d", in.Amount)
	} else if err != nil {
		return err
	}
	amount, err := posted(ctx, tx, in.Organization, operation, chain.Receive)
	if services.Is(err, services.NotFound) || err == nil && amount != in.Amount {
		err = services.Errorf(services.Conflict, "This operationId was used for another transfer")
	}
	return err
}
