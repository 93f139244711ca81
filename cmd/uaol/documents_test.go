package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"

	"uaol/providers/config"
	"uaol/services/storage/documents"
)

// TestReadsDocuments: the program is its own process for reading files.
func TestReadsDocuments(t *testing.T) {
	t.Parallel()
	cfg, err := config.Parse[documents.Config](config.Of(nil))
	require.NoError(t, err)
	extractor := documents.New(cfg, t.TempDir(), zaptest.NewLogger(t))
	defer extractor.Close()
	doc, err := extractor.Extract(t.Context(), strings.NewReader("# Hello"), "a.md", nil)
	require.NoError(t, err)
	require.Equal(t, []documents.Part{{Heading: []string{"Hello"}, Text: "# Hello"}}, doc.Parts)
}
