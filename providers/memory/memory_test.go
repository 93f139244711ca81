package memory

import (
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestGosOwnVariablesCount before ours.
func TestGosOwnVariablesCount(t *testing.T) {
	percentWas, limitWas := debug.SetGCPercent(123), debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetGCPercent(percentWas); debug.SetMemoryLimit(limitWas) })
	Use(func(string) (string, bool) { return "set", true })
	require.Equal(t, 123, debug.SetGCPercent(123))
	require.Equal(t, limitWas, debug.SetMemoryLimit(-1))
	Use(func(string) (string, bool) { return "", false })
	require.Equal(t, percent, debug.SetGCPercent(percent))
	require.Less(t, debug.SetMemoryLimit(-1), limitWas, "this machine's memory has an end")
}
