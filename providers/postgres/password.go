package postgres

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"

	"uaol/providers/config"
)

// password is the database's, which may change while the process runs. Connections
// that are open stay so; a new one takes what is right then.
type password struct {
	file   string                 // read for each connection, when there is one
	reread func() (string, error) // looks where the URL came from; nil when nothing there can change

	mu      sync.Mutex
	value   string
	refused bool // since it was read
}

// passwordOf is the password of a config's URL, and whence it comes anew.
func passwordOf(cfg Config, env *config.Environment) *password {
	p := &password{file: cfg.PasswordFile, value: cfg.parsed.ConnConfig.Password}
	if env.File != "" && env.Source("DATABASE_URL") == ".env" {
		p.reread = func() (string, error) {
			fresh, err := env.Again()
			if err != nil {
				return "", err
			}
			cfg, err := config.Parse[Config](fresh)
			if err != nil {
				return "", err
			}
			if cfg.parsed == nil {
				return "", errors.New("DATABASE_URL is no longer in the file")
			}
			return cfg.parsed.ConnConfig.Password, nil
		}
	}
	return p
}

// now is the password for the next connection. A file that cannot be read just now,
// because it is being written, leaves what was known.
func (p *password) now() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.file != "":
		if value, err := readPassword(p.file); err == nil {
			p.value = value
		}
	case p.refused && p.reread != nil:
		if value, err := p.reread(); err == nil {
			p.value, p.refused = value, false
		}
	}
	return p.value
}

// wasRefused makes the next connection read it again.
func (p *password) wasRefused() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refused = true
}

// readPassword takes a file's text without the end of its line.
func readPassword(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	value := strings.TrimRight(string(text), "\r\n")
	if value == "" {
		return "", fmt.Errorf("%s is empty", file)
	}
	return value, nil
}

// Current is the URL with the password as it is now, for connections outside the pool.
func (c Config) Current() (string, error) {
	if c.PasswordFile == "" || c.URL == "" {
		return c.URL, nil
	}
	return c.withPassword(c.URL)
}

// Filled is another URL of the same database, with the file's password where it has none.
func (c Config) Filled(raw string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil || c.PasswordFile == "" {
		return raw, nil // what is wrong with it is said where it is used
	}
	if _, has := u.User.Password(); has {
		return raw, nil
	}
	return c.withPassword(raw)
}

func (c Config) withPassword(raw string) (string, error) {
	value, err := readPassword(c.PasswordFile)
	if err != nil {
		return "", c.passwordFault()
	}
	u, err := url.Parse(raw)
	if err != nil {
		return "", errors.New("the database's URL cannot be read")
	}
	u.User = url.UserPassword(u.User.Username(), value)
	return u.String(), nil
}

func (c Config) passwordFault() error {
	return &config.Fault{Variable: "UAOL_DATABASE_PASSWORD_FILE", Value: c.PasswordFile, Want: "a readable file that holds the password and nothing else"}
}
