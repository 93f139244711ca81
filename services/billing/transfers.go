package billing

import (
	"context"
	"strconv"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/postgres"
	"uaol/services"
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
	if err := s.repository.transfer(ctx, caller, in); err != nil {
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
func (r *Repository) transfer(ctx context.Context, caller services.Caller, in TransferRequest) error {
	operation := caller.Home.String() + "/" + in.Operation.String()
	return postgres.InTx(ctx, r.pool, func(tx pgx.Tx) error {
		if _, err := postgres.Values[uuid.UUID](ctx, tx, `
			SELECT organization_id FROM uaol_billing.accounts WHERE organization_id IN ($1, $2) ORDER BY organization_id FOR UPDATE`,
			caller.Home, in.Organization); err != nil {
			return err
		}
		fresh, err := postgres.Exec(ctx, tx, `
			INSERT INTO uaol_billing.entries (organization_id, operation_id, kind, available, held, account_id)
			VALUES ($1, $3, 'transfer', -$4::bigint, 0, $5), ($2, $3, 'transfer', $4::bigint, 0, $5)
			ON CONFLICT (organization_id, operation_id, kind) DO NOTHING`, caller.Home, in.Organization, operation, in.Amount, caller.Account)
		if err != nil {
			return err
		}
		switch fresh {
		case 0:
			return r.sameTransfer(ctx, tx, operation, in)
		case 1: // it went elsewhere
			return errOtherTransfer
		}
		moved, err := postgres.Exec(ctx, tx, `
			UPDATE uaol_billing.accounts SET available = available - $2
			WHERE organization_id = $1 AND available >= $2 AND closed_at IS NULL`, caller.Home, in.Amount)
		if err != nil {
			return err
		}
		if moved == 0 {
			return services.Errorf(services.Insufficient, "Insufficient credits: your personal organisation has less than %d", in.Amount)
		}
		moved, err = postgres.Exec(ctx, tx, `
			UPDATE uaol_billing.accounts SET available = available + $2 WHERE organization_id = $1 AND closed_at IS NULL`, in.Organization, in.Amount)
		if err == nil && moved == 0 {
			err = services.Errorf(services.Conflict, "The organisation has ended")
		}
		return err
	})
}

// sameTransfer is nil when the operation was this very transfer.
func (r *Repository) sameTransfer(ctx context.Context, tx pgx.Tx, operation string, in TransferRequest) error {
	same, err := postgres.Value[bool](ctx, tx, `
		SELECT EXISTS (SELECT 1 FROM uaol_billing.entries
			WHERE organization_id = $1 AND operation_id = $2 AND kind = 'transfer' AND available = $3)`, in.Organization, operation, in.Amount)
	if err == nil && !same {
		err = errOtherTransfer
	}
	return err
}

var errOtherTransfer = services.Errorf(services.Conflict, "This operationId was used for another transfer")
