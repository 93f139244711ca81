package auth

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/providers/llm"
	"uaol/providers/peers/peerstest"
	"uaol/services"
	"uaol/services/auth/modelkeys"
)

// TestModelKeys runs the interface's contract over both of its bodies.
func TestModelKeys(t *testing.T) {
	t.Parallel()
	t.Run("local", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		modelKeysContract(t, b, modelKeys(b.modelKeys))
	})
	t.Run("remote", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		client, err := NewClient(ClientConfig{URL: peerstest.Serve(t, routes(b.routes()).Routes.Operations...)}, peerstest.Tokens(t))
		require.NoError(t, err)
		t.Cleanup(client.peer.Close)
		modelKeysContract(t, b, client)
	})
}

func modelKeysContract(t *testing.T, b *bench, keys ModelKeys) {
	ctx := t.Context()
	made, err := b.service.Register(ctx, RegisterRequest{Email: "ada@example.com"})
	require.NoError(t, err)
	guest, err := b.service.Verify(ctx, VerifyRequest{Guest: true})
	require.NoError(t, err)
	ada := made.Account.Caller()
	const own = "sk-ant-a-key-of-the-organisation"
	_, err = b.modelKeys.Set(ctx, ada, "claude", own, false)
	require.NoError(t, err)
	mine := llm.Access{Provider: llm.Anthropic, Key: own, Model: "claude-x"}
	platform := llm.Access{Provider: llm.Gemini, Key: platformKey, Model: "gemini-x", Platform: true}
	for name, test := range map[string]struct {
		in   modelkeys.AccessRequest
		want llm.Access
		err  peerstest.Parts
	}{
		"the caller's choice": {in: modelkeys.AccessRequest{Caller: ada}, want: mine},
		"by name":             {in: modelkeys.AccessRequest{Caller: ada, Provider: "anthropic"}, want: mine},
		"the platform's":      {in: modelkeys.AccessRequest{Caller: ada, Provider: "gemini"}, want: platform},
		"a guest":             {in: modelkeys.AccessRequest{Caller: guest.Caller}, want: platform},
		"none": {in: modelkeys.AccessRequest{Caller: ada, Provider: "openai"}, err: peerstest.Parts{
			Kind: services.Invalid, Code: modelkeys.CodeMissing, Message: "There is no API key for the model provider openai: store one with POST /api-keys", Details: "null"}},
		"an unknown one": {in: modelkeys.AccessRequest{Caller: ada, Provider: "mistral"}, err: peerstest.Parts{
			Kind: services.Invalid, Message: "Invalid provider. Must be one of: openai, gemini, claude",
			Details: `[{"path":"provider","message":"Invalid provider. Must be one of: openai, gemini, claude"}]`}},
		"nobody": {err: peerstest.Parts{Kind: services.Unauthenticated, Message: "Nobody is known for whom a model could be asked", Details: "null"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := keys.ModelAccess(ctx, test.in)
			require.Equal(t, test.err, peerstest.PartsOf(t, err))
			require.Equal(t, test.want, got)
		})
	}
	b.pool.Close()
	_, err = keys.ModelAccess(ctx, modelkeys.AccessRequest{Caller: ada})
	require.Equal(t, services.Unavailable, services.KindOf(err), "the platform's key does not stand in for a database that is away")
}

// TestOnlyServicesReadKeys: nobody's own credentials open the internal route, and
// no public one shows a key.
func TestOnlyServicesReadKeys(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made, err := b.service.Register(t.Context(), RegisterRequest{Email: "ada@example.com"})
	require.NoError(t, err)
	const own = "sk-a-key-of-the-organisation"
	_, err = b.modelKeys.Set(t.Context(), made.Account.Caller(), "openai", own, true)
	require.NoError(t, err)
	text, err := json.Marshal(modelkeys.AccessRequest{Caller: made.Account.Caller()})
	require.NoError(t, err)
	url := peerstest.Serve(t, routes(b.routes()).Routes.Operations...)
	foreign, err := peerstest.Tokens(t).Sign(services.Billing, made.Account.Caller())
	require.NoError(t, err)
	for _, authorization := range []string{"", "Bearer " + made.Token, "Bearer " + made.Key, "Bearer " + foreign} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/internal/auth/model-access", strings.NewReader(string(text)))
		require.NoError(t, err)
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Authorization", authorization)
		request.Header.Set("X-API-Key", made.Key)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusUnauthorized, response.StatusCode)
	}
	for _, path := range []string{"/api-keys", "/api-keys/openai"} {
		answer := b.do(t, http.MethodGet, path, "", "X-API-Key", made.Key)
		require.Equal(t, http.StatusOK, answer.Status)
		require.NotContains(t, answer.Text, own)
	}
}
