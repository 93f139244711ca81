package credentials

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/services"
)

func TestVeil(t *testing.T) {
	t.Parallel()
	c := Carried{Secrets: []string{`sk-"1"<x>`, "token-2", "short"}}
	for said, shown := range map[string]string{
		`bad key sk-"1"<x>, token-2`:          `bad key [secret], [secret]`,
		`{"text":"sk-\"1\"<x>"}`:              `{"text":"[secret]"}`,
		`{"text":"sk-\"1\"\u003cx\u003e"}`:    `{"text":"[secret]"}`,
		`a short one is in many a short text`: `a short one is in many a short text`,
	} {
		got, _ := c.Veil([]byte(said))
		require.Equal(t, shown, string(got))
	}
	fault := services.Errorf(services.Upstream, "it says token-2").WithCode("X").WithDetails(7).Because(errors.New("token-2 again"))
	var got *services.Error
	require.ErrorAs(t, c.VeilError(fault), &got)
	require.NotContains(t, got.Error(), "token-2")
	require.Equal(t, services.Upstream, got.Kind)
	require.Equal(t, "it says [secret]", got.Message)
	require.Equal(t, "X", got.Code)
	require.Equal(t, 7, got.Details)
	same := services.Errorf(services.Upstream, "nothing of it")
	require.Same(t, same, c.VeilError(same))
	require.NoError(t, c.VeilError(nil))
}
