package chain

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"

	"github.com/google/uuid"
)

// Spender is who spends: an account, with a key or with none (zeros), in an
// organisation. Entries name it by its ID, which commits to all of it: whom a
// sealed entry is about can't be told otherwise later. Without the salt nobody can
// find out by trying whom an ID stands for, so that forgetting it is forgetting.
type Spender struct {
	Organization, Account, Key uuid.UUID
	Salt                       Bytes
}

// saltSize is how many random bytes keep an ID from being guessed.
const saltSize = 16

// NewSpender gives a spender a salt.
func NewSpender(organization, account, key uuid.UUID) Spender {
	salt := make(Bytes, saltSize)
	_, _ = rand.Read(salt) // it never fails
	return Spender{Organization: organization, Account: account, Key: key, Salt: salt}
}

// ID is the commitment: SHA-256 in the 122 bits of a UUID of version 8, as RFC 9562,
// B.2 does it. Another spender for an ID that is there already takes 2^122 tries;
// making two that share one takes 2^61, before either has spent anything.
func (s Spender) ID() (id uuid.UUID) {
	text := encode("uaol ledger spender 1")
	text.bytes(s.Organization[:])
	text.bytes(s.Account[:])
	if s.Key == uuid.Nil {
		text.bytes(nil)
	} else {
		text.bytes(s.Key[:])
	}
	text.bytes(s.Salt)
	sum := sha256.Sum256(text)
	copy(id[:], sum[:])
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id
}

// Check says why an ID does not stand for this spender; nil when it does.
func (s Spender) Check(id uuid.UUID) error {
	if len(s.Salt) != saltSize || s.ID() != id {
		return errors.New("this is not the organisation, account and key that its id commits to")
	}
	return nil
}

// Uncommitted reports whether an ID is one of those, random, that were given to
// what had been spent before IDs committed to anything. They have no salt.
func Uncommitted(id uuid.UUID) bool { return id.Version() == 4 }
