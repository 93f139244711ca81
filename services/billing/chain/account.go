package chain

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// MonthPrefix begins the names of operations with which a month begins.
const MonthPrefix = "month/"

// Account is where an organisation's credits are. What came in (grants, purchases,
// transfers, debt) is what is there or went out (available, held, revenue, expired).
type Account struct {
	LastSeq   int64 `db:"last_seq" json:"lastSeq"`
	Available int64 `db:"available" json:"available"`
	Held      int64 `db:"held" json:"held"`
	Grants    int64 `db:"grants" json:"grants"`
	Purchases int64 `db:"purchases" json:"purchases"`
	Transfers int64 `db:"transfers" json:"transfers"` // received less sent
	Revenue   int64 `db:"revenue" json:"revenue"`
	Expired   int64 `db:"expired" json:"expired"`
	Debt      int64 `db:"debt" json:"debt"`
	Monthly   int64 `db:"monthly" json:"monthly"` // of available and held: ends with the month
	Stale     int64 `db:"stale" json:"stale"`     // of held: its month is over
}

// Apply does what an entry says. An entry that can't be gives an error and does
// nothing.
func (a *Account) Apply(e Entry) error {
	if e.Seq != a.LastSeq+1 {
		return fmt.Errorf("entry %d follows entry %d", e.Seq, a.LastSeq)
	}
	if e.Amount < 0 || e.Amount == 0 && e.Kind != Grant {
		return fmt.Errorf("a %s of %d credits cannot be", e.Kind, e.Amount)
	}
	next := *a
	next.LastSeq = e.Seq
	if err := next.move(e); err != nil {
		return err
	}
	if err := next.bookkeep(e); err != nil {
		return err
	}
	if next.Available != e.Balance {
		return fmt.Errorf("it says that %d credits are available afterwards; it is %d", e.Balance, next.Available)
	}
	*a = next
	return nil
}

// leg is one of the two ledger accounts that an entry changes, and which way.
type leg struct {
	account *int64
	sign    int64
}

func (a *Account) legs(k Kind) (one, other leg, known bool) {
	less, more := func(account *int64) leg { return leg{account, -1} }, func(account *int64) leg { return leg{account, 1} }
	switch k {
	case Grant:
		return more(&a.Grants), more(&a.Available), true
	case Purchase:
		return more(&a.Purchases), more(&a.Available), true
	case Hold:
		return less(&a.Available), more(&a.Held), true
	case Settle:
		return less(&a.Held), more(&a.Revenue), true
	case Release:
		return less(&a.Held), more(&a.Available), true
	case Deduct:
		return less(&a.Available), more(&a.Revenue), true
	case Refund:
		return less(&a.Revenue), more(&a.Available), true
	case Send:
		return less(&a.Available), less(&a.Transfers), true
	case Receive:
		return more(&a.Available), more(&a.Transfers), true
	case Expire:
		return less(&a.Available), more(&a.Expired), true
	case Return:
		return less(&a.Available), less(&a.Purchases), true
	case Owe:
		return less(&a.Purchases), more(&a.Debt), true
	case Repay:
		return less(&a.Available), less(&a.Debt), true
	}
	return leg{}, leg{}, false
}

// move moves the amount from one ledger account to another.
func (a *Account) move(e Entry) error {
	one, other, known := a.legs(e.Kind)
	if !known {
		return fmt.Errorf("there is no kind %q", e.Kind)
	}
	for _, l := range []leg{one, other} {
		before := *l.account
		*l.account += l.sign * e.Amount
		if (*l.account < before) != (l.sign < 0 && e.Amount > 0) {
			return errors.New("it goes beyond what can be counted")
		}
		if *l.account < 0 && l.account != &a.Transfers {
			return fmt.Errorf("it takes %d credits where there are %d", e.Amount, before)
		}
	}
	return nil
}

// bookkeep follows which credits end with the month. Those are used first.
func (a *Account) bookkeep(e Entry) error {
	begins := strings.HasPrefix(e.Operation, MonthPrefix)
	switch {
	case e.Kind == Grant && begins:
		a.Stale += a.Monthly
		a.Monthly = e.Amount
	case e.Kind == Expire && begins:
		a.Monthly -= e.Amount
	case e.Kind == Expire:
		a.Stale -= e.Amount
	case e.Kind == Settle:
		old := min(a.Stale, e.Amount)
		a.Stale -= old
		a.Monthly -= min(a.Monthly, e.Amount-old)
	case e.Kind == Deduct, e.Kind == Send:
		a.Monthly -= min(a.Monthly, e.Amount)
	case e.Kind == Receive:
		monthly, err := monthlyOf(e)
		if err != nil {
			return err
		}
		a.Monthly += monthly
	}
	if a.Monthly < 0 || a.Stale < 0 {
		return fmt.Errorf("it lets %d credits expire, which is more than may", e.Amount)
	}
	// What is there of other months comes first: what is left can be this one's.
	if a.Monthly = min(a.Monthly, a.Available+a.Held-a.Stale); a.Monthly < 0 {
		return errors.New("there is less than what is left of months before")
	}
	return nil
}

// monthlyOf is how much of what arrives ends with the month.
func monthlyOf(e Entry) (int64, error) {
	if e.Facts == "" {
		return 0, nil
	}
	var facts struct {
		Monthly int64 `json:"monthly"`
	}
	if err := json.Unmarshal([]byte(e.Facts), &facts); err != nil {
		return 0, errors.New("its facts cannot be read")
	}
	if facts.Monthly < 0 || facts.Monthly > e.Amount {
		return 0, fmt.Errorf("of %d credits %d are said to end with the month", e.Amount, facts.Monthly)
	}
	return facts.Monthly, nil
}

// Balanced reports whether what came in is what is there or went out.
func (a Account) Balanced() bool {
	return a.Available+a.Held+a.Revenue+a.Expired == a.Grants+a.Purchases+a.Transfers+a.Debt
}

// Rest says what can't be when nothing is under way: between a release and the
// expiry that it brings about, more may be stale than is held.
func (a Account) Rest() error {
	if a.Stale > a.Held {
		return fmt.Errorf("of %d credits held %d are of months before", a.Held, a.Stale)
	}
	return nil
}
