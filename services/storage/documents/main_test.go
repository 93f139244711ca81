package documents

import (
	"bytes"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap/zaptest"

	"uaol/providers/config"
)

// TestMain lets the test binary be the reading process too.
func TestMain(m *testing.M) {
	if IsWork(os.Args[1:]) {
		os.Exit(Work(os.Args[1:], os.Stdin, os.Stdout))
	}
	goleak.VerifyTestMain(m)
}

// cacheDir keeps PDFium compiled for all of a machine's test runs, which takes
// seconds each time.
func cacheDir(t testing.TB) string {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	dir = filepath.Join(dir, "uaol-test-pdfium")
	require.NoError(t, os.MkdirAll(dir, 0o700))
	return dir
}

// extractor makes one with the defaults and these settings.
func extractor(t testing.TB, set map[string]string) *Extractor {
	t.Helper()
	cfg, err := config.Parse[Config](config.Of(set))
	require.NoError(t, err)
	e := New(cfg, t.TempDir(), zaptest.NewLogger(t))
	e.cache = cacheDir(t)
	t.Cleanup(e.Close)
	return e
}

func (e *Extractor) extract(t testing.TB, name string, content []byte) (Document, error) {
	t.Helper()
	return e.Extract(t.Context(), bytes.NewReader(content), name, nil)
}

// sharedEngine is PDFium in the tests' own process.
var sharedEngine = sync.OnceValues(func() (*pdfEngine, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return newPDFEngine(filepath.Join(dir, "uaol-test-pdfium"), wasmMost)
})

// read reads a file in this process, with the defaults.
func read(t testing.TB, name string, content []byte) (Document, error) {
	t.Helper()
	return extractionOf(t, name, content).run()
}

func extractionOf(t testing.TB, name string, content []byte) *extraction {
	t.Helper()
	cfg, err := config.Parse[Config](config.Of(nil))
	require.NoError(t, err)
	return &extraction{
		file: bytes.NewReader(content), size: int64(len(content)), name: name, limits: cfg.limits(), temp: t.TempDir(),
		progress: func(int, int) {}, noReader: "no OCR is set up here", engine: sharedEngine, ocr: reading{begun: time.Now()},
	}
}
