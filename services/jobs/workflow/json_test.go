package workflow

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// What is written reads as what encoding/json writes.
func TestAppendValue(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.OneOf(drawJSON(3), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) any { return string(b) })).Draw(t, "value")
		var want bytes.Buffer
		encoder := json.NewEncoder(&want)
		encoder.SetEscapeHTML(false)
		require.NoError(t, encoder.Encode(value))
		got := appendValue(nil, value)
		require.Equal(t, decoded(t, want.String()), decoded(t, string(got)))
		require.True(t, json.Valid(got))
	})
}

func TestDecodeTakesOneValue(t *testing.T) {
	t.Parallel()
	for _, text := range []string{``, `{`, `1 2`, `{}}`, `nope`} {
		_, err := decode([]byte(text))
		require.Error(t, err, text)
	}
	value, err := decode([]byte(" [1e400] \n"))
	require.NoError(t, err)
	require.Equal(t, []any{json.Number("1e400")}, value)
}
