// Package secrets judges the secrets that an operator sets and, in
// development, makes the ones that are missing.
package secrets

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"uaol/providers/config"
)

// MinLength is the fewest characters a secret may have.
const MinLength = 32

// wellKnown are pieces of secrets that stand in public: the original's
// defaults and what people paste from examples.
var wellKnown = []string{
	"change-me", "changeme", "change-in-production", "change_this", "change-this", "your-secret", "your_secret",
	"your-jwt", "your-super-secret", "default-secret", "default-encryption", "example", "password", "secret-key-here",
	"development", "dev-secret", "insecure", "00000000", "12345678",
}

// Check returns a Fault when a secret can't be used. In development a missing
// one is fine: it will be made.
func Check(variable, value string, production bool) error {
	want := fmt.Sprintf("a random text of at least %d characters, for example from `openssl rand -base64 48`", MinLength)
	if value == "" {
		if production {
			return &config.Fault{Variable: variable, Want: want}
		}
		return nil
	}
	if !production {
		return nil
	}
	fault := &config.Fault{Variable: variable, Value: value, Secret: true, Want: want}
	if len(value) < MinLength || distinct(value) < 8 {
		return fault
	}
	for _, known := range wellKnown {
		if strings.Contains(strings.ToLower(value), known) {
			fault.Want = "a secret that is not publicly known; " + want
			return fault
		}
	}
	return nil
}

func distinct(s string) int {
	seen := map[rune]bool{}
	for _, r := range s {
		seen[r] = true
	}
	return len(seen)
}

// Has reports whether a data directory keeps a secret under a name.
func Has(dataDir, name string) bool {
	text, err := os.ReadFile(filepath.Join(dataDir, "secrets", name))
	return err == nil && len(text) >= MinLength
}

// Kept gives the secret that this data directory keeps under a name, made at
// the first call. Several processes may ask at once: they get the same one.
func Kept(dataDir, name string) (string, error) {
	path := filepath.Join(dataDir, "secrets", name)
	text, err := os.ReadFile(path)
	if err == nil && len(text) >= MinLength {
		return string(text), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("secret %s cannot be read: %w", name, err)
	}
	raw := make([]byte, 48)
	rand.Read(raw)
	if err := keep(path, name, base64.RawURLEncoding.EncodeToString(raw)); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err // or somebody else was first, and then theirs counts
	}
	text, err = os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("secret %s cannot be read: %w", name, err)
	}
	if len(text) < MinLength { // never sign with what anybody could guess
		return "", fmt.Errorf("secret %s is damaged: remove %s to have a new one made", name, path)
	}
	return string(text), nil
}

// Put keeps a secret that came from elsewhere, in a data directory that has none under
// that name: another one that is there is an error.
func Put(dataDir, name, secret string) error {
	path := filepath.Join(dataDir, "secrets", name)
	err := keep(path, name, secret)
	if errors.Is(err, fs.ErrExist) {
		if text, e := os.ReadFile(path); e == nil && string(text) == secret {
			return nil
		}
	}
	return err
}

// keep writes a secret whole under another name, and then links it: that fails when
// there is one already.
func keep(path, name, secret string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("secret %s cannot be kept: %w", name, err)
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), name+"-") // mode 0600
	if err != nil {
		return fmt.Errorf("secret %s cannot be kept: %w", name, err)
	}
	defer os.Remove(temporary.Name())
	_, err = temporary.WriteString(secret)
	if err = errors.Join(err, temporary.Sync(), temporary.Close()); err != nil {
		return err
	}
	if err := os.Link(temporary.Name(), path); err != nil {
		return fmt.Errorf("secret %s cannot be kept: %w", name, err)
	}
	return nil
}
