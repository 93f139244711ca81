package chain

import (
	"crypto/ed25519"
	"errors"
)

// SignText signs a text for a purpose: a signature for one purpose is none for
// another.
func (k *Key) SignText(purpose string, text []byte) Bytes {
	message := encode("uaol ledger text 1")
	message.bytes([]byte(purpose))
	message.bytes(text)
	return ed25519.Sign(k.secret, message)
}

// CheckText says why a text's signature does not count; nil when it does.
func (t Trusted) CheckText(purpose string, text []byte, keyID, signature Bytes) error {
	public, known := t[string(keyID)]
	if !known {
		return errors.New("it is signed with a key that is not trusted here")
	}
	message := encode("uaol ledger text 1")
	message.bytes([]byte(purpose))
	message.bytes(text)
	if !ed25519.Verify(ed25519.PublicKey(public), message, signature) {
		return errors.New("its signature is wrong: it was changed, or never signed")
	}
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (p Public) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Public) UnmarshalText(text []byte) error {
	key, err := ParsePublic(string(text))
	*p = key
	return err
}
