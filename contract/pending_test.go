package contract

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/app"
)

// readPending reads lines of the form "28 | GET /auth/api-key", with the
// gateway's paths, and refuses those whose route is built by now.
func readPending(t *testing.T, all []recording) map[int]bool {
	t.Helper()
	built := map[string]bool{}
	for _, op := range app.Operations() {
		for _, path := range op.Paths(true) {
			built[op.Method+" "+anyParameter(path)] = true
		}
	}
	pending := map[int]bool{}
	for _, line := range lines(t, "pending.txt") {
		numbers, route, ok := strings.Cut(line, " | ")
		require.True(t, ok, "pending.txt: %s", line)
		require.False(t, built[anyParameter(route)], "pending.txt: %s is built; delete the line and mend what the replay says", line)
		for number := range strings.SplitSeq(numbers, ", ") {
			n, err := strconv.Atoi(number)
			require.NoError(t, err, "pending.txt: %s", line)
			require.LessOrEqual(t, n, len(all), "pending.txt: %s", line)
			require.False(t, pending[n], "pending.txt has %d twice", n)
			require.Regexp(t, routeForm(route), all[n-1].Method+" "+gatewayPath(all[n-1]), "pending.txt: %s", line)
			pending[n] = true
		}
	}
	return pending
}

var parameter = regexp.MustCompile(`\{[^}]+\}`)

func anyParameter(route string) string { return parameter.ReplaceAllString(route, "{}") }

func routeForm(route string) *regexp.Regexp {
	form := strings.ReplaceAll(regexp.QuoteMeta(anyParameter(route)), `\{\}`, `[^/]+`)
	return regexp.MustCompile("^" + form + `(\?.*)?$`)
}
