// Package doctor looks at a deployment as its settings describe it, from outside: what
// each part of it says, and what to do about what is wrong. It changes nothing, but for
// a probe of a few bytes in the files' store, which it removes.
package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"uaol/app"
	"uaol/providers/config"
	"uaol/services"
)

// Status is how bad a finding is.
type Status string

// The statuses. A part that is not configured is no finding.
const (
	OK   Status = "ok"
	Warn Status = "warn" // it works, but not as well or as safely as it should
	Fail Status = "FAIL" // it does not work, or soon will not
)

// Finding is what one look came to.
type Finding struct {
	Check  string `json:"check"`
	Status Status `json:"status"`
	Found  string `json:"found"`
	Do     string `json:"do,omitempty"` // what helps
}

// Patient is what is looked at.
type Patient struct {
	Env *config.Environment
	Set []services.Name // that the process on this machine runs; none for all
	// Database gives the database's URL; "" for an embedded one that does not exist yet.
	Database func(ctx context.Context) (url string, release func() error, err error)
}

// within bounds each check.
const within = 5 * time.Second

// check is one look; it gives findings without a name, which are the check's.
type check struct {
	name string
	look func(ctx context.Context, p *Patient) []Finding
}

var checks = []check{
	{"secrets", secretsAreStrong},
	{"database", database},
	{"files", files},
	{"disk", disk},
	{"redis", redis},
	{"broker", broker},
	{"mail", post},
	{"models", models},
	{"addresses", addresses},
	{"public url", publicURL},
	{"server", server},
	{"peers", peersAnswer},
	{"tesseract", tesseract},
}

// Examine makes all checks at once and gives what they found, in the checks' order.
func Examine(ctx context.Context, p *Patient) []Finding {
	found := settings(p)
	results := make([][]Finding, len(checks))
	var wait sync.WaitGroup
	for i, c := range checks {
		wait.Go(func() { results[i] = bounded(ctx, c, p) })
	}
	wait.Wait()
	return append(found, slices.Concat(results...)...)
}

// bounded makes one check. One that hangs though its time is up is left behind.
func bounded(ctx context.Context, c check, p *Patient) []Finding {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	done := make(chan []Finding, 1)
	go func() {
		defer func() {
			if r := recover(); r != nil {
				done <- []Finding{{Status: Fail, Found: fmt.Sprintf("the check itself broke: %v", r), Do: "please report it"}}
			}
		}()
		done <- c.look(ctx, p)
	}()
	var found []Finding
	select {
	case found = <-done:
	case <-time.After(within + 500*time.Millisecond):
		found = []Finding{failed("look at why it hangs", "no answer within %s", within)}
	}
	for i := range found {
		if found[i].Check == "" {
			found[i].Check = c.name
		}
		found[i].Found, found[i].Do = line(found[i].Found), line(found[i].Do)
	}
	return found
}

// line is a text as one line.
func line(text string) string { return strings.Join(strings.Fields(text), " ") }

// settings tells every setting that can't be used.
func settings(p *Patient) []Finding {
	var found []Finding
	for _, err := range config.Faults(p.Env, app.Configs()...) {
		found = append(found, Finding{Check: "settings", Status: Fail, Found: line(err.Error()), Do: "set it right; `uaol config` says what each setting is for"})
	}
	if len(found) > 0 {
		return found
	}
	set := 0
	for _, s := range app.Settings() {
		if _, ok := p.Env.Lookup(s.Variable); ok {
			set++
		}
	}
	from := "the environment alone"
	if p.Env.File != "" {
		from = p.Env.File + " and the environment"
	}
	return []Finding{{Check: "settings", Status: OK, Found: fmt.Sprintf("%d settings, from %s", set, from)}}
}

// read parses a part of the settings; what is wrong with them is told once, elsewhere.
func read[T any](p *Patient) (T, bool) {
	cfg, err := config.Parse[T](p.Env)
	return cfg, err == nil
}

func well(format string, args ...any) Finding {
	return Finding{Status: OK, Found: fmt.Sprintf(format, args...)}
}

func warned(do, format string, args ...any) Finding {
	return Finding{Status: Warn, Found: fmt.Sprintf(format, args...), Do: do}
}

func failed(do, format string, args ...any) Finding {
	return Finding{Status: Fail, Found: fmt.Sprintf(format, args...), Do: do}
}
