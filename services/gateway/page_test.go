package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"uaol/providers/api"
	"uaol/providers/health"
	pages "uaol/providers/page"
	"uaol/services"
	"uaol/services/jobs"
	"uaol/services/registry"
)

func pageEngine() *gin.Engine {
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	page().Mount(engine)
	return engine
}

func getPage(t *testing.T, header http.Header) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	r.Header = header
	w := httptest.NewRecorder()
	pageEngine().ServeHTTP(w, r)
	return w
}

func TestPageIsForBrowsersOnly(t *testing.T) {
	for accept, page := range map[string]bool{
		"text/html": true,
		"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": true,
		"application/json, TEXT/HTML;q=0.1":                               true,
		"":                                                                false,
		"*/*":                                                             false,
		"application/json, text/plain, */*":                               false,
		"text/html;q=0, application/json":                                 false,
		"text/htmlx":                                                      false,
	} {
		w := getPage(t, http.Header{"Accept": {accept}})
		assert.Contains(t, w.Header().Values("Vary"), "Accept", accept)
		if page {
			assert.Equal(t, http.StatusOK, w.Code, accept)
			assert.Contains(t, w.Body.String(), "<!doctype html>", accept)
			continue
		}
		assert.Equal(t, http.StatusNotFound, w.Code, accept)
		assert.JSONEq(t, `{"success":false,"error":{"code":"NOT_FOUND","message":"Cannot GET /"}}`, w.Body.String(), accept)
		assert.Empty(t, w.Header().Get("Content-Security-Policy"), accept)
	}
}

func TestPageHeaders(t *testing.T) {
	w := getPage(t, http.Header{"Accept": {"text/html"}})
	h := w.Header()
	assert.Equal(t, "text/html; charset=utf-8", h.Get("Content-Type"))
	assert.Equal(t, "nosniff", h.Get("X-Content-Type-Options"))
	assert.Equal(t, "no-referrer", h.Get("Referrer-Policy"))
	assert.Equal(t, "no-cache", h.Get("Cache-Control"))

	policy := h.Get("Content-Security-Policy")
	for _, directive := range []string{"default-src 'none'", "connect-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"} {
		assert.Contains(t, strings.Split(policy, "; "), directive)
	}
	assert.NotContains(t, policy, "unsafe")
	assert.NotContains(t, policy, "*")
	inline := regexp.MustCompile(`(?s)<(style|script)[^>]*>(.*?)</(?:style|script)>`).FindAllStringSubmatch(w.Body.String(), -1)
	require.Len(t, inline, 2, "one style, one script")
	for _, found := range inline {
		assert.Contains(t, policy, found[1]+"-src '"+hashOf(found[2])+"'", "what is in the document is what the policy lets run")
	}
	assert.NotRegexp(t, `\son[a-z]+=|\sstyle=|javascript:`, pageFrame, "the policy would refuse these")
	assert.NotRegexp(t, `innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(`, pageScript)
	assert.NotRegexp(t, `(src|href|url)\s*[=(]\s*["']?(https?:)?//`, pageFrame+pageStyle+pageScript, "nothing comes from elsewhere")
}

func TestPageIsKeptByItsETag(t *testing.T) {
	first := getPage(t, http.Header{"Accept": {"text/html"}})
	etag := first.Header().Get("ETag")
	require.Regexp(t, `^"[^"]{20,}"$`, etag)

	again := getPage(t, http.Header{"Accept": {"text/html"}, "If-None-Match": {etag}})
	assert.Equal(t, http.StatusNotModified, again.Code)
	assert.Empty(t, again.Body.Bytes())
	assert.Equal(t, etag, again.Header().Get("ETag"))
	assert.NotEmpty(t, again.Header().Get("Content-Security-Policy"))

	other := getPage(t, http.Header{"Accept": {"text/html"}, "If-None-Match": {`"old"`}})
	assert.Equal(t, http.StatusOK, other.Code)
	changed := httptest.NewRecorder()
	pages.New(pageFrame, pageStyle, pageScript+" ").ServeHTTP(changed, httptest.NewRequest(http.MethodGet, "/", nil))
	assert.NotEqual(t, etag, changed.Header().Get("ETag"))
}

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// The rest of this file looks at the page in a real browser, with an API that
// answers what the test wants to see.

const goodKey = "uaol_it's-mine"

// standIn is the API as far as the page asks for it, in the real types.
type standIn struct {
	*httptest.Server
	mu       sync.Mutex
	down     bool // no answer at all
	sick     bool // a check fails
	limited  bool // too many requests
	own      []registry.Tool
	jobs     []jobs.Job
	steps    []jobs.StepState
	requests []string // path, and "guest" where a guest would have been made
}

func newStandIn(t *testing.T) *standIn {
	s := &standIn{}
	engine := pageEngine()
	engine.Use(func(c *gin.Context) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.requests = append(s.requests, c.Request.URL.Path)
		key := c.GetHeader("X-API-Key")
		private := !strings.HasPrefix(c.FullPath(), "/services") && c.FullPath() != "/tools" && c.FullPath() != "/readyz"
		switch {
		case s.down:
			panic(http.ErrAbortHandler)
		case s.limited && c.FullPath() != "/readyz":
			api.Fail(c, services.Errorf(services.Limited, "Rate limit exceeded. Maximum 100 requests per minute."))
		case private && key == "":
			s.requests = append(s.requests, "guest")
			api.Fail(c, services.Errorf(services.Unauthenticated, "No token provided"))
		case private && key != goodKey:
			api.Fail(c, services.Errorf(services.Unauthenticated, "Invalid API key"))
		default:
			c.Next()
		}
	})
	engine.GET("/readyz", func(c *gin.Context) {
		if s.sick {
			api.Fail(c, services.Errorf(services.Unavailable, "Not ready").WithDetails([]health.Result{{Name: "database", Error: "no answer"}}))
			return
		}
		c.JSON(200, api.OK(gin.H{"version": "1.2.3", "services": []string{}, "checks": []health.Result{{Name: "database", OK: true}}}))
	})
	engine.GET("/services", func(c *gin.Context) {
		c.JSON(200, api.List([]serviceBody{{services.Gateway, true, !s.sick}, {services.Jobs, false, true}}, ""))
	})
	engine.GET("/tools", func(c *gin.Context) {
		var approved []registry.Tool
		for _, tool := range s.own {
			if tool.Status == registry.Approved {
				approved = append(approved, tool)
			}
		}
		c.JSON(200, api.List(approved, ""))
	})
	engine.GET("/tools/my/tools", func(c *gin.Context) { c.JSON(200, api.List(s.own, "")) })
	engine.GET("/auth/me", func(c *gin.Context) {
		c.JSON(200, api.OK(gin.H{"id": uuid.Nil, "email": "me@example.com", "subscriptionTier": "Free", "credits": "97"}))
	})
	engine.GET("/jobs", func(c *gin.Context) { c.JSON(200, api.List(s.jobs, "")) })
	engine.GET("/jobs/:id/steps", func(c *gin.Context) { c.JSON(200, api.List(s.steps, "")) })
	engine.GET("/proxy/:id/tools", func(c *gin.Context) {
		c.JSON(200, api.List([]gin.H{{"name": "greet", "description": "Says hello", "inputSchema": gin.H{
			"type": "object", "required": []string{"who", "times"},
			"properties": gin.H{"who": gin.H{"type": "string", "examples": []string{"Ada"}}, "times": gin.H{"type": "integer"}, "not": gin.H{"type": "string"}},
		}}}, ""))
	})
	s.Server = httptest.NewServer(engine)
	t.Cleanup(s.Close)
	return s
}

func (s *standIn) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *standIn) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.requests
	s.requests = nil
	return asked
}

func (s *standIn) job(status jobs.Status, action string) jobs.Job {
	begun := services.Now()
	job := jobs.Job{
		ID: uuid.Must(uuid.NewV7()), Status: status, CreatedAt: begun, UpdatedAt: begun, StartTime: &begun,
		Definition: json.RawMessage(`{"steps":[{"id":"a","action":` + fmt.Sprintf("%q", action) + `},{"id":"b","action":"send"}]}`),
	}
	if status.Ended() {
		later := services.Time{Time: begun.Add(1500 * time.Millisecond)}
		job.EndTime, job.FinalOutput = &later, json.RawMessage(`{"a":{"found":"<b>bold</b>"}}`)
	}
	return job
}

const attack = `<img src=x onerror="document.title='taken'">`

func TestPageInABrowser(t *testing.T) {
	s := newStandIn(t)
	b := newBrowser(t)
	stage := func(name string, look func(t *testing.T)) {
		t.Helper()
		ok := t.Run(name, func(t *testing.T) {
			b.t = t
			look(t)
		})
		if b.t = t; !ok {
			t.FailNow() // what follows begins where this should have ended
		}
	}
	tool := registry.Tool{ID: uuid.Must(uuid.NewV7()), Name: "Greeter " + attack, Price: 1, Protocol: "mcp", Status: registry.Pending, Version: 1}

	stage("as nobody", func(t *testing.T) {
		b.open(s.URL + "/")
		b.sees("#next", "Make an account")
		b.sees("#do-register", "curl -s "+s.URL+"/auth/register")
		b.sees("#services", "gateway", "Ready", "jobs", "in another process")
		b.sees("#checks", "database", "OK")
		b.sees("header", "1.2.3", "Ready")
		b.sees("#no-jobs", "Jobs are private")
		b.sees("#no-tools", "None is approved yet")
		time.Sleep(2500 * time.Millisecond) // a round more
		asked := s.asked()
		assert.NotContains(t, asked, "guest", "nobody stays nobody")
		assert.NotContains(t, asked, "/jobs")
		assert.Contains(t, asked, "/readyz")
	})

	stage("a wrong key", func(t *testing.T) {
		b.run(`document.querySelector('#key').value = 'uaol_wrong'; document.querySelector('#enter button').click()`)
		b.sees("#key-problem", "does not know that key")
		assert.Equal(t, "null", b.run(`sessionStorage.getItem('uaol-key')`))
		b.sees("#next", "Make an account")
		b.run(`document.querySelector('#key').value = 'schlüssel'; document.querySelector('#enter button').click()`)
		b.sees("#key-problem", "not an API key")
		assert.NotContains(t, s.asked(), "guest")
	})

	stage("the key in the fragment", func(t *testing.T) {
		b.open("about:blank")
		b.open(s.URL + "/#key=" + goodKey)
		b.sees("#who", "me@example.com · 97 credits")
		assert.Equal(t, `"`+s.URL+`/"`, b.run(`location.href`), "it leaves the address bar")
		assert.Equal(t, `"`+goodKey+`"`, b.run(`sessionStorage.getItem('uaol-key')`))
		b.open(s.URL + "/")
		b.sees("#who", "me@example.com")
	})

	stage("each stage leads to the next", func(t *testing.T) {
		b.sees("#next", "Register a tool")
		b.sees("#do-tool", "X-API-Key: YOUR_KEY")
		b.sees("#no-jobs", "None yet")
		b.sees("#no-tools", "Register the first one")
		s.set(func() { s.own = []registry.Tool{tool} })
		b.sees("#next", "Have Greeter "+attack+" approved", "uaol admin create --email", "/tools/"+tool.ID.String()+"/approve")
		b.sees("#tools", attack, "Pending", "1 credit a call")
		s.set(func() { s.own[0].Status = registry.Approved })
		b.sees("#next", "Run a job with Greeter "+attack, "Says hello")
		b.sees("#do-job", tool.ID.String(), `"action":"greet"`, `"parameters":{"who":"Ada","times":1}`)
		assert.NotContains(t, b.text("#do-job"), `"not"`)
		s.set(func() { s.jobs = []jobs.Job{s.job(jobs.Running, attack)} })
		b.sees("#next", "Build on it", "/jobs/"+s.jobs[0].ID.String()+"/steps")
		b.sees("#jobs", "Running", attack+" → send")
		b.sees("#said", "Next: Build on it")
	})

	stage("copy puts the key in, quoted for a shell", func(t *testing.T) {
		b.call("Browser.grantPermissions", map[string]any{"permissions": []string{"clipboardReadWrite", "clipboardSanitizedWrite"}})
		b.run(`document.querySelector('[data-copy=do-steps]').click()`)
		b.sees("[data-copy=do-steps]", "Copied")
		copied := b.run(`navigator.clipboard.readText()`)
		assert.Contains(t, copied, `'X-API-Key: uaol_it'\\''s-mine'`)
		assert.NotContains(t, b.text("#do-steps"), goodKey, "it is not shown")
	})

	stage("a job's details stay open while it goes on", func(t *testing.T) {
		failed := "the tool was away"
		s.set(func() {
			s.steps = []jobs.StepState{{ID: "a", Action: "greet", Price: 1, Status: jobs.Success}, {ID: "b", Action: "send", Status: jobs.Retrying, Attempt: 2, Error: &failed}}
		})
		b.run(`document.querySelector('#jobs summary').focus()`)
		b.press("Enter", 13)
		b.sees("#jobs", "a · greet", "1 credit", "b · send", "Retrying", failed)
		s.set(func() {
			done := s.job(jobs.Success, attack)
			done.ID = s.jobs[0].ID
			s.steps[1].Status, s.steps[1].Error = jobs.Success, nil
			s.jobs = []jobs.Job{s.job(jobs.Queued, "another"), done}
		})
		b.sees("#jobs", "another → send", "Queued", "took 1.5 s", "<b>bold</b>")
		b.sees("#said", "Job Success")
		assert.Equal(t, "true", b.run(`document.activeElement.matches('#jobs details[open] summary')`), "focus stays too")
	})

	stage("nothing that users wrote became HTML", func(t *testing.T) {
		assert.Equal(t, `["UAOL",0]`, b.run(`JSON.parse(JSON.stringify([document.title, document.querySelectorAll('img, b').length]))`))
	})

	stage("not ready", func(t *testing.T) {
		s.set(func() { s.sick = true })
		b.sees("#health", "Not ready")
		b.sees("#checks", "database", "no answer", "Failed")
		s.set(func() { s.sick = false })
		b.sees("#health", "Ready")
	})

	stage("out of reach, and back", func(t *testing.T) {
		s.set(func() { s.down = true })
		b.sees("#trouble", "cannot be reached")
		b.sees("#health", "Unreachable")
		b.sees("#jobs", "another → send")
		s.set(func() { s.down = false })
		b.sees("#health", "Ready")
		assert.Equal(t, "true", b.run(`document.querySelector('#trouble').hidden`))
	})

	stage("too many requests", func(t *testing.T) {
		s.set(func() { s.limited = true })
		b.sees("#trouble", "Rate limit exceeded", "Asking less often")
		b.sees("#who", "me@example.com")
		s.set(func() { s.limited = false })
		b.sees("#pulse", "Up to date")
	})

	stage("at rest while hidden", func(t *testing.T) {
		hide := `Object.defineProperty(document, 'hidden', {value: %v, configurable: true}); document.dispatchEvent(new Event('visibilitychange'))`
		b.run(fmt.Sprintf(hide, true))
		b.sees("#pulse", "Paused")
		time.Sleep(300 * time.Millisecond) // what was under way
		s.asked()
		time.Sleep(2500 * time.Millisecond)
		assert.Empty(t, s.asked())
		b.run(fmt.Sprintf(hide, false))
		b.sees("#pulse", "Up to date")
	})

	stage("on a phone, light and dark", func(t *testing.T) {
		b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": true})
		assert.Equal(t, "360", b.run(`document.documentElement.scrollWidth`))
		colours := map[string]bool{}
		for _, scheme := range []string{"light", "dark"} {
			b.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}})
			colours[b.run(`getComputedStyle(document.body).backgroundColor`)] = true
			assert.Equal(t, "[]", b.run(contrast), scheme)
		}
		assert.Len(t, colours, 2)
	})

	stage("forgetting the key", func(t *testing.T) {
		b.run(`document.querySelector('#forget').click()`)
		b.sees("#next", "Make an account")
		assert.Empty(t, b.text("#jobs"))
		assert.Equal(t, `[null,"key"]`, b.run(`[sessionStorage.getItem('uaol-key'), document.activeElement.id]`))
		s.asked()
		time.Sleep(2500 * time.Millisecond)
		assert.NotContains(t, s.asked(), "guest")
	})

	for _, asked := range b.seen("Network.requestWillBeSent") {
		var event struct {
			Request struct{ URL string } `json:"request"`
		}
		require.NoError(t, json.Unmarshal(asked, &event))
		assert.Regexp(t, "^("+regexp.QuoteMeta(s.URL)+"/|data:|about:)", event.Request.URL)
	}
	for _, entry := range b.seen("Log.entryAdded") {
		assert.NotContains(t, string(entry), "Content Security Policy")
	}
	assert.Empty(t, b.seen("Runtime.exceptionThrown"))
}

// contrast lists texts that are hard to read: WCAG's AA asks for 4.5.
const contrast = `(() => {
  const rgb = c => c.match(/[\d.]+/g).map(Number);
  const light = c => rgb(c).slice(0, 3).map(v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4).reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const back = n => { for (; n; n = n.parentElement) { const c = getComputedStyle(n).backgroundColor; if (rgb(c)[3] !== 0) return c; } };
  const bad = [];
  for (const n of document.querySelectorAll('body *')) {
    if (!n.checkVisibility() || ![...n.childNodes].some(t => t.nodeType === 3 && t.data.trim())) continue;
    const [a, b] = [light(getComputedStyle(n).color), light(back(n))].sort((x, y) => y - x);
    if ((a + .05) / (b + .05) < 4.5) bad.push(n.textContent + ' ' + ((a + .05) / (b + .05)).toFixed(2));
  }
  return bad;
})()`

// browser is a headless Chromium that is driven over a pipe.
type browser struct {
	t       *testing.T
	in      *os.File
	session string
	mu      sync.Mutex
	last    int
	waiting map[int]chan message
	events  map[string][]json.RawMessage
}

type message struct {
	ID     int             `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  json.RawMessage `json:"error"`
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	var program string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if path, err := exec.LookPath(name); err == nil && program == "" {
			program = path
		}
	}
	if program == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("no Chromium: the page was not tested in a browser")
		}
		t.Skip("no Chromium here: the page is not tested in a browser")
	}
	dir, err := os.MkdirTemp("", "uaol-page-")
	require.NoError(t, err)
	theirIn, ourOut, err := os.Pipe()
	require.NoError(t, err)
	ourIn, theirOut, err := os.Pipe()
	require.NoError(t, err)
	command := exec.CommandContext(context.Background(), program, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
		"--disable-background-networking", "--disable-sync", "--disable-component-update", "--disable-quic", "--disable-dev-shm-usage",
		"--user-data-dir="+dir, "--remote-debugging-pipe", "about:blank")
	command.ExtraFiles = []*os.File{theirIn, theirOut} // its descriptors 3 and 4
	require.NoError(t, command.Start())
	theirIn.Close()
	theirOut.Close()
	b := &browser{t: t, in: ourOut, waiting: map[int]chan message{}, events: map[string][]json.RawMessage{}}
	go b.read(ourIn)
	t.Cleanup(func() {
		b.session = ""
		b.call("Browser.close", nil)
		_ = command.Wait()
		ourOut.Close()
		_ = os.RemoveAll(dir)
	})
	var target struct{ TargetID, SessionID string }
	require.NoError(t, json.Unmarshal(b.call("Target.createTarget", map[string]any{"url": "about:blank"}), &target))
	require.NoError(t, json.Unmarshal(b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}), &target))
	b.session = target.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		b.call(domain+".enable", nil)
	}
	b.call("Emulation.setFocusEmulationEnabled", map[string]any{"enabled": true})
	return b
}

func (b *browser) read(from *os.File) {
	defer from.Close()
	var buffer []byte
	chunk := make([]byte, 64<<10)
	for {
		n, err := from.Read(chunk)
		buffer = append(buffer, chunk[:n]...)
		for end := bytes.IndexByte(buffer, 0); end >= 0; end = bytes.IndexByte(buffer, 0) {
			var m message
			if json.Unmarshal(buffer[:end], &m) == nil {
				b.mu.Lock()
				if waiter, ok := b.waiting[m.ID]; ok {
					waiter <- m
					delete(b.waiting, m.ID)
				} else {
					b.events[m.Method] = append(b.events[m.Method], m.Params)
				}
				b.mu.Unlock()
			}
			buffer = buffer[end+1:]
		}
		if err != nil {
			return
		}
	}
}

func (b *browser) call(method string, params any) json.RawMessage {
	b.t.Helper()
	answer := make(chan message, 1)
	b.mu.Lock()
	b.last++
	request := map[string]any{"id": b.last, "method": method}
	if params != nil {
		request["params"] = params
	}
	if b.session != "" && !strings.HasPrefix(method, "Browser.") {
		request["sessionId"] = b.session
	}
	b.waiting[b.last] = answer
	b.mu.Unlock()
	text, err := json.Marshal(request)
	require.NoError(b.t, err)
	_, err = b.in.Write(append(text, 0))
	require.NoError(b.t, err)
	select {
	case m := <-answer:
		require.Empty(b.t, string(m.Error), method)
		return m.Result
	case <-time.After(30 * time.Second):
		require.Fail(b.t, "the browser does not answer", method)
		return nil
	}
}

func (b *browser) seen(event string) []json.RawMessage {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.events[event]
}

func (b *browser) open(url string) {
	b.t.Helper()
	b.call("Page.navigate", map[string]any{"url": url})
}

// run evaluates an expression and gives its value as JSON.
func (b *browser) run(expression string) string {
	b.t.Helper()
	var answer struct {
		Result struct {
			Value json.RawMessage `json:"value"`
		} `json:"result"`
		Exception json.RawMessage `json:"exceptionDetails"`
	}
	result := b.call("Runtime.evaluate", map[string]any{"expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true})
	require.NoError(b.t, json.Unmarshal(result, &answer))
	require.Empty(b.t, string(answer.Exception), expression)
	return string(answer.Result.Value)
}

func (b *browser) press(key string, code int) {
	b.t.Helper()
	for _, kind := range []string{"keyDown", "keyUp"} {
		b.call("Input.dispatchKeyEvent", map[string]any{"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": "\r"})
	}
}

// text is what an element shows.
func (b *browser) text(selector string) string {
	b.t.Helper()
	var text string
	_ = json.Unmarshal([]byte(b.run(fmt.Sprintf(`document.querySelector(%q)?.innerText ?? document.querySelector(%q)?.textContent ?? ''`, selector, selector))), &text)
	return text
}

// sees waits for an element to show all of the texts.
func (b *browser) sees(selector string, texts ...string) {
	b.t.Helper()
	var shown string
	for end := time.Now().Add(25 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		shown = b.text(selector)
		all := true
		for _, text := range texts {
			all = all && strings.Contains(shown, text)
		}
		if all {
			return
		}
	}
	require.Failf(b.t, "not seen", "%s shows %q, not %q", selector, shown, texts)
}
