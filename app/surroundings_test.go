package app

import (
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/providers/config"
)

// TestToolsInheritNoSecrets: a stdio tool's process gets what its command names
// of our environment, but never what keeps us safe.
func TestToolsInheritNoSecrets(t *testing.T) {
	t.Parallel()
	values, secrets := map[string]string{"PATH": "/bin"}, 0
	for _, setting := range Settings() {
		values[setting.Variable] = "x"
	}
	lookup := surroundings(config.Of(values))
	for _, setting := range Settings() {
		_, given := lookup(setting.Variable)
		require.Equal(t, !setting.Secret, given, setting.Variable)
		if setting.Secret {
			secrets++
		}
	}
	require.Greater(t, secrets, 15)
	path, given := lookup("PATH")
	require.True(t, given)
	require.Equal(t, "/bin", path)
}
