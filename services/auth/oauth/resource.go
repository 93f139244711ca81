package oauth

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Family is the path of the protected resource. What lies below it are parts of it,
// which tokens may be for alone: one tool's, at /t/, one profile's, at /p/, and what only
// searches, in the whole or in a profile, at /search.
const Family = "/mcp"

// Scope is the only one there is: that which keys need to use the resource. Listing
// tools and calling them are posted alike, so that to tell them apart would promise what
// nobody keeps.
const Scope = "mcp:write"

// offline is asked for by programs that want refresh tokens; who gets them, their
// metadata says.
const offline = "offline_access"

// Known are those of some scopes that are ours, as they are stored.
func Known(scopes []string) string {
	if slices.Contains(scopes, Scope) {
		return Scope
	}
	return ""
}

var partForm = regexp.MustCompile(`^(/t/[A-Za-z0-9][A-Za-z0-9_-]{0,99}|(/p/[A-Za-z0-9][A-Za-z0-9_-]{0,99})?(/search)?)$`)

// Covering are the resources for which a token may be given that counts at one: it and
// those that it is below, up to the family's.
func Covering(resource, family string) []string {
	all := []string{resource}
	for above := resource; strings.HasPrefix(above, family+"/"); {
		above = above[:strings.LastIndexByte(above, '/')]
		if partForm.MatchString(above[len(family):]) {
			all = append(all, above)
		}
	}
	return all
}

// resourceOf is a resource indicator (RFC 8707) in the spelling that tokens have it in;
// false when it is not of ours. Without one the whole resource is meant, and so it is by
// the server's own address, which is what its metadata is found by.
func resourceOf(base, said string) (resource string, ok bool) {
	if said == "" {
		return base + Family, true
	}
	whole, okBase := normal(base)
	given, okGiven := normal(said)
	rest, below := strings.CutPrefix(given, whole)
	switch {
	case !okBase || !okGiven || !below:
		return "", false
	case rest == "":
		return base + Family, true
	}
	part, below := strings.CutPrefix(rest, Family)
	return base + Family + part, below && partForm.MatchString(part)
}

// normal is a URL without what makes no difference: the case of scheme and host, a
// port that goes without saying, a slash at the end.
func normal(raw string) (string, bool) {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || strings.Contains(raw, "#") {
		return "", false
	}
	scheme, host := strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	if scheme != "http" && scheme != "https" {
		return "", false
	}
	host = strings.TrimSuffix(host, map[string]string{"http": ":80", "https": ":443"}[scheme])
	return scheme + "://" + host + strings.TrimRight(u.EscapedPath(), "/"), true
}
