package peers_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"uaol/providers/api"
	"uaol/providers/peers"
	"uaol/services"
)

// replica is a process that says how it is.
type replica struct {
	*httptest.Server
	taken, looks atomic.Int64
	unready      atomic.Bool // at /readyz
	leaving      atomic.Bool // in its answers
}

func startReplica(t *testing.T) *replica {
	t.Helper()
	r := &replica{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if request.URL.Path == "/readyz" {
			if r.looks.Add(1); r.unready.Load() {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			return
		}
		r.taken.Add(1)
		if r.leaving.Load() {
			r.unready.Store(true)
			w.Header().Set(api.StoppingHeader, "true")
		}
		_, _ = io.Copy(io.Discard, request.Body)
		_, _ = io.WriteString(w, "{}")
	}))
	t.Cleanup(r.Close)
	return r
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	require.Eventually(t, f, 20*time.Second, 5*time.Millisecond, what)
}

func ask(t *testing.T, p *peers.Peer) {
	t.Helper()
	_, err := peers.CallOnce[struct{}, struct{}](t.Context(), p, "x", struct{}{})
	require.NoError(t, err)
}

// TestWhoStopsIsNotAskedAgain: one answer that says so is enough, for every peer of
// the process, until /readyz says otherwise; who has nobody else goes on asking it.
func TestWhoStopsIsNotAskedAgain(t *testing.T) {
	t.Parallel()
	a, b := startReplica(t), startReplica(t)
	p := connect(t, a.URL, b.URL)
	a.leaving.Store(true)
	eventually(t, "a says it", func() bool { ask(t, p); return a.taken.Load() > 0 })
	before := a.taken.Load()
	for range 20 {
		ask(t, p)
	}
	require.Equal(t, before, a.taken.Load())
	a.leaving.Store(false)
	a.unready.Store(false)
	eventually(t, "a is back", func() bool { ask(t, p); return a.taken.Load() > before })

	c := startReplica(t)
	alone := connect(t, c.URL)
	c.leaving.Store(true)
	for range 5 {
		ask(t, alone)
	}
	require.Equal(t, int64(5), c.taken.Load())
}

// TestWhoIsNotReadyIsLeftOut: found by asking, while others could be used instead, and
// only as long as somebody calls.
func TestWhoIsNotReadyIsLeftOut(t *testing.T) {
	t.Parallel()
	a, b := startReplica(t), startReplica(t)
	a.unready.Store(true)
	p := connect(t, a.URL, b.URL)
	eventually(t, "a was looked at", func() bool { ask(t, p); return a.looks.Load() > 0 })
	eventually(t, "a is left out", func() bool {
		before := a.taken.Load()
		ask(t, p)
		ask(t, p)
		return a.taken.Load() == before
	})
	c := startReplica(t)
	alone := connect(t, c.URL)
	for range 10 {
		ask(t, alone)
	}
	require.Zero(t, c.looks.Load(), "there is no other, so nothing depends on it")
}

// restart takes a process off its address and puts one there again after a while.
func restart(t *testing.T, away time.Duration) (url string, taken *atomic.Int64) {
	t.Helper()
	at := strings.TrimPrefix(closed(t), "http://")
	taken = &atomic.Int64{}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" {
			taken.Add(1)
			_, _ = io.Copy(w, r.Body)
		}
	})}
	back := time.AfterFunc(away, func() {
		listener, err := net.Listen("tcp", at)
		if assert.NoError(t, err) {
			_ = server.Serve(listener)
		}
	})
	t.Cleanup(func() { back.Stop(); _ = server.Close() })
	return "http://" + at, taken
}

// TestARestartIsWaitedFor: a process that is away for a moment costs its callers that
// moment and no error, called or passed on, each sent once.
func TestARestartIsWaitedFor(t *testing.T) {
	t.Parallel()
	url, taken := restart(t, 400*time.Millisecond)
	p := connect(t, url)
	results := make(chan error, 21)
	for range 20 {
		go func() {
			_, err := peers.CallOnce[number, number](t.Context(), p, "x", number{1})
			results <- err
		}()
	}
	go func() {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/tools?x=1", io.MultiReader(strings.NewReader("a body that "), strings.NewReader("nobody can rewind")))
		if err == nil {
			var response *http.Response
			if response, err = p.RoundTrip(request); err == nil {
				text, _ := io.ReadAll(response.Body)
				_ = response.Body.Close()
				assert.Equal(t, "a body that nobody can rewind", string(text))
			}
		}
		results <- err
	}()
	for range 21 {
		require.NoError(t, <-results)
	}
	require.Equal(t, int64(21), taken.Load())
}

// TestNobodyWaitsForTheDead: only those who come when it has just gone wait.
func TestNobodyWaitsForTheDead(t *testing.T) {
	t.Parallel()
	p := connect(t, closed(t))
	_, err := peers.Call[number, number](t.Context(), p, "x", number{})
	require.True(t, services.Is(err, services.Unavailable), err)
	begun := time.Now()
	for range 50 {
		_, err := peers.Call[number, number](t.Context(), p, "x", number{})
		require.True(t, services.Is(err, services.Unavailable), err)
	}
	require.Less(t, time.Since(begun), 10*time.Second, "50 that wait would take 75 s")
}

// TestPassingOn: what may be repeated is, elsewhere; what may not is sent once; a
// body that could not be read is nobody's fault.
func TestPassingOn(t *testing.T) {
	t.Parallel()
	bad, taken := hangsUp(t)
	pass := func(p *peers.Peer, method, body string, repeat bool) (string, error) {
		request, err := http.NewRequestWithContext(t.Context(), method, "/x/%2F?q=1", nil)
		require.NoError(t, err)
		if body != "" {
			request.Body = io.NopCloser(strings.NewReader(body))
			request.ContentLength = int64(len(body))
		}
		if repeat {
			request.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(body)), nil }
		}
		response, err := p.RoundTrip(request)
		if err != nil {
			return "", err
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		return string(text), err
	}
	good := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		_, _ = io.WriteString(w, r.Method+" "+r.URL.RequestURI()+" "+string(text))
	}))
	t.Cleanup(good.Close)
	p := connect(t, bad, good.URL)
	for range 6 {
		text, err := pass(p, http.MethodGet, "", false)
		require.NoError(t, err)
		require.Equal(t, "GET /x/%2F?q=1 ", text)
		text, err = pass(p, http.MethodPost, "hello", true)
		require.NoError(t, err)
		require.Equal(t, "POST /x/%2F?q=1 hello", text)
	}
	before := taken.Load()
	failed := int64(0)
	eventually(t, "the bad one was asked", func() bool { // it is left out for a moment
		if _, err := pass(p, http.MethodPost, "hello", false); err != nil {
			failed++
		}
		return failed > 2
	})
	require.Equal(t, failed, taken.Load()-before, "each was sent once")

	p = connect(t, closed(t), good.URL+"/base")
	for range 4 {
		text, err := pass(p, http.MethodDelete, "x", false)
		require.NoError(t, err, "what was refused goes elsewhere, whatever it is")
		require.Equal(t, "DELETE /base/x/%2F?q=1 x", text)
	}
}
