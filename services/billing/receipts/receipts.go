// Package receipts shows what a call or a job cost, in a form that can be checked
// by whoever has it, without asking anybody: signed, and with the ledger's entries
// and the proofs that they are in its chain.
package receipts

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"
	"github.com/gowebpki/jcs"

	"uaol/services/billing/chain"
)

// Receipt is what was paid for one call or job.
type Receipt struct {
	Form         string       `json:"form"` // "uaol receipt 1"
	ID           uuid.UUID    `json:"id"`   // of the call or the job
	Kind         string       `json:"kind"` // call or job
	Organization uuid.UUID    `json:"organizationId"`
	Account      *uuid.UUID   `json:"accountId"` // who asked, as the server knew it when it signed; null once that is forgotten
	Key          *uuid.UUID   `json:"keyId"`     // with which API key
	Salt         chain.Bytes  `json:"salt"`      // with which the entries' spender commits to both; empty when it does not
	Held         int64        `json:"held"`
	Charged      int64        `json:"charged"`
	Released     int64        `json:"released"`
	Refunded     int64        `json:"refunded"`
	Open         bool         `json:"open"` // more may be charged
	Charges      []Charge     `json:"charges"`
	Entries      []Entry      `json:"entries"`
	Sealed       bool         `json:"sealed"` // all entries are in the chain by now
	IssuedAt     time.Time    `json:"issuedAt"`
	PublicKey    chain.Public `json:"publicKey"`
	Signature    chain.Bytes  `json:"signature"`
}

// Charge is one thing that was paid for: a call, or a step of a job.
type Charge struct {
	Operation string          `json:"operationId"`
	Tool      *uuid.UUID      `json:"toolId"`
	Credits   int64           `json:"credits"`
	Facts     json.RawMessage `json:"facts"` // the tool's version, method and pin, the step, the trace, the approval
	At        time.Time       `json:"at"`
}

// Entry is one of the ledger's entries, with its place in the chain; Inclusion is
// null while it is not sealed yet.
type Entry struct {
	chain.Entry
	Inclusion *chain.Inclusion `json:"inclusion"`
}

// MarshalJSON keeps the embedded entry's own form from hiding the rest.
func (e Entry) MarshalJSON() ([]byte, error) {
	text, err := json.Marshal(e.Entry)
	if err != nil {
		return nil, err
	}
	inclusion, err := json.Marshal(e.Inclusion)
	return append(append(text[:len(text)-1], `,"inclusion":`...), append(inclusion, '}')...), err
}

const (
	form    = "uaol receipt 1"
	purpose = "receipt"
)

// Sign signs a receipt with the ledger's key.
func (r Receipt) Sign(key *chain.Key) (Receipt, error) {
	r.Form, r.PublicKey, r.Signature = form, key.Public(), nil
	text, err := r.signed()
	r.Signature = key.SignText(purpose, text)
	return r, err
}

// signed is what the signature covers: all but itself, in RFC 8785's form.
func (r Receipt) signed() ([]byte, error) {
	r.Signature = nil
	text, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	return jcs.Transform(text)
}

// Parse reads a receipt, also one in the envelope that the API answers with.
func Parse(text []byte) (Receipt, error) {
	var envelope struct {
		Data json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(text, &envelope); err == nil && len(envelope.Data) > 0 {
		text = envelope.Data
	}
	var r Receipt
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&r); err != nil {
		return r, fmt.Errorf("it is not a receipt: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return r, errors.New("there is more than a receipt")
	}
	if r.Form != form {
		return r, errors.New("it is not a receipt of a form that is known here")
	}
	return r, nil
}

// Verify says why a receipt can't be believed; nil when it can. Whom it is
// believed to come from is whoever has one of the trusted keys.
func (r Receipt) Verify(trusted chain.Trusted) error {
	text, err := r.signed()
	if err != nil {
		return err
	}
	if err := trusted.CheckText(purpose, text, r.PublicKey.ID(), r.Signature); err != nil {
		return fmt.Errorf("the receipt: %w", err)
	}
	if err := r.caller(); err != nil {
		return err
	}
	var held, charged, released, refunded int64
	operations := map[string]int64{}
	for _, e := range r.Entries {
		if e.Organization != r.Organization {
			return fmt.Errorf("entry %d is another organisation's", e.Seq)
		}
		switch e.Kind {
		case chain.Hold:
			held += e.Amount
		case chain.Settle, chain.Deduct:
			charged += e.Amount
			operations[e.Operation] += e.Amount
		case chain.Release:
			released += e.Amount
		case chain.Refund:
			refunded += e.Amount
		default:
			return fmt.Errorf("entry %d is no part of a receipt", e.Seq)
		}
		if e.Inclusion == nil && r.Sealed {
			return fmt.Errorf("entry %d is said to be sealed and is not shown to be", e.Seq)
		}
		if e.Inclusion != nil {
			if err := e.Inclusion.Verify(e.Entry, trusted); err != nil {
				return fmt.Errorf("entry %d: %w", e.Seq, err)
			}
		}
	}
	if held != r.Held || charged != r.Charged || released != r.Released || refunded != r.Refunded {
		return errors.New("its sums are not those of its entries")
	}
	for _, c := range r.Charges {
		if operations[c.Operation] != c.Credits {
			return fmt.Errorf("the charge %s is not what its entries say", c.Operation)
		}
		delete(operations, c.Operation)
	}
	if len(operations) > 0 {
		return errors.New("something was charged that it does not name")
	}
	return nil
}

// caller says why who is said to have asked is not the spender that the entries
// name: these commit to whom that stands for.
func (r Receipt) caller() error {
	var spender *uuid.UUID
	for _, e := range r.Entries {
		switch {
		case e.Spender == nil:
		case spender == nil:
			spender = e.Spender
		case *spender != *e.Spender:
			return fmt.Errorf("entry %d is another spender's", e.Seq)
		}
	}
	switch {
	case r.Account == nil && r.Key == nil && len(r.Salt) == 0:
		return nil // it is forgotten
	case r.Account == nil || spender == nil:
		return errors.New("whom it says to have asked, its entries do not")
	case chain.Uncommitted(*spender) && len(r.Salt) == 0:
		return nil
	}
	who := chain.Spender{Organization: r.Organization, Account: *r.Account, Salt: r.Salt}
	if r.Key != nil {
		who.Key = *r.Key
	}
	if err := who.Check(*spender); err != nil {
		return fmt.Errorf("who asked: %w", err)
	}
	return nil
}

// Committed reports whether the entries of a receipt that was verified commit to
// who asked. Otherwise that is the server's word alone, or forgotten.
func (r Receipt) Committed() bool { return r.Account != nil && len(r.Salt) > 0 }
