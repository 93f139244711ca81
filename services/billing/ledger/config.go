package ledger

import (
	"crypto/hkdf"
	"crypto/sha256"
	"net/url"
	"path/filepath"
	"slices"

	"uaol/providers/config"
	"uaol/providers/egress"
	"uaol/providers/keyring"
	"uaol/providers/secrets"
	"uaol/services/billing/chain"
)

// Config says with what the books are sealed and where it is published.
type Config struct {
	config.Process
	egress.Proxies
	Secret   string   `env:"UAOL_LEDGER_SECRET" secret:"true" want:"a random text of at least 32 characters" doc:"signs the seals over the books of credits; 32 characters or more; without it, made of ENCRYPTION_SECRET"`
	Previous []string `env:"UAOL_LEDGER_SECRET_PREVIOUS" secret:"true" doc:"secrets that UAOL_LEDGER_SECRET replaced, or their public keys (ed25519:…), separated by commas; seals made with them go on counting"`
	File     string   `env:"UAOL_LEDGER_HEAD_FILE" want:"a file's path" doc:"file to which the last seal over the books is appended, at most once a minute; keep it where the database's administrators cannot write; default in development: ledger-heads.jsonl in the data directory"`
	Webhook  string   `env:"UAOL_LEDGER_HEAD_WEBHOOK" secret:"true" want:"a URL such as https://example.com/heads" doc:"address to which the last seal over the books is sent as JSON, at most once a minute"`
}

const headFile = "ledger-heads.jsonl"

// Check judges the secrets and the addresses.
func (c *Config) Check() error {
	if err := c.Process.Check(); err != nil {
		return err
	}
	if c.Secret != "" {
		if err := secrets.Check("UAOL_LEDGER_SECRET", c.Secret, c.Production()); err != nil {
			return err
		}
	}
	const previous = "UAOL_LEDGER_SECRET_PREVIOUS"
	for _, secret := range c.Previous {
		if chain.IsPublic(secret) {
			if _, err := chain.ParsePublic(secret); err != nil {
				return &config.Fault{Variable: previous, Value: secret, Secret: true, Want: err.Error()}
			}
		} else if err := secrets.Check(previous, secret, c.Production()); err != nil {
			return err
		}
	}
	if c.File == "" && !c.Production() {
		c.File = filepath.Join(c.DataDir, headFile)
	}
	if c.Webhook != "" {
		if u, err := url.Parse(c.Webhook); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return &config.Fault{Variable: "UAOL_LEDGER_HEAD_WEBHOOK", Value: c.Webhook, Secret: true, Want: "a URL such as https://example.com/heads"}
		}
	}
	return nil
}

// purpose is what keys are derived from ENCRYPTION_SECRET for.
const purpose = "ledger seal"

// Keys gives the key that seals and all that count. Those of ENCRYPTION_SECRET
// count even where it seals no longer: what was sealed before UAOL_LEDGER_SECRET
// was set stays sealed.
func Keys(cfg Config, ring *keyring.Ring) (*chain.Key, chain.Trusted, error) {
	all := [][]byte{[]byte(cfg.Secret), ring.Key(purpose), ring.PreviousKey(purpose)}
	var public []chain.Public
	for _, secret := range cfg.Previous {
		if !chain.IsPublic(secret) {
			all = append(all, []byte(secret))
			continue
		}
		key, err := chain.ParsePublic(secret)
		if err != nil {
			return nil, nil, err
		}
		public = append(public, key)
	}
	var signer *chain.Key
	for _, secret := range all {
		if len(secret) == 0 {
			continue
		}
		key, err := newKey(secret)
		if err != nil {
			return nil, nil, err
		}
		if signer == nil {
			signer = key
		}
		public = append(public, key.Public())
	}
	return signer, chain.NewTrusted(public...), nil
}

// Retired is the public key of what ENCRYPTION_SECRET_PREVIOUS has sealed, if nothing else
// says that it counts: once that variable goes, those seals are strangers'.
func Retired(cfg Config, ring *keyring.Ring) (public string, err error) {
	secret := ring.PreviousKey(purpose)
	if len(secret) == 0 {
		return "", nil
	}
	key, err := newKey(secret)
	if err != nil || slices.Contains(cfg.Previous, key.Public().String()) {
		return "", err
	}
	return key.Public().String(), nil
}

// newKey derives a key. The secret is long and random, so HKDF is enough.
func newKey(secret []byte) (*chain.Key, error) {
	seed, err := hkdf.Key(sha256.New, secret, nil, "uaol ledger seal 1", 32)
	if err != nil {
		return nil, err
	}
	return chain.NewKey(seed)
}
