package oauth

import (
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/providers/config"
)

func TestSettings(t *testing.T) {
	t.Parallel()
	cfg, err := config.Parse[Config](config.Of(map[string]string{"UAOL_MCP_ISSUERS": " https://login.example.com/x , http://localhost:8080,"}))
	require.NoError(t, err)
	require.Equal(t, []string{"https://login.example.com/x", "http://localhost:8080"}, cfg.Issuers)
	for variable, values := range map[string][]string{
		"UAOL_OAUTH_ACCESS": {"30s", "25h", "x"}, "UAOL_OAUTH_REFRESH": {"59m", "9000h", "x"}, "UAOL_OAUTH_REGISTRATION": {"yes"},
		"UAOL_MCP_ISSUERS": {"login.example.com", "http://login.example.com", "https://login.example.com/?x", "https://u@login.example.com", "https://"},
	} {
		for _, value := range values {
			_, err := config.Parse[Config](config.Of(map[string]string{variable: value}))
			require.ErrorContains(t, err, variable, value)
		}
	}
	_, err = config.Parse[Config](config.Of(map[string]string{"UAOL_OAUTH_ACCESS": "2h", "UAOL_OAUTH_REFRESH": "1h"}))
	require.ErrorContains(t, err, "longer than UAOL_OAUTH_ACCESS")
}
