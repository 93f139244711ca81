package conformance

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"uaol/conformance/suite"
)

var results struct {
	sync.Mutex
	all []suite.Result
}

// note keeps a result, and fails the test where one that counts is not good.
func note(t *testing.T, r suite.Result, out []byte) {
	t.Helper()
	results.Lock()
	results.all = append(results.all, r)
	results.Unlock()
	text := strings.Join(r.Faults, "\n")
	switch {
	case r.Good && text == "":
	case r.Good:
		t.Log(text)
	case r.Reason != "":
		t.Skipf("%s\n%s", outcome(r), text)
	default:
		t.Errorf("%s\n%s", text, out)
	}
}

// tell prints all results as a table, and writes them as JSON to the file that
// UAOL_TEST_CONFORMANCE_RESULTS names.
func tell() error {
	if len(results.all) == 0 {
		return nil
	}
	sides := []string{"server", "client", "authorization"}
	slices.SortStableFunc(results.all, func(a, b suite.Result) int {
		if a.Revision != b.Revision {
			return strings.Compare(a.Revision, b.Revision)
		}
		return slices.Index(sides, a.Side) - slices.Index(sides, b.Side)
	})
	table(os.Stdout, results.all)
	path := os.Getenv("UAOL_TEST_CONFORMANCE_RESULTS")
	if path == "" {
		return nil
	}
	text, err := json.MarshalIndent(results.all, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// outcome is a result in words.
func outcome(r suite.Result) string {
	said := "passed"
	switch {
	case r.Good:
	case r.Passed == 0 && len(r.Faults) == 0:
		said = "found nothing to check"
	default:
		said = "**failed**"
	}
	if r.Reason != "" {
		said += ", not counted: " + r.Reason
	}
	return said
}

// table writes results as Markdown has tables.
func table(to io.Writer, all []suite.Result) {
	type group struct{ revision, suite, side string }
	counts, passed := map[group]int{}, map[group]int{}
	var groups []group
	for _, r := range all {
		g := group{r.Revision, r.Suite, r.Side}
		if !slices.Contains(groups, g) {
			groups = append(groups, g)
		}
		if r.Reason != "" {
			continue
		}
		counts[g]++
		if r.Good {
			passed[g]++
		}
	}
	for _, g := range groups {
		fmt.Fprintf(to, "\n### %s, %s, suite %s: %d of %d that count\n\n", g.revision, g.side, g.suite, passed[g], counts[g])
		fmt.Fprintln(to, "| scenario | | passed | failed | warnings | skipped |\n|---|---|---|---|---|---|")
		for _, r := range all {
			if (group{r.Revision, r.Suite, r.Side}) != g {
				continue
			}
			fmt.Fprintf(to, "| %s | %s | %d | %d | %d | %d |\n", r.Scenario, outcome(r), r.Passed, r.Failed, r.Warnings, r.Skipped)
		}
	}
}
