// Package dialect tells the databases apart that speak PostgreSQL's protocol.
package dialect

import "strings"

// Cockroach reports whether version()'s answer is CockroachDB's.
func Cockroach(version string) bool { return strings.HasPrefix(version, "CockroachDB") }

// Name gives version()'s answer in two words.
func Name(version string) string {
	words := strings.Fields(version)
	switch {
	case Cockroach(version) && len(words) > 2:
		return words[0] + " " + words[2]
	case len(words) > 1:
		return words[0] + " " + words[1]
	}
	return version
}
