package app

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/providers/api"
	"uaol/services/gateway/console"
)

// TestScopesOfTheConsole: the console offers keys just the scopes that operations need of
// those who come with a key.
func TestScopesOfTheConsole(t *testing.T) {
	t.Parallel()
	var needed []string
	for _, op := range Operations() {
		if op.Access != api.Public && op.Access != api.Service && op.Scope != "" {
			needed = append(needed, op.Scope)
		}
	}
	slices.Sort(needed)
	offered := console.Scopes()
	slices.Sort(offered)
	require.Equal(t, slices.Compact(needed), offered)
}
