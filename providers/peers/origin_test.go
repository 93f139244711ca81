package peers

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"uaol/services"
)

// TestOriginTokens say where a request comes from, and nothing else: they open no
// internal operation, and tokens that do are no origin.
func TestOriginTokens(t *testing.T) {
	t.Parallel()
	ours, err := NewTokens(Config{Secret: "a secret of one deployment, 32 characters"}, false, zap.NewNop())
	require.NoError(t, err)
	theirs, err := NewTokens(Config{Secret: "a secret of another deployment, 32 chars"}, false, zap.NewNop())
	require.NoError(t, err)
	origin := services.Origin{Address: "198.51.100.7", UserAgent: "a client"}
	token, err := ours.SignOrigin(origin)
	require.NoError(t, err)
	got, err := ours.VerifyOrigin(token)
	require.NoError(t, err)
	require.Equal(t, origin, got)
	_, err = theirs.VerifyOrigin(token)
	require.Equal(t, services.Unauthenticated, services.KindOf(err))
	for _, audience := range []services.Name{services.Auth, services.Billing, services.Gateway} {
		_, err = ours.VerifyService(token, string(audience))
		require.Equal(t, services.Unauthenticated, services.KindOf(err))
		service, err := ours.Sign(audience, services.Caller{Role: services.RoleUser})
		require.NoError(t, err)
		_, err = ours.VerifyOrigin(service)
		require.Equal(t, services.Unauthenticated, services.KindOf(err))
	}
	for _, bad := range []string{"", "x", token + "x", "ey.e30."} {
		_, err = ours.VerifyOrigin(bad)
		require.Equal(t, services.Unauthenticated, services.KindOf(err))
	}
}
