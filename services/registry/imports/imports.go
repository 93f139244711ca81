// Package imports reads descriptions of tools that other programs write: the
// official MCP registry's server.json, the mcpServers file of desktop clients,
// OpenAPI documents. It does no I/O and keeps nothing.
package imports

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"uaol/providers/upstream"
	"uaol/services/registry/credentials"
)

// Entry is a tool that a document describes.
type Entry struct {
	SourceName       string // what it is called where it comes from; unique there
	Name             string
	Description      string
	Version          string // in its author's words
	Tags             []string
	DocumentationURL string

	GatewayURL string
	Protocol   string
	Command    *upstream.Command
	Inject     credentials.Injection
	OAuth      *credentials.OAuth
	Operations []upstream.Operation

	// Secrets are those that the document held in clear, by the name that Inject
	// calls them by. They are never logged or stored with the entry.
	Secrets map[string]string `json:"-"`
	Deleted bool              // its source has taken it back
	Updated time.Time         // by its source
}

// Skipped is what a document describes and nobody can call, and why.
type Skipped struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// Bounds of what is taken from a document.
const (
	maxName        = 100
	maxDescription = 2000
	maxTags        = 20
	maxTag         = 50
	maxAddress     = 2048
)

// Digest tells whether an entry has changed since it was imported. Its author's
// version number alone is no change.
func (e Entry) Digest() string {
	e.Version, e.Updated = "", time.Time{}
	text, err := json.Marshal(e)
	if err != nil { // an Operation's schema that is not JSON; no parser makes one
		return ""
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// tidy bounds what is shown to people and drops what no text should hold.
func (e *Entry) tidy() {
	e.Name = line(e.Name, maxName)
	e.Description = clean(e.Description, maxDescription)
	var tags []string
	for _, tag := range e.Tags {
		if tag = line(tag, maxTag); tag != "" && len(tags) < maxTags {
			tags = append(tags, tag)
		}
	}
	e.Tags = tags
	if len(e.DocumentationURL) > maxAddress || !isHTTP(e.DocumentationURL) {
		e.DocumentationURL = ""
	}
}

func isHTTP(address string) bool {
	return strings.HasPrefix(address, "https://") || strings.HasPrefix(address, "http://")
}

// line is a text on one line.
func line(text string, most int) string {
	return clean(strings.Join(strings.Fields(text), " "), most)
}

// clean drops control characters, which PostgreSQL does not store and terminals
// obey, and cuts at a whole character. Invisible ones stay, for the review to flag.
func clean(text string, most int) string {
	text = strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "�")))
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return strings.TrimSpace(text[:most])
}

// placeholder is how a secret is written into headers, arguments and variables.
func placeholder(name string) string { return "{{secret." + name + "}}" }

var notInSecretNames = regexp.MustCompile(`[^A-Za-z0-9_]+`)

// secretName makes a name for a secret out of anything: a letter first, then
// letters, digits and _, at most 64.
func secretName(text string) string {
	name := strings.Trim(notInSecretNames.ReplaceAllString(text, "_"), "_")
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		name = "secret_" + name
	}
	return strings.TrimRight(name[:min(len(name), 64)], "_")
}

var (
	secretNames  = regexp.MustCompile(`(?i)key|token|secret|passw|passphrase|pwd|credential|authorization|auth$|cookie|session|private|bearer|signature|dsn$|connection.?string`)
	secretValues = regexp.MustCompile(`://[^/\s:@]*:[^/\s@]+@|^(?i:bearer|basic)\s|^(sk-|sk_|pk_|rk_|gh[opsu]_|github_pat_|glpat-|xox[abpors]-|AKIA|AIza|eyJ|ya29\.|npm_|hf_)|-----BEGIN `)
)

// looksSecret judges by a name and a value whether the value is to be kept
// secret; in doubt it is.
func looksSecret(name, value string) bool {
	return value != "" && (secretNames.MatchString(name) || secretValues.MatchString(value))
}

var headerName = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$")

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,99}$`)

func put(into *map[string]string, name, value string) {
	if *into == nil {
		*into = map[string]string{}
	}
	(*into)[name] = value
}
