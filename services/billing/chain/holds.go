package chain

import (
	"errors"
	"fmt"

	"github.com/google/uuid"
)

// Held is what the journal says of one hold.
type Held struct {
	Spender                   uuid.UUID // zeros for none
	Amount, Settled, Released int64
}

// Rest is what is still held.
func (h Held) Rest() int64 { return h.Amount - h.Settled - h.Released }

// Holds are an organisation's holds as its journal has them.
type Holds map[uuid.UUID]Held

// Apply does what an entry says. An entry that can't be gives an error and does
// nothing.
func (h Holds) Apply(e Entry) error {
	if e.Kind != Hold && e.Kind != Settle && e.Kind != Release {
		return nil
	}
	if e.Hold == nil {
		return errors.New("it names no hold")
	}
	next := h[*e.Hold]
	var spender uuid.UUID
	if e.Spender != nil {
		spender = *e.Spender
	}
	if e.Kind != Hold && next.Spender != spender {
		return fmt.Errorf("the hold %s is another spender's", e.Hold)
	}
	switch e.Kind {
	case Hold:
		if next != (Held{}) {
			return fmt.Errorf("the hold %s is there already", e.Hold)
		}
		next.Spender, next.Amount = spender, e.Amount
	case Settle:
		next.Settled += e.Amount
	case Release:
		next.Released += e.Amount
	}
	if e.Amount <= 0 || next.Settled < 0 || next.Released < 0 || next.Rest() < 0 {
		return fmt.Errorf("the hold %s has %d credits left, not %d", e.Hold, h[*e.Hold].Rest(), e.Amount)
	}
	h[*e.Hold] = next
	return nil
}
