// Package keyring seals what is stored secret: AES-256-GCM under a key that
// ENCRYPTION_SECRET gives, with older keys kept for reading until everything has
// been sealed anew.
package keyring

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"uaol/providers/config"
	"uaol/providers/secrets"
)

// Config is where the keys come from.
type Config struct {
	config.Process
	Secret   string `env:"ENCRYPTION_SECRET" secret:"true" doc:"encrypts stored credentials; 32 characters or more; development makes one in the data directory"`
	Previous string `env:"ENCRYPTION_SECRET_PREVIOUS" secret:"true" doc:"the secret that ENCRYPTION_SECRET replaced; needed until uaol secrets rotate has run, which says what to keep of it"`
	Salt     string `env:"ENCRYPTION_SALT" secret:"true" doc:"mixed into ENCRYPTION_SECRET's keys; changing it makes what is stored unreadable"`
}

// Check judges the secrets.
func (c *Config) Check() error {
	if err := c.Process.Check(); err != nil {
		return err
	}
	if err := secrets.Check("ENCRYPTION_SECRET", c.Secret, c.Production()); err != nil {
		return err
	}
	if c.Previous == "" {
		return nil
	}
	return secrets.Check("ENCRYPTION_SECRET_PREVIOUS", c.Previous, c.Production())
}

// Ring is the keys, the current one first.
type Ring struct {
	keys         []key
	secret, salt string // the current ones
	previous     string // "" when there is none
}

type key struct {
	id   [idSize]byte // tells keys apart in what they sealed
	aead cipher.AEAD
}

// Kept is the name under which a data directory keeps the secret that was made for it.
const Kept = "encryption"

const (
	version = 1
	idSize  = 4
	prefix  = 1 + idSize // before the nonce
)

// New makes a Ring; in development it makes the secret if it is missing.
func New(cfg Config, log *zap.Logger) (*Ring, error) {
	if cfg.Secret == "" {
		var err error
		if cfg.Secret, err = secrets.Kept(cfg.DataDir, Kept); err != nil {
			return nil, err
		}
		log.Info("ENCRYPTION_SECRET not set, using the one made in the data directory")
	}
	r := &Ring{secret: cfg.Secret, salt: cfg.Salt, previous: cfg.Previous}
	for _, secret := range []string{cfg.Secret, cfg.Previous} {
		if secret == "" {
			continue
		}
		k, err := newKey(secret, cfg.Salt)
		if err != nil {
			return nil, err
		}
		r.keys = append(r.keys, k)
	}
	return r, nil
}

// newKey derives a key and its id. The secret is long and random, so HKDF is
// enough; a slow hash is for passwords.
func newKey(secret, salt string) (k key, err error) {
	raw, err := hkdf.Key(sha256.New, []byte(secret), []byte(salt), "uaol keyring 1", 32+idSize)
	if err != nil {
		return key{}, err
	}
	copy(k.id[:], raw[32:])
	block, err := aes.NewCipher(raw[:32])
	if err != nil {
		return key{}, err
	}
	k.aead, err = cipher.NewGCM(block)
	return k, err
}

// Seal encrypts a text. It opens only with the same bond, which says whose it
// is: moved to another row, it is worthless.
func (r *Ring) Seal(plain []byte, bond string) []byte {
	k := r.keys[0]
	sealed := make([]byte, prefix+k.aead.NonceSize(), prefix+k.aead.NonceSize()+len(plain)+k.aead.Overhead())
	sealed[0] = version
	copy(sealed[1:], k.id[:])
	nonce := sealed[prefix:]
	rand.Read(nonce)
	return k.aead.Seal(sealed, nonce, plain, additional(sealed[:prefix], bond))
}

var errBroken = errors.New("what is stored was changed, or is not this one's")

// Open decrypts what Seal made with any key of the ring.
func (r *Ring) Open(sealed []byte, bond string) ([]byte, error) {
	if len(sealed) < prefix || sealed[0] != version {
		return nil, errBroken
	}
	for _, k := range r.keys {
		if !bytes.Equal(k.id[:], sealed[1:prefix]) {
			continue
		}
		if len(sealed) < prefix+k.aead.NonceSize() {
			return nil, errBroken
		}
		nonce, text := sealed[prefix:prefix+k.aead.NonceSize()], sealed[prefix+k.aead.NonceSize():]
		plain, err := k.aead.Open(nil, nonce, text, additional(sealed[:prefix], bond))
		if err != nil {
			return nil, errBroken
		}
		return plain, nil
	}
	return nil, fmt.Errorf("it was sealed with a secret that is not known here; name it in ENCRYPTION_SECRET_PREVIOUS")
}

// SealText seals a value for somebody who carries it for us, such as a browser or a
// client: as one word that fits into an address or a header.
func (r *Ring) SealText(value any, bond string) string {
	plain, err := json.Marshal(value)
	if err != nil { // what is sealed is made of texts, numbers and ids, which can be written
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(r.Seal(plain, bond))
}

// OpenText reads what SealText made; false for anything else.
func (r *Ring) OpenText(text, bond string, value any) bool {
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return false
	}
	plain, err := r.Open(sealed, bond)
	return err == nil && json.Unmarshal(plain, value) == nil
}

// Current is what everything sealed with the current key begins with: all else
// wants to be sealed anew.
func (r *Ring) Current() []byte {
	return append([]byte{version}, r.keys[0].id[:]...)
}

func additional(prefix []byte, bond string) []byte {
	return append(append([]byte(nil), prefix...), bond...)
}

// Key derives a key of 32 bytes for another purpose than sealing, such as keyed
// digests. Equal purposes have equal keys in every process with the same secret.
// Replacing ENCRYPTION_SECRET changes it, and there is no way back: digests made
// before are not those made afterwards.
func (r *Ring) Key(purpose string) []byte { return keyOf(r.secret, r.salt, purpose) }

// PreviousKey is what Key gave before ENCRYPTION_SECRET was replaced, as long as
// ENCRYPTION_SECRET_PREVIOUS still names what it replaced; nil otherwise. It is
// for recognising what was made with it.
func (r *Ring) PreviousKey(purpose string) []byte {
	if r.previous == "" {
		return nil
	}
	return keyOf(r.previous, r.salt, purpose)
}

func keyOf(secret, salt, purpose string) []byte {
	raw, err := hkdf.Key(sha256.New, []byte(secret), []byte(salt), "uaol key 1: "+purpose, 32)
	if err != nil { // of a length that SHA-256 can't give
		panic(err)
	}
	return raw
}
