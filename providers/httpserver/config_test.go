package httpserver

import (
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/providers/config"
)

func TestThePublicAddressIsRead(t *testing.T) {
	t.Parallel()
	cfg, err := config.Parse[Config](config.Of(map[string]string{"UAOL_PUBLIC_URL": "https://uaol.example.com/"}))
	require.NoError(t, err)
	require.Equal(t, "https://uaol.example.com", cfg.Public)
	for _, bad := range []string{"uaol.example.com", "ftp://uaol.example.com", "https://", "https://uaol.example.com?x", "https://uaol.example.com?", "https://u@uaol.example.com", "https://uaol.example.com#x"} {
		_, err := config.Parse[Config](config.Of(map[string]string{"UAOL_PUBLIC_URL": bad}))
		require.ErrorContains(t, err, "UAOL_PUBLIC_URL", bad)
	}
}
