package app_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"uaol/app"
	"uaol/services"
)

var update = flag.Bool("update", false, "write the golden files")

func TestGraphIsAsItWasAgreed(t *testing.T) {
	t.Parallel()
	text, err := app.Graph()
	require.NoError(t, err)
	golden(t, "testdata/graph.dot", text)
	for _, arrow := range []string{
		`"postgres.Config" -> "*config.Environment"`,
		`"*pgxpool.Pool" -> "postgres.Config"`,
		`"*pgxpool.Pool" -> "config.Checked"`,
		`"postgres.Config" -> "config.Checked"`,
		`"config.Checked" -> "group configs"`,
		`"group configs" -> "*config.Environment"`,
		`"*billing.Repository" -> "*pgxpool.Pool"`,
		`"*billing.Service" -> "*billing.Repository"`,
		`"*billing.Handler" -> "*billing.Service"`,
		`"group routes" -> "*billing.Handler"`,
		`"*gin.Engine" -> "group routes"`,
		`"*httpserver.Server" -> "*gin.Engine"`,
	} {
		assert.Contains(t, text, arrow, "the chain that the container guarantees")
	}
}

func TestReadmeShowsTheChain(t *testing.T) {
	t.Parallel()
	chain, err := app.Chain(services.Billing)
	require.NoError(t, err)
	readme, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	assert.True(t, strings.Contains(string(readme), strings.TrimSpace(chain)), "copy `uaol graph --chain billing` into the README")
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), got, "run `go test ./app -update` if this is meant")
}
