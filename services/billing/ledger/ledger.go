// Package ledger keeps the books honest: it seals the journal, publishes what was
// sealed last, proves that an entry is sealed, copies the books out, and checks
// either the database or such a copy from the first entry to the last.
package ledger

import (
	"context"
	"time"

	"github.com/google/uuid"

	"uaol/services/billing/chain"
)

// Source has books to be read, from the first to the last.
type Source interface {
	// Read hands over everything in the order of Reader's methods: after Begin the
	// organisations in the order of their ids, each with its ranges, spenders, entries
	// and holds, and then the seals. An error of the reader's ends it.
	Read(ctx context.Context, to Reader) error
}

// Reader is who books are handed to.
type Reader interface {
	Begin(Beginning) error
	Organization(Organization) error
	Range(Range) error       // of that organisation, by seq
	Spender(Spender) error   // of that organisation, in any order
	Entry(chain.Entry) error // of that organisation, by seq
	Hold(Hold) error         // of that organisation, in any order
	Seal(chain.Seal) error   // by number
}

// Beginning says what is read. Seals made later are left out with their ranges,
// so that ranges and seals fit together though they are not read at one moment.
type Beginning struct {
	At      time.Time `db:"at" json:"at"` // when reading began
	Through int64     `db:"through" json:"through"`
}

// Organization is one whose books follow.
type Organization struct {
	ID      uuid.UUID      `json:"id"`
	Account *chain.Account `json:"account"` // nil when it has none, though there is something of it
}

// Range is a sealed range and the seal that it belongs to.
type Range struct {
	Number int64 `json:"number"`
	chain.Range
}

// Spender is a row of the spenders: whole, or forgotten, and then without all but
// its id.
type Spender struct {
	ID      uuid.UUID   `db:"spender_id" json:"id"`
	Account *uuid.UUID  `db:"account_id" json:"accountId"`
	Key     *uuid.UUID  `db:"key_id" json:"keyId"` // zeros for none
	Salt    chain.Bytes `db:"salt" json:"salt"`
}

// Hold is a row of the holds, as far as the books are concerned.
type Hold struct {
	ID      uuid.UUID  `db:"hold_id" json:"id"`
	Spender *uuid.UUID `db:"spender_id" json:"spenderId"`
	Amount  int64      `db:"amount" json:"amount"`
	Settled int64      `db:"settled" json:"settled"`
	State   string     `db:"state" json:"state"`
}
