package ledger

import (
	"context"
	"errors"
	"fmt"
	"os"

	"uaol/providers/postgres"
	"uaol/services/billing/chain"
)

// State is how far the books are sealed.
type State struct {
	Seal          *chain.Seal // the newest; nil before the first
	Organizations int64       // that have an account
	Entries       int64
	Unsealed      int64 // of the entries
}

// StateOf looks at every account, and at the last range of each that is sealed.
func StateOf(ctx context.Context, q postgres.Querier) (State, error) {
	type row struct {
		Organizations int64 `db:"organizations"`
		Entries       int64 `db:"entries"`
		Sealed        int64 `db:"sealed"`
	}
	// The seal is read first: what it covers is then among what is seen to be sealed.
	last, err := tip(ctx, q)
	if err != nil {
		return State{}, err
	}
	found, err := postgres.One[row](ctx, q, `
		SELECT count(*) AS organizations, coalesce(sum(a.last_seq), 0)::bigint AS entries, coalesce(sum(s.sealed), 0)::bigint AS sealed
		FROM uaol_billing.accounts a
		CROSS JOIN LATERAL (
			SELECT coalesce(max(r.last_seq), 0) AS sealed FROM uaol_billing.seal_ranges r WHERE r.organization_id = a.organization_id) s`)
	state := State{Organizations: found.Organizations, Entries: found.Entries, Unsealed: max(found.Entries-found.Sealed, 0)}
	if last.Number > 0 {
		state.Seal = &last
	}
	return state, err
}

// Kept are the heads that this machine's settings have let be written to a file; none where
// there is no file.
func Kept(cfg Config) ([]chain.Head, error) {
	if cfg.File == "" {
		return nil, nil
	}
	heads, err := Heads(cfg.File)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", cfg.File, err)
	}
	return heads, err
}
