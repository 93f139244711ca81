package backup

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.uber.org/zap"

	"uaol/providers/config"
	"uaol/providers/keyring"
	"uaol/providers/secrets"
)

// Config is what a backup is encrypted with.
type Config struct {
	Passphrase string `env:"UAOL_BACKUP_PASSPHRASE" secret:"true" want:"12 characters or more" doc:"what uaol backup encrypts with and uaol restore opens; without it and --passphrase-file they ask"`
}

// Check judges its length.
func (c *Config) Check() error {
	if c.Passphrase != "" && len(c.Passphrase) < MinPassphrase {
		return &config.Fault{Variable: "UAOL_BACKUP_PASSPHRASE", Value: c.Passphrase, Secret: true, Want: "12 characters or more"}
	}
	return nil
}

const (
	encryption = "ENCRYPTION_SECRET"
	signing    = "JWT_SECRET"
	service    = "UAOL_SERVICE_SECRET"
	previous   = "_PREVIOUS"
)

// variables are the secrets without which something that is stored is worth nothing, and
// the one that a deployment's processes share.
var variables = []string{encryption, encryption + previous, "ENCRYPTION_SALT", signing, signing + previous, "UAOL_LEDGER_SECRET", "UAOL_LEDGER_SECRET" + previous, service}

// kept are the names under which a data directory keeps what is not set.
var kept = map[string]string{encryption: keyring.Kept, signing: "jwt"}

// secretsOf are those of this machine's settings, by variable. It makes none.
func secretsOf(env *config.Environment) (map[string]string, error) {
	process, err := config.Parse[config.Process](env)
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for _, name := range variables {
		value, _ := env.Lookup(name)
		if value == "" && kept[name] != "" && !process.Production() && secrets.Has(process.DataDir, kept[name]) {
			if value, err = secrets.Kept(process.DataDir, kept[name]); err != nil {
				return nil, err
			}
		}
		if value != "" {
			found[name] = value
		}
	}
	return found, nil
}

// fingerprint tells whether two secrets are equal, and nothing else of them.
func fingerprint(variable, secret string) string {
	variable = strings.TrimSuffix(variable, previous)
	raw, err := hkdf.Key(sha256.New, []byte(secret), nil, "uaol backup 1: "+variable, 16)
	if err != nil { // of a length that SHA-256 can't give
		panic(err)
	}
	return hex.EncodeToString(raw)
}

func fingerprints(all map[string]string) map[string]string {
	prints := map[string]string{}
	for name, value := range all {
		prints[name] = fingerprint(name, value)
	}
	return prints
}

// settle sees to it that this machine has the secrets of a backup: those that it lacks and
// a data directory can keep are put there, and any other is an error that says what to do.
func settle(env *config.Environment, h Header) error {
	process, err := config.Parse[config.Process](env)
	if err != nil {
		return err
	}
	here, err := secretsOf(env)
	if err != nil {
		return err
	}
	put := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(h.Fingerprints)) {
		if name == service || has(here, name, h.Fingerprints[name]) {
			continue // the one that nothing stored depends on may be another
		}
		if secret, file := h.Secrets[name], kept[name]; here[name] == "" && file != "" && secret != "" && !process.Production() {
			put[file] = secret
			continue
		}
		if path := filepath.Join(process.DataDir, "secrets", kept[name]); kept[name] != "" && here[name] != "" && secrets.Has(process.DataDir, kept[name]) {
			if value, set := env.Lookup(name); !set || value == "" {
				return fmt.Errorf("%s is another secret than the backup's: restore into another UAOL_DATA_DIR, or move that file away", path)
			}
		}
		if len(h.Secrets) > 0 {
			return fmt.Errorf("%s is not set here to what the backup was made with; `uaol backup secrets FILE` prints what to set", name)
		}
		return fmt.Errorf("%s is not set here to what the backup was made with, and the backup was made without secrets: set it as it was there", name)
	}
	for _, name := range slices.Sorted(maps.Keys(put)) {
		if err := secrets.Put(process.DataDir, name, put[name]); err != nil {
			return err
		}
	}
	return nil
}

// has looks for a secret among the current one and those it replaced.
func has(here map[string]string, variable, print string) bool {
	base := strings.TrimSuffix(variable, previous)
	for _, name := range []string{base, base + previous} {
		value, set := here[name]
		if set && fingerprint(variable, value) == print {
			return true
		}
		for _, one := range strings.Split(value, ",") { // of several that were replaced
			if set && fingerprint(variable, one) == print {
				return true
			}
		}
	}
	return false
}

// ringOf is the key ring of this machine's settings; it makes no secret.
func ringOf(env *config.Environment) (*keyring.Ring, error) {
	cfg, err := config.Parse[keyring.Config](env)
	if err != nil {
		return nil, err
	}
	if cfg.Secret == "" && !secrets.Has(cfg.DataDir, keyring.Kept) {
		return nil, fmt.Errorf("no server has run on %s: set UAOL_DATA_DIR to its directory, or ENCRYPTION_SECRET to what it has", cfg.DataDir)
	}
	return keyring.New(cfg, zap.NewNop())
}

// EnvFile is the secrets as lines of an .env file.
func (h Header) EnvFile() string {
	var text strings.Builder
	for _, name := range variables {
		if value := h.Secrets[name]; value != "" {
			if strings.Contains(value, "'") {
				value = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`).Replace(value) + `"`
			} else {
				value = "'" + value + "'"
			}
			fmt.Fprintf(&text, "%s=%s\n", name, value)
		}
	}
	return text.String()
}

// temporary is a file without a name, in the directory where there is to be room.
func temporary(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, ".backup-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}
