// Package chain holds the rules of the books: what an entry of the journal does
// to its organisation's accounts, and how entries are sealed. It reads and writes
// nothing, so whoever has a copy of the books can judge them with it.
//
// The leaves of a Merkle tree (RFC 6962) are an organisation's entries; its root
// is the digest of a range of them. The leaves of another are such ranges; its
// root stands in a seal, which is signed over the seal before it. So one seal that
// is known outside the database fixes every entry before it.
package chain

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/transparency-dev/merkle/rfc6962"
)

// Kind says between which two ledger accounts an entry moves its amount.
type Kind string

// The kinds, each from one account to another.
const (
	Grant    Kind = "grant"    // grants to available
	Purchase Kind = "purchase" // purchases to available
	Hold     Kind = "hold"     // available to held
	Settle   Kind = "settle"   // held to revenue
	Release  Kind = "release"  // held to available
	Deduct   Kind = "deduct"   // available to revenue
	Refund   Kind = "refund"   // revenue to available
	Send     Kind = "send"     // available to transfers
	Receive  Kind = "receive"  // transfers to available
	Expire   Kind = "expire"   // available to expired
	Return   Kind = "return"   // available to purchases
	Owe      Kind = "owe"      // purchases to debt
	Repay    Kind = "repay"    // available to debt
)

// Entry is a row of the journal.
type Entry struct {
	Organization uuid.UUID  `db:"organization_id" json:"organizationId"`
	Seq          int64      `db:"seq" json:"seq"`
	Operation    string     `db:"operation_id" json:"operationId"`
	Kind         Kind       `db:"kind" json:"kind"`
	Amount       int64      `db:"amount" json:"amount"`
	Balance      int64      `db:"balance" json:"balance"` // what is available afterwards
	Hold         *uuid.UUID `db:"hold_id" json:"holdId,omitempty"`
	Spender      *uuid.UUID `db:"spender_id" json:"spenderId,omitempty"`
	Tool         *uuid.UUID `db:"tool_id" json:"toolId,omitempty"`
	Job          *uuid.UUID `db:"job_id" json:"jobId,omitempty"`
	Facts        string     `db:"facts" json:"facts,omitempty"`
	CreatedAt    time.Time  `db:"created_at" json:"createdAt"`
}

// MarshalJSON writes the time as the database keeps it: in UTC, to the microsecond.
func (e Entry) MarshalJSON() ([]byte, error) {
	type plain Entry
	e.CreatedAt = moment(e.CreatedAt)
	return json.Marshal(plain(e))
}

func moment(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// Leaf is the entry's digest. It covers every column.
func (e Entry) Leaf() [32]byte {
	text := encode("uaol ledger entry 1")
	text.bytes(e.Organization[:])
	text.number(e.Seq)
	text.bytes([]byte(e.Operation))
	text.bytes([]byte(e.Kind))
	text.number(e.Amount)
	text.number(e.Balance)
	for _, id := range []*uuid.UUID{e.Hold, e.Spender, e.Tool, e.Job} {
		if id == nil {
			text.bytes(nil)
		} else {
			text.bytes(id[:])
		}
	}
	text.bytes([]byte(e.Facts))
	text.number(e.CreatedAt.UnixMicro())
	return [32]byte(rfc6962.DefaultHasher.HashLeaf(text))
}

// encoding is a list of values, each behind its length: no two lists have the
// same one.
type encoding []byte

// encode begins a list with what it is, so that no digest of one thing is that of
// another.
func encode(domain string) encoding {
	e := make(encoding, 0, 256)
	e.bytes([]byte(domain))
	return e
}

func (e *encoding) bytes(value []byte) {
	*e = append(binary.BigEndian.AppendUint64(*e, uint64(len(value))), value...)
}

func (e *encoding) number(value int64) {
	e.bytes(binary.BigEndian.AppendUint64(nil, uint64(value)))
}

// Bytes are written in JSON as hexadecimal digits.
type Bytes []byte

// String is the bytes as hexadecimal digits.
func (b Bytes) String() string { return hex.EncodeToString(b) }

// MarshalText implements encoding.TextMarshaler.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *Bytes) UnmarshalText(text []byte) error {
	raw, err := hex.DecodeString(string(text))
	if err != nil {
		return fmt.Errorf("hexadecimal digits are wanted: %w", err)
	}
	*b = raw
	return nil
}
