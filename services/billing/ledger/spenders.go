package ledger

import (
	"github.com/google/uuid"

	"uaol/services/billing/chain"
)

// addSpender looks whether a spender's row says whom its id commits to. That there
// is no account is nothing here: a spender's row is made before the first hold.
func (b *book) addSpender(s Spender) {
	b.spenders[s.ID] = true
	here := b.at()
	here.Spender = s.ID
	switch {
	case s.Account == nil && s.Key == nil && len(s.Salt) == 0:
		b.report.Spenders.Erased++
	case s.Account == nil || s.Key == nil:
		b.report.find(here, "it is neither whole nor erased")
	case chain.Uncommitted(s.ID) && len(s.Salt) == 0:
		b.report.Spenders.Uncommitted++
	default:
		who := chain.Spender{Organization: b.organization.ID, Account: *s.Account, Key: *s.Key, Salt: s.Salt}
		if err := who.Check(s.ID); err != nil {
			b.report.find(here, "%s", err)
		}
	}
}

// meet tells of a spender without a row, where it is met first.
func (b *book) meet(here Finding, spender *uuid.UUID) {
	if spender == nil {
		return
	}
	if !b.spenders[*spender] {
		b.spenders[*spender] = true
		b.report.find(here, "there is no row of its spender %s", spender)
	}
}
