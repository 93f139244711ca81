package suite

import (
	"errors"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestResultsAreJudged: what is not shown to be right is not passed.
func TestResultsAreJudged(t *testing.T) {
	t.Parallel()
	right, wrong := check{ID: "a", Status: "SUCCESS"}, check{ID: "b", Status: "FAILURE", Description: "is wrong"}
	odd, left := check{ID: "c", Status: "WARNING", Message: "is odd"}, check{ID: "d", Status: "SKIPPED"}
	for name, c := range map[string]struct {
		checks []check
		ended  error
		want   Result
	}{
		"right":          {[]check{right, left}, nil, Result{Good: true, Passed: 1, Skipped: 1}},
		"odd":            {[]check{right, odd}, nil, Result{Good: true, Passed: 1, Warnings: 1, Faults: []string{"c (warning): is odd"}}},
		"wrong":          {[]check{right, wrong}, nil, Result{Passed: 1, Failed: 1, Faults: []string{"b: is wrong"}}},
		"nothing":        {nil, nil, Result{}},
		"ended badly":    {[]check{right}, new(exec.ExitError), Result{Passed: 1}},
		"did not run":    {[]check{right}, errors.New("no node"), Result{Passed: 1, Faults: []string{"no node"}}},
		"nothing of use": {[]check{left}, nil, Result{Skipped: 1}},
	} {
		var r Result
		r.judge(c.checks, c.ended)
		require.Equal(t, c.want, r, name)
	}
}
