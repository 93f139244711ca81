package credentials

import (
	"maps"
	"net/http"
	"net/textproto"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"uaol/services"
)

// template is a text with {{secret.NAME}} in it, read: texts and the names
// between them, one fewer.
type template struct {
	texts []string
	names []string
}

const (
	opening      = "{{"
	closing      = "}}"
	prefix       = "secret."
	maxTemplate  = 4096 // bytes of one template
	maxTemplates = 50   // in one place
	clientSecret = "oauth_client_secret"
)

var nameForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,63}$`)

// parse reads a template; what is wrong with it is for people.
func parse(text string) (t template, wrong string) {
	if len(text) > maxTemplate {
		return t, "is too long: 4096 bytes at most"
	}
	for {
		before, rest, found := strings.Cut(text, opening)
		t.texts = append(t.texts, before)
		if !found {
			return t, ""
		}
		inside, after, closed := strings.Cut(rest, closing)
		name, secret := strings.CutPrefix(inside, prefix)
		switch {
		case !closed:
			return t, "has {{ without }}"
		case !secret || !nameForm.MatchString(name):
			return t, "has a placeholder that is not like {{secret.NAME}}; a name is of letters, digits and _, at most 64"
		case name == clientSecret:
			return t, "names oauth_client_secret, which is for the authorization server alone"
		}
		t.names = append(t.names, name)
		text = after
	}
}

// fill puts values into the template. What a value holds is not read again.
func (t template) fill(values map[string]string) string {
	var b strings.Builder
	for i, text := range t.texts {
		b.WriteString(text)
		if i < len(t.names) {
			b.WriteString(values[t.names[i]])
		}
	}
	return b.String()
}

// names are those of the secrets that an injection takes, sorted.
func (i Injection) names() []string {
	wanted := map[string]bool{}
	for _, place := range []map[string]string{i.Headers, i.Arguments, i.Env} {
		for _, text := range place {
			t, _ := parse(text)
			for _, name := range t.names {
				wanted[name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(wanted))
}

// inHeader reports whether a secret goes into a header.
func (i Injection) inHeader(name string) bool {
	for _, text := range i.Headers {
		if t, _ := parse(text); slices.Contains(t.names, name) {
			return true
		}
	}
	return false
}

// Check judges what a definition says of credentials, each fault with its path
// in the definition, such as inject.headers.X-Key.
func Check(inject Injection, oauth *OAuth) []services.Fault {
	var faults faults
	faults.headers(inject.Headers, oauth != nil)
	faults.arguments(inject.Arguments)
	faults.env(inject.Env)
	if oauth != nil {
		faults.oauth(*oauth)
	}
	return faults
}

type faults []services.Fault

func (f *faults) add(path, message string) {
	*f = append(*f, services.Fault{Path: path, Message: message})
}

// templates judges what is common to all places, in the order of names.
func (f *faults) templates(path string, place map[string]string, name func(name string) string) {
	if len(place) > maxTemplates {
		f.add(path, "has too many entries: 50 at most")
	}
	for _, n := range slices.Sorted(maps.Keys(place)) {
		at := path + "." + n
		if wrong := name(n); wrong != "" {
			f.add(at, wrong)
		}
		if _, wrong := parse(place[n]); wrong != "" {
			f.add(at, wrong)
		} else if strings.ContainsFunc(place[n], control) {
			f.add(at, "must not have control characters")
		}
	}
}

// ours are headers that the protocols or the HTTP client set. Cookie is not one
// of them: some servers take nothing else.
var ours = []string{
	"Accept", "Accept-Encoding", "Connection", "Content-Encoding", "Content-Length", "Content-Type", "Expect", "Host", "Keep-Alive",
	"Last-Event-Id", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Via", "X-Http-Method-Override",
}

var oursBegin = []string{"Mcp-", "Proxy-", "Sec-", "X-Uaol-"}

func (f *faults) headers(place map[string]string, oauth bool) {
	seen := map[string]bool{}
	f.templates("inject.headers", place, func(name string) string {
		canonical := textproto.CanonicalMIMEHeaderKey(name)
		twice := seen[canonical]
		seen[canonical] = true
		switch {
		case len(name) > 100 || !httpguts.ValidHeaderFieldName(name):
			return "is not a header's name"
		case twice:
			return "stands there twice: letters' case does not count in headers"
		case slices.Contains(ours, canonical) || hasPrefix(canonical, oursBegin):
			return "is set by the protocol; choose another header"
		case oauth && canonical == "Authorization":
			return "is where the token goes that oauth gets"
		}
		return ""
	})
}

func (f *faults) arguments(place map[string]string) {
	f.templates("inject.arguments", place, func(name string) string {
		if name == "" || len(name) > 128 || strings.ContainsFunc(name, control) {
			return "is not an argument's name: 1 to 128 characters, no control characters"
		}
		return ""
	})
}

// loaders are variables that make programs run something else.
var (
	loaders      = []string{"PATH", "HOME", "SHELL", "IFS", "ENV", "BASH_ENV", "TMPDIR", "PROMPT_COMMAND", "GCONV_PATH", "CLASSPATH", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "JAVA_TOOL_OPTIONS"}
	loadersBegin = []string{"LD_", "DYLD_", "GLIBC_", "MALLOC_", "NODE_", "NPM_CONFIG_", "PYTHON", "PERL", "RUBY", "GIT_", "BASH_FUNC_", "UAOL_"}
	envForm      = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)
)

func (f *faults) env(place map[string]string) {
	f.templates("inject.env", place, func(name string) string {
		upper := strings.ToUpper(name)
		switch {
		case !envForm.MatchString(name):
			return "is not a variable's name"
		case slices.Contains(loaders, upper) || hasPrefix(upper, loadersBegin):
			return "decides what the program runs; choose another variable"
		}
		return ""
	})
}

func (f *faults) oauth(o OAuth) {
	if o.Grant != clientCredentials && o.Grant != authorizationCode {
		f.add("oauth.grant", "must be client_credentials or authorization_code")
	}
	unnamed := o.ClientID == "" && (o.Grant != authorizationCode || o.TokenURL != "")
	if unnamed || len(o.ClientID) > 500 || strings.ContainsFunc(o.ClientID, control) {
		f.add("oauth.client_id", "must be the client's id at the authorization server, at most 500 characters; only where people consent at a server that is discovered it may be left out")
	}
	for path, address := range map[string]string{"oauth.authorize_url": o.AuthorizeURL, "oauth.token_url": o.TokenURL, "oauth.resource": o.Resource} {
		if address != "" && !isAddress(address) {
			f.add(path, "must be an http or https URL without a user name and a fragment")
		}
	}
	if (o.Grant == authorizationCode) && (o.AuthorizeURL == "") != (o.TokenURL == "") {
		f.add("oauth.token_url", "goes together with authorize_url: give both, or none to have them discovered")
	}
	if len(o.Scopes) > maxScopes {
		f.add("oauth.scopes", "has too many entries: 50 at most")
	}
	for _, scope := range o.Scopes {
		if !scopeForm.MatchString(scope) {
			f.add("oauth.scopes", "must each be a scope: visible characters without quotes and backslashes, at most 200")
		}
	}
	slices.SortFunc(*f, func(a, b services.Fault) int { return strings.Compare(a.Path, b.Path) })
}

// scopeForm is RFC 6749's scope-token.
var scopeForm = regexp.MustCompile(`^[!#-\[\]-~]{1,200}$`)

func isAddress(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && len(raw) <= 2000 && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.User == nil &&
		!strings.ContainsAny(raw, "#\\") && !strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r == 0x7f })
}

func hasPrefix(text string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(text, p) })
}

func control(r rune) bool { return r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) }

// expand fills an injection. It refuses values that a place can't carry, also
// those that were set before the template put them there.
func (i Injection) expand(values map[string]string) (c Carried, err error) {
	c = Carried{Headers: map[string]string{}, Arguments: map[string]string{}, Env: map[string]string{}}
	for _, place := range []struct {
		texts, into map[string]string
		what        string
		takes       func(string) bool
	}{
		{i.Headers, c.Headers, "header", func(v string) bool { return httpguts.ValidHeaderFieldValue(v) && !strings.ContainsFunc(v, control) }},
		{i.Arguments, c.Arguments, "argument", func(v string) bool { return !strings.Contains(v, "\x00") }},
		{i.Env, c.Env, "variable", func(v string) bool { return !strings.Contains(v, "\x00") }},
	} {
		for name, text := range place.texts {
			t, wrong := parse(text)
			if wrong != "" {
				return Carried{}, services.Errorf(services.Internal, "the template of %s %s", name, wrong)
			}
			value := t.fill(values)
			if !place.takes(value) {
				return Carried{}, services.Errorf(services.Invalid, "The %s %s can't carry what its secrets hold: control characters; give them again", place.what, name).
					WithCode(CodeRequired)
			}
			if place.what == "header" {
				name = http.CanonicalHeaderKey(name)
			}
			place.into[name] = value
		}
	}
	return c, nil
}
