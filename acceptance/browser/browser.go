// Package browser is a real browser for tests of pages. It remembers what pages must not
// do: run into errors, break their own policy, or ask anybody but the server they came from.
package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// Patience is how long a page may take to show what is waited for.
const Patience = 20 * time.Second

// Tab is one tab, with cookies of its own.
type Tab struct {
	T    testing.TB
	ctx  context.Context
	base string

	mu       sync.Mutex
	problems []string
	bytes    int64
}

// program is where Chromium is, the one without windows first: drawing those takes more
// time than the pages. It skips the test where there is none, but not in CI.
func program(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"chromium-headless-shell", "chrome-headless-shell", "chromium", "chromium-browser", "google-chrome", "chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			return found
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatal("no Chromium: the pages were not tested in a browser; install chromium-headless-shell, or Chrome")
	}
	t.Skip("no Chromium here: the pages are not tested in a browser; install chromium-headless-shell, or Chrome")
	return ""
}

// Open starts a browser with one empty tab, for pages of the server at base. It ends with
// the test, which fails if the tab had problems.
func Open(t testing.TB, base string) *Tab {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.DisableGPU, chromedp.ExecPath(program(t)),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"))
	allocator, end := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(end)
	ctx, closeTab := chromedp.NewContext(allocator)
	t.Cleanup(closeTab)
	tab := &Tab{T: t, ctx: ctx, base: base}
	require.NoError(t, chromedp.Listen(ctx, tab.note))
	require.NoError(t, chromedp.Do(ctx, chromedp.EmulateViewport(1440, 900)))
	for _, enable := range []func() error{
		func() error { _, err := chromedp.Call(ctx, log.Enable, cdp.Empty{}); return err },
		func() error { _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); return err },
		func() error { _, err := chromedp.Call(ctx, runtime.Enable, cdp.Empty{}); return err },
	} {
		require.NoError(t, enable())
	}
	t.Cleanup(func() { require.Empty(t, tab.Problems(), "problems that the browser has noticed") })
	return tab
}

func (b *Tab) note(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	add := func(format string, args ...any) { b.problems = append(b.problems, fmt.Sprintf(format, args...)) }
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		add("exception: %s", text(e.ExceptionDetails))
	case *log.EventEntryAdded:
		if said := e.Entry.Text; e.Entry.Level == "error" && !strings.Contains(said, "status of 4") {
			add("%s %s", said, e.Entry.URL)
		}
	case *network.EventRequestWillBeSent:
		if asked, err := url.Parse(e.Request.URL); err != nil || asked.Scheme != "data" && asked.Scheme != "about" && asked.Scheme+"://"+asked.Host != b.base {
			add("a request left the origin: %s", e.Request.URL)
		}
	case *network.EventLoadingFinished:
		b.bytes += int64(e.EncodedDataLength)
	}
}

func text(value any) string {
	said, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(said)
}

// Problems are those since they were last asked for.
func (b *Tab) Problems() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	found := b.problems
	b.problems = nil
	return found
}

// Transferred is how many bytes came over the network since it was last asked for.
func (b *Tab) Transferred() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.bytes
	b.bytes = 0
	return n
}

func (b *Tab) do(what string, actions ...chromedp.Action[chromedp.Void]) {
	b.T.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, Patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.fail(what + ": " + err.Error())
	}
}

// fail tells what the page said instead.
func (b *Tab) fail(what string) {
	b.T.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
	defer cancel()
	shown, _ := chromedp.Run(ctx, chromedp.Evaluate[string](`location.pathname + ': ' + document.body.innerText.slice(0, 1500)`))
	b.Picture("failed-" + strings.NewReplacer("/", "-", " ", "-").Replace(b.T.Name()))
	b.T.Fatalf("%s\nproblems: %v\nthe page: %s", what, b.Problems(), shown)
}

// Go opens a page by its path.
func (b *Tab) Go(path string) {
	b.T.Helper()
	b.do("open "+path, chromedp.Navigate(b.base+path))
}

// Run evaluates JavaScript.
func Run[T any](b *Tab, script string) T {
	b.T.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, Patience)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		b.fail(script + ": " + err.Error())
	}
	return value
}

// Until waits for a condition in JavaScript, on whatever page comes.
func (b *Tab) Until(condition string) {
	b.T.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, Patience)
	defer cancel()
	ticker := time.NewTicker(30 * time.Millisecond)
	defer ticker.Stop()
	for {
		// An error is a page that goes away, and another one coming.
		if met, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("Boolean("+condition+")")); err == nil && met {
			return
		}
		select {
		case <-ctx.Done():
			b.fail("never: " + condition)
		case <-ticker.C:
		}
	}
}

// Sees waits until the texts are there, in the part of the page that the selector names.
func (b *Tab) Sees(selector string, texts ...string) {
	b.T.Helper()
	for _, wanted := range texts {
		b.Until(fmt.Sprintf(`[...document.querySelectorAll(%s)].some(n => n.innerText.includes(%s))`, text(selector), text(wanted)))
	}
}

// Text is what a part of the page says.
func (b *Tab) Text(selector string) string {
	b.T.Helper()
	return Run[string](b, fmt.Sprintf(`document.querySelector(%s)?.innerText ?? ''`, text(selector)))
}

// Count is how many parts of the page there are.
func (b *Tab) Count(selector string) int {
	b.T.Helper()
	return Run[int](b, fmt.Sprintf(`document.querySelectorAll(%s).length`, text(selector)))
}

// Click clicks what a selector names, where a mouse would.
func (b *Tab) Click(selector string) {
	b.T.Helper()
	b.do("click "+selector, chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

// Press clicks the button or link that says so, in a part of the page, where a mouse
// would. Pages that are live may change it meanwhile, so it is found by its place.
func (b *Tab) Press(within, says string) {
	b.T.Helper()
	find := fmt.Sprintf(`[...document.querySelectorAll(%s)].flatMap(n => [...n.querySelectorAll('button, a, summary')]).find(n => n.innerText.trim().startsWith(%s) && n.checkVisibility())`, text(within), text(says))
	b.Until(`document.readyState == 'complete' && ` + find)
	at := Run[[]float64](b, `(() => {
		const found = `+find+`;
		found.scrollIntoView({ block: 'center', inline: 'center', behavior: 'instant' });
		const box = found.getClientRects()[0];
		return [box.left + Math.min(box.width / 2, 40), box.top + box.height / 2];
	})()`)
	b.do("press "+says, chromedp.MouseClickXY(at[0], at[1]))
}

// Fill writes into a field, in place of what it held.
func (b *Tab) Fill(selector, value string) {
	b.T.Helper()
	b.Until(`document.readyState == 'complete' && document.querySelector(` + text(selector) + `)`)
	b.do("fill "+selector, chromedp.Focus(chromedp.CSS(selector)))
	Run[bool](b, fmt.Sprintf(`(() => { const n = document.querySelector(%s); n.select?.(); return true })()`, text(selector)))
	b.do("fill "+selector, chromedp.SendKeys(chromedp.CSS(selector), value))
}

// Put sets a field's value at once, as pasting does.
func (b *Tab) Put(selector, value string) {
	b.T.Helper()
	b.Until(`document.readyState == 'complete' && document.querySelector(` + text(selector) + `)`)
	Run[bool](b, fmt.Sprintf(`(() => { const n = document.querySelector(%s); n.value = %s; n.dispatchEvent(new Event('input', { bubbles: true })); n.dispatchEvent(new Event('change', { bubbles: true })); return true })()`, text(selector), text(value)))
}

// Attach chooses files for a field.
func (b *Tab) Attach(selector string, files ...string) {
	b.T.Helper()
	b.do("attach to "+selector, chromedp.SetUploadFiles(chromedp.CSS(selector), files))
}

// Looks makes the window so wide, and the machine's theme light or dark.
func (b *Tab) Looks(width int, theme string) {
	b.T.Helper()
	height := int64(900)
	if width < 600 {
		height = 844
	}
	b.do("resize", chromedp.EmulateViewport(int64(width), height))
	ctx, cancel := context.WithTimeout(b.ctx, Patience)
	defer cancel()
	_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}, {Name: "prefers-reduced-motion", Value: "reduce"}},
	})
	require.NoError(b.T, err)
}

// Scripts switches them on or off, from the next page on.
func (b *Tab) Scripts(on bool) {
	b.T.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, Patience)
	defer cancel()
	_, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !on})
	require.NoError(b.T, err)
}

// Picture keeps what the page looks like, whole, in the directory UAOL_TEST_PICTURES;
// without that nothing is kept.
func (b *Tab) Picture(name string) {
	b.T.Helper()
	b.keep(name, chromedp.FullScreenshot(100))
}

// Screen keeps what the screen shows of it, likewise.
func (b *Tab) Screen(name string) {
	b.T.Helper()
	b.keep(name, chromedp.CaptureScreenshot())
}

func (b *Tab) keep(name string, take chromedp.Action[[]byte]) {
	b.T.Helper()
	dir := os.Getenv("UAOL_TEST_PICTURES")
	if dir == "" {
		return
	}
	ctx, cancel := context.WithTimeout(b.ctx, Patience)
	defer cancel()
	picture, err := chromedp.Run(ctx, take)
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o644)
	}
	if err != nil {
		b.T.Logf("no picture %s: %v", name, err)
	}
}

// Pictures keeps a page at both widths and in both themes.
func (b *Tab) Pictures(name string) {
	b.T.Helper()
	if os.Getenv("UAOL_TEST_PICTURES") == "" {
		return
	}
	for _, width := range []int{1440, 390} {
		for _, theme := range []string{"light", "dark"} {
			b.Looks(width, theme)
			b.Picture(fmt.Sprintf("%s-%d-%s", name, width, theme))
		}
	}
	b.Looks(1440, "light")
}
