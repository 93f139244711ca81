package browser

import (
	"context"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// running is the browser of this test process: one for each test would take as long to start
// as the test takes.
var running shared

// shared is a browser that runs as long as a test needs it.
type shared struct {
	mu    sync.Mutex
	users int
	ctx   context.Context
	end   func()
}

// join gives the context of the browser, which goes on until the test has ended.
func (s *shared) join(t testing.TB) context.Context {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users == 0 {
		require.NoError(t, s.start(program(t)))
	}
	s.users++
	t.Cleanup(s.leave)
	return s.ctx
}

func (s *shared) start(path string) error {
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.DisableGPU, chromedp.ExecPath(path),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"))
	allocator, end := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, closeBrowser := chromedp.NewContext(allocator)
	s.ctx, s.end = ctx, func() { closeBrowser(); end() }
	err := chromedp.Do(ctx) // starts it
	if err != nil {
		s.end()
	}
	return err
}

func (s *shared) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users--; s.users == 0 {
		s.end()
	}
}

// program is where Chromium is: without its windows, which take more time than the pages,
// or any. It skips the test where there is none, but not in CI.
func program(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"chromium-headless-shell", "chrome-headless-shell", "chromium", "chromium-browser", "google-chrome", "chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			return found
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatal("no Chromium: the pages were not tested in a browser")
	}
	t.Skip("no Chromium here: the pages are not tested in a browser")
	return ""
}
