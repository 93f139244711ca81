package instance

import (
	"cmp"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"uaol/providers/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start serves a data directory's own routes, and /key, which a key is sent to.
func start(t *testing.T, dataDir string) *httptest.Server {
	t.Helper()
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	New(config.Process{DataDir: dataDir}).Mount(engine)
	engine.GET("/key", func(c *gin.Context) { c.String(http.StatusOK, c.GetHeader("X-API-Key")) })
	return serve(t, engine)
}

func serve(t *testing.T, handler http.Handler) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

// send sends a key the way that commands do.
func send(t *testing.T, dataDir, base string) (string, error) {
	t.Helper()
	transport := &http.Transport{DialContext: Dialer(dataDir, nil)}
	t.Cleanup(transport.CloseIdleConnections)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/key", http.NoBody)
	require.NoError(t, err)
	request.Header.Set("X-API-Key", "the key")
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return "", err
	}
	defer func() { require.NoError(t, response.Body.Close()) }()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return string(text), nil
}

func TestTheServerOfADataDirectoryProvesIt(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	server := start(t, dir)
	for range 2 { // the first time it makes its secret
		got, err := send(t, dir, server.URL)
		require.NoError(t, err)
		require.Equal(t, "the key", got)
	}
	info, err := os.Stat(filepath.Join(dir, "secrets", "instance"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
}

// TestNobodyElseGetsAKey tries everything that may stand on the port of a server.
func TestNobodyElseGetsAKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ours := start(t, dir)
	_, err := send(t, dir, ours.URL) // there is a secret
	require.NoError(t, err)
	at, err := url.Parse(ours.URL)
	require.NoError(t, err)
	relay := httputil.NewSingleHostReverseProxy(at)
	relay.Transport = &http.Transport{DisableKeepAlives: true}
	secret, err := os.ReadFile(filepath.Join(dir, "secrets", "instance"))
	require.NoError(t, err)
	says := func(text string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) })
	}
	proves := func(secret, nonce string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			said := proof(secret, cmp.Or(nonce, r.URL.Query().Get("nonce")), r.Host)
			_, _ = io.WriteString(w, `{"success":true,"data":{"proof":"`+said+`"}}`)
		})
	}
	for name, impostor := range map[string]http.Handler{
		"a server of another directory": start(t, t.TempDir()).Config.Handler,
		"one that passes questions on":  relay,
		"a proof of an earlier time":    proves(string(secret), strings.Repeat("A", 26)),
		"a proof by no secret":          proves("", ""),
		"no proof":                      says(`{"success":true,"data":{}}`),
		"an empty proof":                says(`{"success":true,"data":{"proof":""}}`),
		"a page":                        says("<html>"),
		"a refusal":                     http.NotFoundHandler(),
		"an answer without an end": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := io.WriteString(w, strings.Repeat(" ", 1<<16)); err != nil {
					return
				}
			}
		}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var keys atomic.Int64
			server := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("X-API-Key") != "" {
					keys.Add(1)
				}
				impostor.ServeHTTP(w, r)
			}))
			begun := time.Now()
			_, err := send(t, dir, server.URL)
			require.ErrorIs(t, err, ErrOther)
			require.Less(t, time.Since(begun), patience)
			require.Zero(t, keys.Load())
		})
	}
	t.Run("no directory", func(t *testing.T) {
		t.Parallel()
		_, err := send(t, filepath.Join(t.TempDir(), "nowhere"), serve(t, proves("", "")).URL)
		require.ErrorIs(t, err, ErrOther)
	})
	t.Run("nobody", func(t *testing.T) {
		t.Parallel()
		_, err := send(t, dir, "http://127.0.0.1:1")
		require.Error(t, err)
		require.NotErrorIs(t, err, ErrOther)
	})
}

// TestEveryConnectionIsProved: a server that proved itself may have ended since,
// and another have taken its port.
func TestEveryConnectionIsProved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := start(t, dir)
	transport := &http.Transport{DialContext: Dialer(dir, nil)}
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport}
	get := func() error {
		response, err := client.Get(first.URL + "/key")
		if err == nil {
			err = response.Body.Close()
		}
		return err
	}
	require.NoError(t, get())
	address := first.Listener.Addr().String()
	first.Close()
	second := httptest.NewUnstartedServer(http.NotFoundHandler())
	require.NoError(t, second.Listener.Close())
	var err error
	second.Listener, err = (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
	require.NoError(t, err)
	second.Start()
	t.Cleanup(second.Close)
	require.ErrorIs(t, get(), ErrOther)
}

func TestQuestionsHaveOneForm(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server := start(t, dir)
	for _, nonce := range []string{"", "x", strings.Repeat("A", 27), strings.Repeat("a", 26), "AAAAAAAAAAAAAAAAAAAAAAAAA\n"} {
		response, err := http.Get(server.URL + Path + "?nonce=" + url.QueryEscape(nonce))
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusBadRequest, response.StatusCode, nonce)
	}
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	response, err := http.Get(start(t, file).URL + Path + "?nonce=" + strings.Repeat("A", 26))
	require.NoError(t, err)
	defer response.Body.Close()
	var refused struct{ Error struct{ Message string } }
	require.NoError(t, json.NewDecoder(response.Body).Decode(&refused))
	require.Equal(t, http.StatusNotFound, response.StatusCode)
	require.Equal(t, "This server keeps no data directory", refused.Error.Message)
	http.DefaultClient.CloseIdleConnections()
}
