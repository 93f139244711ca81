package registry

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPricesInAllSpellings: JSON knows several for a whole number.
func TestPricesInAllSpellings(t *testing.T) {
	for text, want := range map[string]credits{"1": 1, "1.0": 1, "1e2": 100, "0": 0, "-0.0": 0, "9007199254740993": 9007199254740993} {
		var got credits
		require.NoError(t, json.Unmarshal([]byte(text), &got), text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"1.5", "1e400", "1e300", `"1"`, "true"} {
		var got credits
		require.ErrorContains(t, json.Unmarshal([]byte(text), &got), "whole number", text)
	}
}
