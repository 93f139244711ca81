package peers_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"uaol/providers/config"
	"uaol/providers/peers"
	"uaol/providers/peers/peerstest"
	"uaol/services"
)

// TestSecretsAreChangedWithoutAPause: in each step some processes have the settings of
// the step before, and all believe each other, in tokens of both kinds.
func TestSecretsAreChangedWithoutAPause(t *testing.T) {
	t.Parallel()
	const before, after = "the secret of before, which is long enough", "the secret of after, which is as long too"
	var steps []*peers.Tokens
	for _, cfg := range []peers.Config{{Secret: before}, {Secret: before, Previous: after}, {Secret: after, Previous: before}, {Secret: after}} {
		tokens, err := peers.NewTokens(cfg, false, zap.NewNop())
		require.NoError(t, err)
		steps = append(steps, tokens)
	}
	believes := func(reader, signer *peers.Tokens) bool {
		token, err := signer.Sign(services.Billing, ada)
		require.NoError(t, err)
		said, err := signer.SignOrigin(services.Origin{Address: "198.51.100.7"})
		require.NoError(t, err)
		_, err = reader.VerifyService(token, "billing")
		_, originErr := reader.VerifyOrigin(said)
		require.Equal(t, err == nil, originErr == nil, "both kinds are believed, or none")
		return err == nil
	}
	for i := 1; i < len(steps); i++ {
		require.True(t, believes(steps[i], steps[i-1]), "step %d reads the one before", i)
		require.True(t, believes(steps[i-1], steps[i]), "the one before reads step %d", i)
	}
	require.False(t, believes(steps[3], steps[0]), "the old secret counts no more")
	require.False(t, believes(steps[0], steps[3]))
	require.False(t, believes(steps[0], steps[2]), "the new one is signed with only when all read it")
}

// TestTokensCarryWhatDecides: who acts, in which role, with which key's scopes; no address.
func TestTokensCarryWhatDecides(t *testing.T) {
	t.Parallel()
	tokens := peerstest.Tokens(t)
	caller := services.Caller{
		Account: uuid.New(), Organization: uuid.New(), Role: services.RoleUser, OrgRole: services.OrgMember, Personal: true,
		Home: uuid.New(), Key: uuid.New(), Session: uuid.New(), Scopes: "jobs:read jobs:write", Email: "ada@example.com",
	}
	token, err := tokens.Sign(services.Billing, caller)
	require.NoError(t, err)
	got, err := tokens.VerifyService(token, "billing")
	require.NoError(t, err)
	caller.Email = ""
	require.Equal(t, caller, got)
}

func TestSettings(t *testing.T) {
	t.Parallel()
	secret := "the service secret of one deployment, in full"
	for want, values := range map[string]map[string]string{
		"UAOL_SERVICE_SECRET is not set; want the secret to sign with":  {"UAOL_SERVICE_SECRET_PREVIOUS": secret},
		"UAOL_SERVICE_SECRET_PREVIOUS holds":                            {"UAOL_SERVICE_SECRET": secret, "UAOL_SERVICE_SECRET_PREVIOUS": "short"},
		"UAOL_PEER_TLS_KEY is not set; want a file, because the others": {"UAOL_PEER_TLS_CERT": "a", "UAOL_PEER_TLS_CA": "b"},
		"UAOL_PEER_TLS_CA is not set":                                   {"UAOL_PEER_TLS_CERT": "a", "UAOL_PEER_TLS_KEY": "b"},
		"UAOL_PEER_TLS_CERT is not set":                                 {"UAOL_PEER_TLS_CA": "a"},
	} {
		_, err := config.Parse[peers.Config](config.Of(values))
		require.ErrorContains(t, err, strings.Split(want, ", because")[0])
	}
	_, err := peers.NewTokens(peers.Config{Secret: secret, Cert: "no-such-file", Key: "x", CA: "y"}, false, zap.NewNop())
	require.ErrorContains(t, err, "UAOL_PEER_TLS_CERT")
	require.ErrorContains(t, err, "no-such-file")
	require.NoError(t, peerstest.Tokens(t).VerifyPeer(&http.Request{}), "without certificates a token is enough")
}
