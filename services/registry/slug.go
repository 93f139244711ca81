package registry

import (
	"crypto/rand"
	"strings"
)

// maxSlug leaves room for a method's name in the 64 characters that model
// APIs allow for slug__method.
const maxSlug = 24

// slugOf makes a tool's short name out of its name: [a-z0-9-], at most 24.
func slugOf(name string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		switch {
		case (r >= 'a' && r <= 'z') || (r >= '0' && r <= '9'):
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
		if b.Len() >= maxSlug {
			break
		}
	}
	switch slug := strings.Trim(b.String(), "-"); slug {
	case "":
		return "tool"
	case Workflows:
		return Workflows + "-tool"
	default:
		return slug
	}
}

// Workflows is no tool's short name: saved workflows have it where they are called as
// tools are.
const Workflows = "workflow"

// another is a slug for a name whose own is taken.
func another(slug string) string {
	const suffix = 6
	return strings.Trim(slug[:min(len(slug), maxSlug-suffix-1)], "-") + "-" + strings.ToLower(rand.Text()[:suffix])
}
