package modelkeys

import (
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/providers/config"
	"uaol/providers/keyring"
	"uaol/providers/llm"
	"uaol/services"
)

func TestModelAccess(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada, bob := b.somebody(t), b.somebody(t)
	with := func(cfg Config) *Service {
		cfg.OpenAIModel, cfg.GeminiModel, cfg.AnthropicModel = "gpt", "gem", "cl"
		return NewService(cfg, b.repository, ring(t, keyring.Config{Secret: before}))
	}
	none, both := with(Config{}), with(Config{GeminiKey: "platform-gemini", AnthropicKey: "platform-claude"})
	check := func(s *Service, caller services.Caller, provider string, want llm.Access) {
		t.Helper()
		got, err := s.ModelAccess(t.Context(), AccessRequest{Caller: caller, Provider: provider})
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	missing := func(s *Service, caller services.Caller, provider, message string) {
		t.Helper()
		got, err := s.ModelAccess(t.Context(), AccessRequest{Caller: caller, Provider: provider})
		require.Zero(t, got)
		var e *services.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, services.Invalid, e.Kind)
		require.Equal(t, CodeMissing, e.Code)
		require.Equal(t, message, e.Message)
	}
	gemini := llm.Access{Provider: llm.Gemini, Key: "platform-gemini", Model: "gem", Platform: true}
	platformClaude := llm.Access{Provider: llm.Anthropic, Key: "platform-claude", Model: "cl", Platform: true}

	// Nobody stored a key.
	missing(none, ada, "", "There is no API key for the model provider: store one with POST /api-keys")
	missing(both, ada, "openai", "There is no API key for the model provider openai: store one with POST /api-keys")
	check(both, ada, "", gemini)
	check(both, ada, "claude", platformClaude)
	check(both, ada, "anthropic", platformClaude)

	// The organisation's own counts, for it alone.
	b.set(t, ada, "claude", claude, false)
	b.set(t, ada, "openai", openai, false)
	ownClaude := llm.Access{Provider: llm.Anthropic, Key: claude, Model: "cl"}
	ownOpenAI := llm.Access{Provider: llm.OpenAI, Key: openai, Model: "gpt"}
	check(both, ada, "", ownClaude)
	check(both, ada, "anthropic", ownClaude)
	check(none, ada, "openai", ownOpenAI)
	check(both, ada, "gemini", gemini)
	check(both, bob, "", gemini)
	missing(none, bob, "openai", "There is no API key for the model provider openai: store one with POST /api-keys")
	require.NoError(t, b.service.SetDefault(t.Context(), ada, "openai"))
	check(both, ada, "", ownOpenAI)
	require.NoError(t, b.service.Delete(t.Context(), ada, "openai"))
	check(both, ada, "", ownClaude) // no default is left: what it stored, not what the platform has
	missing(none, ada, "openai", "There is no API key for the model provider openai: store one with POST /api-keys")

	_, err := both.ModelAccess(t.Context(), AccessRequest{Caller: ada, Provider: "mistral"})
	require.Equal(t, services.Invalid, services.KindOf(err))
	_, err = both.ModelAccess(t.Context(), AccessRequest{})
	require.Equal(t, services.Unauthenticated, services.KindOf(err), "the platform's key is not for nobody")

	// A key that can't be opened is not replaced by the platform's.
	_, err = b.pool.Exec(t.Context(), `UPDATE uaol_auth.provider_keys SET sealed = substring(sealed FROM 1 FOR 20)`)
	require.NoError(t, err)
	got, err := both.ModelAccess(t.Context(), AccessRequest{Caller: ada, Provider: "claude"})
	require.Error(t, err)
	require.Zero(t, got)
}

func TestPlatformKeysAreChecked(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"two words", "a\nline", "é"} {
		_, err := config.Parse[Config](config.Of(map[string]string{"OPENAI_API_KEY": bad}))
		require.ErrorContains(t, err, "OPENAI_API_KEY holds a text of")
		require.NotContains(t, err.Error(), bad)
	}
	cfg, err := config.Parse[Config](config.Of(map[string]string{"OPENAI_API_KEY": "x", "OPENAI_MODEL": "llama3"}))
	require.NoError(t, err)
	for _, o := range cfg.offers() {
		require.NotEmpty(t, o.model)
		require.Contains(t, providers, o.stored)
		provider, known := llm.Named(o.stored)
		require.True(t, known)
		require.Equal(t, o.provider, provider)
	}
	require.Equal(t, "llama3", cfg.offers()[0].model)
}
