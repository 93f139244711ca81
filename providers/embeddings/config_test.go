package embeddings

import (
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/providers/config"
)

func TestSettings(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		set   map[string]string
		model string // or
		fault string
	}{
		"none":             {nil, "", ""},
		"said so":          {map[string]string{"EMBEDDINGS_PROVIDER": "None"}, "", ""},
		"openai":           {map[string]string{"EMBEDDINGS_PROVIDER": "openai", "OPENAI_API_KEY": "k"}, "openai/text-embedding-3-small", ""},
		"openai's other":   {map[string]string{"EMBEDDINGS_PROVIDER": "OpenAI", "OPENAI_API_KEY": "k", "UAOL_EMBEDDINGS_MODEL": "text-embedding-3-large", "UAOL_EMBEDDINGS_DIMENSION": "256"}, "openai/text-embedding-3-large/256", ""},
		"gemini":           {map[string]string{"EMBEDDINGS_PROVIDER": "gemini", "GEMINI_API_KEY": "k"}, "gemini/gemini-embedding-001", ""},
		"own key":          {map[string]string{"EMBEDDINGS_PROVIDER": "gemini", "UAOL_EMBEDDINGS_KEY": "k"}, "gemini/gemini-embedding-001", ""},
		"Ollama for chats": {map[string]string{"EMBEDDINGS_PROVIDER": "openai", "UAOL_OPENAI_URL": "http://localhost:11434/v1", "UAOL_EMBEDDINGS_MODEL": "nomic-embed-text"}, "openai/nomic-embed-text", ""},
		"an address":       {map[string]string{"UAOL_EMBEDDINGS_URL": "http://localhost:11434/v1", "UAOL_EMBEDDINGS_MODEL": "nomic-embed-text"}, "custom/nomic-embed-text", ""},
		"custom":           {map[string]string{"EMBEDDINGS_PROVIDER": "custom", "UAOL_EMBEDDINGS_URL": "https://example.com/v1", "UAOL_EMBEDDINGS_MODEL": "m", "OPENAI_API_KEY": "k"}, "custom/m", ""},

		"another":       {map[string]string{"EMBEDDINGS_PROVIDER": "mistral"}, "", `EMBEDDINGS_PROVIDER holds "mistral"; want none, openai, gemini or custom`},
		"anthropic":     {map[string]string{"EMBEDDINGS_PROVIDER": "anthropic"}, "", `EMBEDDINGS_PROVIDER holds "anthropic"`},
		"no key":        {map[string]string{"EMBEDDINGS_PROVIDER": "openai"}, "", "OPENAI_API_KEY is not set; want an API key, because EMBEDDINGS_PROVIDER is openai"},
		"another's key": {map[string]string{"EMBEDDINGS_PROVIDER": "gemini", "OPENAI_API_KEY": "k"}, "", "GEMINI_API_KEY is not set"},
		"no address":    {map[string]string{"EMBEDDINGS_PROVIDER": "custom"}, "", "UAOL_EMBEDDINGS_URL is not set"},
		"no URL":        {map[string]string{"UAOL_EMBEDDINGS_URL": "localhost", "UAOL_EMBEDDINGS_MODEL": "m"}, "", `UAOL_EMBEDDINGS_URL holds "localhost"; want a URL`},
		"a query":       {map[string]string{"UAOL_EMBEDDINGS_URL": "http://a/?key=x", "UAOL_EMBEDDINGS_MODEL": "m"}, "", "without a password, a query"},
		"no model":      {map[string]string{"UAOL_EMBEDDINGS_URL": "http://a/v1"}, "", "UAOL_EMBEDDINGS_MODEL is not set"},
		"bad key":       {map[string]string{"EMBEDDINGS_PROVIDER": "openai", "UAOL_EMBEDDINGS_KEY": "two words"}, "", "UAOL_EMBEDDINGS_KEY holds a text of 9 characters"},
		"dimension":     {map[string]string{"EMBEDDINGS_PROVIDER": "openai", "OPENAI_API_KEY": "k", "UAOL_EMBEDDINGS_DIMENSION": "-1"}, "", `UAOL_EMBEDDINGS_DIMENSION holds "-1"`},
		"time":          {map[string]string{"EMBEDDINGS_PROVIDER": "openai", "OPENAI_API_KEY": "k", "UAOL_EMBEDDINGS_TIMEOUT": "1ms"}, "", `UAOL_EMBEDDINGS_TIMEOUT holds "1ms"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.fault == "" {
				require.Equal(t, test.model, client(t, test.set).Model())
				return
			}
			_, err := config.Parse[Config](config.Of(test.set))
			require.ErrorContains(t, err, test.fault)
			require.NotContains(t, err.Error(), "two words")
		})
	}
}
