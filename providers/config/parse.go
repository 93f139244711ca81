package config

import (
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"regexp"
	"strings"

	"github.com/caarlos0/env/v11"
)

// Fault is one bad or missing setting. Its text is the one line an operator
// sees: the variable, what it holds (masked when secret) and what is wanted.
type Fault struct {
	Variable string
	Value    string
	Secret   bool
	Want     string
}

func (f *Fault) Error() string {
	if f.Value == "" {
		return fmt.Sprintf("%s is not set; want %s", f.Variable, f.Want)
	}
	return fmt.Sprintf("%s holds %s; want %s", f.Variable, show(f.Value, f.Secret), f.Want)
}

// Checker is a config that can tell more about itself than its types do.
type Checker interface {
	// Check returns a *Fault for the first setting that can't be used.
	Check() error
}

// Parse fills a config struct from the environment and checks it. Tags: `env`
// names the variable, `envDefault` its default, `doc` explains it, `want`
// says what is accepted, `secret:"true"` masks it.
func Parse[T any](e *Environment) (T, error) {
	var cfg T
	err := parseInto(e, &cfg)
	return cfg, err
}

// parseInto is Parse for a pointer to any config struct.
func parseInto(e *Environment, cfg any) error {
	set := map[string]string{}
	for name, value := range e.values {
		if value != "" {
			set[name] = value
		}
	}
	if err := env.ParseWithOptions(cfg, env.Options{Environment: set}); err != nil {
		return explain(reflect.TypeOf(cfg), e, err)
	}
	if checker, ok := cfg.(Checker); ok {
		return checker.Check()
	}
	return nil
}

// explain turns the library's errors, which name Go fields, into a Fault.
func explain(t reflect.Type, e *Environment, err error) error {
	var aggregate env.AggregateError
	if !errors.As(err, &aggregate) || len(aggregate.Errors) == 0 {
		return err
	}
	var parse env.ParseError
	if !errors.As(aggregate.Errors[0], &parse) {
		return aggregate.Errors[0]
	}
	for _, s := range settings(t) {
		if s.field == parse.Name {
			value, _ := e.Lookup(s.Variable)
			return &Fault{Variable: s.Variable, Value: value, Secret: s.Secret, Want: s.Want}
		}
	}
	return fmt.Errorf("a setting for %s cannot be read", parse.Name)
}

// show quotes a value for an error line. A secret shows only its length, and a
// URL never shows its password.
func show(value string, secret bool) string {
	if secret {
		return fmt.Sprintf("a text of %d characters", len(value))
	}
	const most = 80
	value = strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, Redact(value))
	if len(value) > most {
		value = value[:most] + "…"
	}
	return `"` + value + `"`
}

var (
	schemeForm   = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9+.-]*://`)
	portForm     = regexp.MustCompile(`^\d{1,5}($|[/?#])`)
	passwordForm = regexp.MustCompile(`(?i)(pass\w*|pwd)\s*=`)
	escape       = regexp.MustCompile(`%[0-9a-fA-F]{2}`)
)

// Redact hides whatever could be a password: in a URL, in a text that only
// nearly is one, and in the name=value form of libpq. In doubt it hides more.
func Redact(value string) string {
	start := len(schemeForm.FindString(value))
	at, named := strings.LastIndex(value, "@"), passwordForm.FindStringIndex(value)
	if named != nil && at > named[1] { // both a name and an @: which one ends the password?
		end := named[1]
		if colon := strings.IndexByte(value[start:], ':'); colon >= 0 {
			end = min(end, start+colon+1)
		}
		return value[:end] + "***"
	}
	if named != nil {
		value = value[:named[1]] + "***"
	} else if base, query, ok := strings.Cut(value, "?"); ok && passwordForm.MatchString(unescape(query)) {
		value = base + "?***"
	}
	if at < start || at >= len(value) {
		return redactCut(value)
	}
	if user, _, hasPassword := strings.Cut(value[start:at], ":"); hasPassword {
		value = value[:start] + user + ":***" + value[at:]
	}
	return value
}

// redactCut is for URLs without an @, one or several. One that was cut off may
// end inside its password: what follows a colon is shown only if it is a port.
func redactCut(value string) string {
	shown := 0
	for part := range strings.SplitSeq(value, ",") {
		if _, rest, ok := strings.Cut(part, "://"); ok {
			if user, password, ok := strings.Cut(rest, ":"); ok && !strings.HasPrefix(rest, "[") && !portForm.MatchString(password) {
				return value[:shown+len(part)-len(rest)] + user + ":***"
			}
		}
		shown += len(part) + len(",")
	}
	return value
}

// unescape reads %XX as far as it is there; what is wrong in it stays.
func unescape(text string) string {
	return escape.ReplaceAllStringFunc(text, func(code string) string {
		plain, _ := url.QueryUnescape(code) // the expression lets only good ones through
		return plain
	})
}
