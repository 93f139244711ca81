package demo_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"uaol/app/demo"
	"uaol/providers/config"
)

func TestDemoIsTrue(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, demo.Run(t.Context(), config.Of(nil), demo.Options{Out: &out, Log: "error"}), "%s", &out)
	for _, line := range []string{"Credits before: 10000", "Credits after:  9975", "MANY TOOLS, ONE DOOR: 13 words, 52 letters", "All of it was true"} {
		assert.Contains(t, out.String(), line)
	}
}
