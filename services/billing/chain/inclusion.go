package chain

import (
	"errors"
	"fmt"

	"github.com/google/uuid"
)

// Inclusion shows that an entry is sealed, to whoever has only the entry and the
// public keys.
type Inclusion struct {
	Organization uuid.UUID `json:"organizationId"`
	Seq          int64     `json:"seq"`
	Range        Range     `json:"range"`
	Path         []Bytes   `json:"path"`      // of the entry in its range
	Place        int64     `json:"place"`     // of the range among those of the seal, from 0
	Ranges       int64     `json:"ranges"`    // how many the seal has
	RangePath    []Bytes   `json:"rangePath"` // of the range in its seal
	Seal         Seal      `json:"seal"`
}

// Verify says why the entry is not shown to be sealed; nil when it is.
func (i Inclusion) Verify(e Entry, trusted Trusted) error {
	if e.Organization != i.Organization || e.Organization != i.Range.Organization || e.Seq != i.Seq {
		return errors.New("this is about another entry")
	}
	if err := proved(e.Leaf(), i.Seq-i.Range.First, i.Range.Size(), i.Path, i.Range.Digest); err != nil {
		return fmt.Errorf("the entry is not in its range: %w", err)
	}
	if err := proved(i.Range.Leaf(), i.Place, i.Ranges, i.RangePath, i.Seal.Root); err != nil {
		return fmt.Errorf("the range is not in its seal: %w", err)
	}
	if err := trusted.Check(i.Seal); err != nil {
		return fmt.Errorf("the seal does not count: %w", err)
	}
	return nil
}
