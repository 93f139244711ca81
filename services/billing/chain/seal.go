package chain

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/transparency-dev/merkle/rfc6962"
)

// Range is some entries of an organisation that follow each other.
type Range struct {
	Organization uuid.UUID `json:"organizationId"`
	First        int64     `json:"firstSeq"`
	Last         int64     `json:"lastSeq"`
	Digest       Bytes     `json:"digest"` // the root over its entries
}

// Leaf is what of a range goes into its seal.
func (r Range) Leaf() [32]byte {
	text := encode("uaol ledger range 1")
	text.bytes(r.Organization[:])
	text.number(r.First)
	text.number(r.Last)
	text.bytes(r.Digest)
	return [32]byte(rfc6962.DefaultHasher.HashLeaf(text))
}

// Size is how many entries it covers.
func (r Range) Size() int64 { return r.Last - r.First + 1 }

// Seal is a signed statement about ranges and about the seal before it.
type Seal struct {
	Number    int64     `db:"number" json:"number"`
	Previous  Bytes     `db:"previous" json:"previous"` // the digest of the one before; Genesis for the first
	Root      Bytes     `db:"root" json:"root"`         // over its ranges, in the order of their organisations' ids
	Entries   int64     `db:"entries" json:"entries"`
	SealedAt  time.Time `db:"sealed_at" json:"sealedAt"`
	KeyID     Bytes     `db:"key_id" json:"keyId"`
	Signature Bytes     `db:"signature" json:"signature"`
}

// Genesis stands for the seal before the first.
func Genesis() Bytes { return make(Bytes, sha256.Size) }

// MarshalJSON writes the time as the database keeps it.
func (s Seal) MarshalJSON() ([]byte, error) {
	type plain Seal
	s.SealedAt = moment(s.SealedAt)
	return json.Marshal(plain(s))
}

// Digest covers all of the seal but its signature, and through the one before all
// that was ever sealed.
func (s Seal) Digest() [32]byte {
	text := encode("uaol ledger seal 1")
	text.number(s.Number)
	text.bytes(s.Previous)
	text.bytes(s.Root)
	text.number(s.Entries)
	text.number(s.SealedAt.UnixMicro())
	text.bytes(s.KeyID)
	return sha256.Sum256(text)
}

// Head is what is published of the last seal: who has it can tell whether the
// books were written anew.
type Head struct {
	Number   int64     `json:"number"`
	Digest   Bytes     `json:"digest"`
	SealedAt time.Time `json:"sealedAt"`
}

// Head is the seal as it is published.
func (s Seal) Head() Head {
	digest := s.Digest()
	return Head{Number: s.Number, Digest: digest[:], SealedAt: moment(s.SealedAt)}
}

// Public is a key that signatures are checked with.
type Public ed25519.PublicKey

// publicPrefix tells a public key from a secret.
const publicPrefix = "ed25519:"

// ParsePublic reads what String wrote.
func ParsePublic(text string) (Public, error) {
	digits, ok := strings.CutPrefix(text, publicPrefix)
	raw, err := hex.DecodeString(digits)
	if !ok || err != nil || len(raw) != ed25519.PublicKeySize {
		return nil, errors.New("a public key is " + publicPrefix + " and 64 hexadecimal digits")
	}
	return raw, nil
}

// IsPublic reports whether a text is meant to be a public key.
func IsPublic(text string) bool { return strings.HasPrefix(text, publicPrefix) }

// String is the key in the form that ParsePublic reads.
func (p Public) String() string { return publicPrefix + hex.EncodeToString(p) }

// ID names the key in seals.
func (p Public) ID() Bytes {
	sum := sha256.Sum256(p)
	return sum[:8]
}

// Key signs seals.
type Key struct{ secret ed25519.PrivateKey }

// NewKey makes a Key of a secret of 32 bytes.
func NewKey(secret []byte) (*Key, error) {
	if len(secret) != ed25519.SeedSize {
		return nil, fmt.Errorf("a key is made of %d bytes, not %d", ed25519.SeedSize, len(secret))
	}
	return &Key{secret: ed25519.NewKeyFromSeed(secret)}, nil
}

// Public is the key that others need.
func (k *Key) Public() Public { return Public(k.secret.Public().(ed25519.PublicKey)) }

// Sign completes a seal.
func (k *Key) Sign(s Seal) Seal {
	s.SealedAt, s.KeyID = moment(s.SealedAt), k.Public().ID()
	digest := s.Digest()
	s.Signature = ed25519.Sign(k.secret, digest[:])
	return s
}

// Trusted are the public keys, by id, whose signatures count.
type Trusted map[string]Public

// NewTrusted makes a set of keys.
func NewTrusted(keys ...Public) Trusted {
	t := Trusted{}
	for _, key := range keys {
		t[string(key.ID())] = key
	}
	return t
}

// Check says what is wrong with a seal's signature.
func (t Trusted) Check(s Seal) error {
	key, known := t[string(s.KeyID)]
	if !known {
		return fmt.Errorf("it is signed with the key %s, which is not trusted; if it was one of yours, name it in UAOL_LEDGER_SECRET_PREVIOUS", s.KeyID)
	}
	if digest := s.Digest(); !ed25519.Verify(ed25519.PublicKey(key), digest[:], s.Signature) {
		return errors.New("its signature is not that of its key")
	}
	return nil
}
