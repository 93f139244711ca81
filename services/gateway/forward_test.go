package gateway

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"uaol/providers/api"
	"uaol/providers/peers"
	"uaol/providers/peers/peerstest"
	"uaol/services"
)

// front is a gateway before servers that are all the storage service.
type front struct {
	*httptest.Server
	forwarder *forwarder
	stop      context.CancelFunc // streams, as when the process stops
	opened    atomic.Int64       // connections of clients
	faults    zaptest.Buffer     // what the server says went wrong; for after Close
}

func startFront(t *testing.T, upstreams ...string) *front {
	t.Helper()
	gin.SetMode(gin.ReleaseMode)
	tokens := peerstest.Tokens(t)
	peer, err := peers.New(services.Storage, "UAOL_STORAGE_URL", strings.Join(upstreams, ","), tokens)
	require.NoError(t, err)
	t.Cleanup(tokens.Close)
	f := &front{forwarder: newForwarder(peer, zap.NewNop())}
	stopping, stop := context.WithCancel(t.Context())
	f.stop = stop
	engine := gin.New()
	engine.Use(func(c *gin.Context) { c.Header("X-Gateway", "says so") })
	public := []api.Option{api.Allow(api.Public), api.MaxBody(64 << 20)}
	api.Mount(engine, api.Guards{Service: tokens}, false,
		f.forwarder.by(api.Raw(http.MethodGet, "/x", "reads", nil, public...)),
		f.forwarder.by(api.Raw(http.MethodPost, "/x", "writes", nil, public...)),
		f.forwarder.by(api.Raw(http.MethodPost, "/keyed", "writes once", nil, append(public, api.Keyed())...)))
	f.Server = httptest.NewUnstartedServer(engine)
	f.Config.ConnState = countNew(&f.opened)
	f.Config.ErrorLog = log.New(&f.faults, "", 0)
	f.Config.BaseContext = func(net.Listener) context.Context { return api.WithStopping(context.Background(), stopping) }
	f.Start()
	t.Cleanup(f.Close)
	return f
}

func countNew(number *atomic.Int64) func(net.Conn, http.ConnState) {
	return func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			number.Add(1)
		}
	}
}

func upstream(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" {
			handler(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return server
}

func (f *front) do(t *testing.T, method, path string, body io.Reader, header ...string) (*http.Response, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, f.URL+path, body)
	require.NoError(t, err)
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := f.Client().Do(request)
	if err == nil {
		t.Cleanup(func() { _ = response.Body.Close() })
	}
	return response, err
}

// TestUploadsPassThrough: of 50 MB that go through nothing stays. It measures memory,
// so nothing runs beside it.
func TestUploadsPassThrough(t *testing.T) {
	const size, rest = 50 << 20, 1 << 20
	held, goOn := make(chan struct{}), make(chan struct{})
	server := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		n, err := io.CopyN(io.Discard, r.Body, size-rest)
		close(held)
		<-goOn
		m, err2 := io.Copy(io.Discard, r.Body)
		assert.NoError(t, errors.Join(err, err2))
		assert.Equal(t, int64(size), n+m)
	})
	f := startFront(t, server.URL)
	heap := func() uint64 {
		var stats runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	before := heap()
	status := make(chan int, 1)
	go func() {
		response, err := f.do(t, http.MethodPost, "/x", io.LimitReader(zeros{}, size))
		if assert.NoError(t, err) {
			status <- response.StatusCode
		}
		close(status)
	}()
	<-held
	grown := int64(heap()) - int64(before)
	close(goOn)
	require.Equal(t, http.StatusOK, <-status)
	require.Less(t, grown, int64(8<<20))
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestEventsArriveAsTheyAreWritten, and who leaves is heard of at the other end.
func TestEventsArriveAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	next, left := make(chan struct{}), make(chan struct{})
	server := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for {
			_, _ = io.WriteString(w, "data: x\n\n")
			w.(http.Flusher).Flush()
			select {
			case <-next:
			case <-r.Context().Done():
				close(left)
				return
			}
		}
	})
	f := startFront(t, server.URL)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, f.URL+"/x", nil)
	require.NoError(t, err)
	response, err := f.Client().Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	lines := bufio.NewReader(response.Body)
	for range 3 {
		line, err := lines.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "data: x\n", line)
		_, err = lines.ReadString('\n')
		require.NoError(t, err)
		next <- struct{}{}
	}
	cancel()
	<-left
}

// TestWhoDiesInTheMiddleIsNoEnd: neither of a download nor of a stream.
func TestWhoDiesInTheMiddleIsNoEnd(t *testing.T) {
	t.Parallel()
	for kind, length := range map[string]string{"text/event-stream": "", "application/octet-stream": "1000000"} {
		server := upstream(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			if length != "" {
				w.Header().Set("Content-Length", length)
			}
			_, _ = io.WriteString(w, "data: half\n\n")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		})
		response, err := startFront(t, server.URL).do(t, http.MethodGet, "/x", nil)
		if length != "" && err != nil { // nothing had been passed on yet
			require.ErrorIs(t, err, io.EOF)
			continue
		}
		require.NoError(t, err)
		text, err := io.ReadAll(response.Body)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF, kind)
		if length == "" {
			require.Equal(t, "data: half\n\n", string(text))
		}
	}
}

// TestQuietExchangesEnd: one that never begins, and one that stops in the middle; what
// moves goes on for as long as it likes.
func TestQuietExchangesEnd(t *testing.T) {
	t.Parallel()
	server := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			for range 20 {
				_, _ = io.WriteString(w, "x")
				w.(http.Flusher).Flush()
				pause, cancel := context.WithTimeout(r.Context(), 100*time.Millisecond)
				<-pause.Done()
				cancel()
			}
		}
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})
	f := startFront(t, server.URL)
	f.forwarder.quiet = time.Second
	response, err := f.do(t, http.MethodPost, "/x", strings.NewReader("x"))
	require.NoError(t, err)
	require.Equal(t, http.StatusGatewayTimeout, response.StatusCode)
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Contains(t, string(text), "OUTCOME_UNKNOWN", "it may have been done")
	response, err = f.do(t, http.MethodGet, "/x", nil)
	require.NoError(t, err)
	text, err = io.ReadAll(response.Body)
	require.Error(t, err, "it was cut")
	require.Len(t, string(text), 20, "after two seconds in which it moved")
}

// TestStreamsEndWhenTheProcessStops: those of events, for their readers come back; a
// download goes on to its end.
func TestStreamsEndWhenTheProcessStops(t *testing.T) {
	t.Parallel()
	begun, goOn := make(chan struct{}, 2), make(chan struct{})
	server := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", r.Header.Get("Accept"))
		_, _ = io.WriteString(w, "data: 1\n\n")
		w.(http.Flusher).Flush()
		begun <- struct{}{}
		select {
		case <-goOn:
			_, _ = io.WriteString(w, "the end")
		case <-r.Context().Done():
		}
	})
	f := startFront(t, server.URL)
	events, err := f.do(t, http.MethodGet, "/x", nil, "Accept", "text/event-stream; charset=utf-8")
	require.NoError(t, err)
	download, err := f.do(t, http.MethodGet, "/x", nil, "Accept", "text/plain")
	require.NoError(t, err)
	<-begun
	<-begun
	f.stop()
	text, err := io.ReadAll(events.Body)
	require.NoError(t, err, "a proper end")
	require.Equal(t, "data: 1\n\n", string(text))
	close(goOn)
	text, err = io.ReadAll(download.Body)
	require.NoError(t, err)
	require.Equal(t, "data: 1\n\nthe end", string(text))
}

// TestWhatIsSentAgain: what reads, and small requests with a key where a key counts.
func TestWhatIsSentAgain(t *testing.T) {
	t.Parallel()
	var cut atomic.Int64
	bad := upstream(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		cut.Add(1)
		panic(http.ErrAbortHandler)
	})
	good := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		_, _ = w.Write(text)
	})
	f := startFront(t, bad.URL, good.URL)
	for _, test := range []struct {
		method, path, key string
		size              int
		again             bool
	}{
		{http.MethodGet, "/x", "", 0, true},
		{http.MethodPost, "/x", "", 5, false},
		{http.MethodPost, "/x", "a key that nobody reads", 5, false},
		{http.MethodPost, "/keyed", "", 5, false},
		{http.MethodPost, "/keyed", "a key", 5, true},
		{http.MethodPost, "/keyed", "a key", smallBody + 1, false},
	} {
		before, failed := cut.Load(), int64(0)
		require.Eventually(t, func() bool {
			body := strings.Repeat("x", test.size)
			response, err := f.do(t, test.method, test.path, strings.NewReader(body), api.KeyHeader, test.key)
			if !assert.NoError(t, err) {
				return true
			}
			text, err := io.ReadAll(response.Body)
			if response.StatusCode != http.StatusOK {
				failed++
				assert.Equal(t, http.StatusGatewayTimeout, response.StatusCode)
				assert.Contains(t, string(text), "OUTCOME_UNKNOWN")
			} else if assert.NoError(t, err) {
				assert.True(t, body == string(text))
			}
			return cut.Load()-before > 2
		}, 20*time.Second, 5*time.Millisecond)
		if test.again {
			require.Zero(t, failed, "%v", test)
		} else {
			require.Equal(t, cut.Load()-before, failed, "%v: each was sent once", test)
		}
	}
}

// TestABodyIsWaitedForBeforeAConnection: a client that is slow to begin holds none that
// the other end thinks idle, and closes when it stops.
func TestABodyIsWaitedForBeforeAConnection(t *testing.T) {
	t.Parallel()
	server := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		_, _ = w.Write(text)
	})
	f := startFront(t, server.URL)
	response, err := f.do(t, http.MethodGet, "/x", nil)
	require.NoError(t, err)
	_, err = io.ReadAll(response.Body)
	require.NoError(t, err, "its connection can be used again")
	body, writer := io.Pipe()
	go func() {
		pause, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		<-pause.Done()
		server.CloseClientConnections()
		if again, err := f.do(t, http.MethodGet, "/x", nil); assert.NoError(t, err) { // by then it was noticed
			_, _ = io.Copy(io.Discard, again.Body)
		}
		_, _ = io.WriteString(writer, "hello")
		_ = writer.Close()
	}()
	response, err = f.do(t, http.MethodPost, "/x", body)
	require.NoError(t, err)
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, "200 hello", strconv.Itoa(response.StatusCode)+" "+string(text))
}

// TestAnswersMayComeBeforeTheBody has been sent, and come whole.
func TestAnswersMayComeBeforeTheBody(t *testing.T) {
	t.Parallel()
	begun := strings.Repeat("a", 5000)
	server := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		assert.NoError(t, control.EnableFullDuplex())
		_, err := io.ReadFull(r.Body, make([]byte, len(begun)))
		assert.NoError(t, err)
		w.WriteHeader(http.StatusTooManyRequests)
		assert.NoError(t, control.Flush())
		rest, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		_, _ = w.Write(rest)
	})
	f := startFront(t, server.URL)
	body, writer := io.Pipe()
	go func() { _, _ = io.WriteString(writer, begun) }()
	response, err := f.do(t, http.MethodPost, "/x", body)
	require.NoError(t, err)
	require.Equal(t, http.StatusTooManyRequests, response.StatusCode)
	go func() {
		_, _ = io.WriteString(writer, "the rest")
		_ = writer.Close()
	}()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, "the rest", string(text))
}

// TestAnAnswerBeforeTheBodyIsTheLast of its connection: the client gets it, and may go on
// elsewhere; the server does not read twice.
func TestAnAnswerBeforeTheBodyIsTheLast(t *testing.T) {
	t.Parallel()
	const size = 20_000
	server := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadFull(r.Body, make([]byte, size/2))
		assert.NoError(t, err)
		w.Header().Set("Connection", "close") // it reads no more
		w.WriteHeader(http.StatusTooManyRequests)
	})
	f := startFront(t, server.URL)
	for range 20 {
		conn, err := net.Dial("tcp", f.Listener.Addr().String())
		require.NoError(t, err)
		defer conn.Close()
		require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
		_, err = fmt.Fprintf(conn, "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", size, strings.Repeat("x", size/2))
		require.NoError(t, err)
		in := bufio.NewReader(conn)
		response, err := http.ReadResponse(in, nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusTooManyRequests, response.StatusCode)
		require.True(t, response.Close, "the client is told")
		_, _ = io.WriteString(conn, strings.Repeat("x", size/2)+"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
		rest, _ := io.ReadAll(in) // the end, or a reset
		require.Empty(t, rest, "what comes after is answered by nobody")
	}
	f.Close()
	require.Empty(t, f.faults.String())
}

// TestConnectionsAreUsedAgain: one after the other, all requests go through one, the
// client's and ours.
func TestConnectionsAreUsedAgain(t *testing.T) {
	t.Parallel()
	for _, kind := range []struct{ method, body string }{{http.MethodGet, ""}, {http.MethodPost, ""}, {http.MethodPost, "hello"}} {
		t.Run(kind.method+kind.body, func(t *testing.T) {
			t.Parallel()
			var opened atomic.Int64
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
			server.Config.ConnState = countNew(&opened)
			server.Start()
			t.Cleanup(server.Close)
			f := startFront(t, server.URL)
			for range 30 {
				response, err := f.do(t, kind.method, "/x", strings.NewReader(kind.body))
				require.NoError(t, err)
				text, err := io.ReadAll(response.Body)
				require.NoError(t, err)
				require.Equal(t, kind.body, string(text))
			}
			require.LessOrEqual(t, opened.Load(), int64(5), "but for pauses of a second on a busy machine")
			require.LessOrEqual(t, f.opened.Load(), int64(5))
		})
	}
}

// TestClientsDropNothingOfOurs: a header that Connection names is for one hop, and so are
// none of those by which the service knows who asks.
func TestClientsDropNothingOfOurs(t *testing.T) {
	t.Parallel()
	server := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		for _, name := range []string{"X-Uaol-Origin", "Authorization", "X-Guest-Id"} {
			w.Header().Set("Saw-"+name, strconv.FormatBool(r.Header.Get(name) != ""))
		}
	})
	f := startFront(t, server.URL)
	response, err := f.do(t, http.MethodGet, "/x", nil, "Connection", "keep-alive, X-Uaol-Origin, X-Guest-Id, Authorization", "X-Guest-Id", "g", "Authorization", "Bearer x")
	require.NoError(t, err)
	for _, name := range []string{"X-Uaol-Origin", "Authorization", "X-Guest-Id"} {
		require.Equal(t, "true", response.Header.Get("Saw-"+name), name)
	}
}

// TestContinue: who waits to be told to send the body is told, and hears all of the answer.
func TestContinue(t *testing.T) {
	t.Parallel()
	server := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		_, _ = fmt.Fprint(w, n)
	})
	f := startFront(t, server.URL)
	conn, err := net.Dial("tcp", f.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	const size = 5000
	_, err = fmt.Fprintf(conn, "POST /x HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", size)
	require.NoError(t, err)
	in := bufio.NewReader(conn)
	response, err := http.ReadResponse(in, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusContinue, response.StatusCode)
	_, err = io.WriteString(conn, strings.Repeat("x", size))
	require.NoError(t, err)
	response, err = http.ReadResponse(in, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Equal(t, "says so", response.Header.Get("X-Gateway"))
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, strconv.Itoa(size), string(text))
}

// TestOnlyTheKeyedIsRepeated: net/http itself would send again what has a key, when the
// connection ends without an answer.
func TestOnlyTheKeyedIsRepeated(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]int64{"/x": 2, "/keyed": 3} {
		for _, name := range []string{"Idempotency-Key", "X-Idempotency-Key"} {
			if path == "/keyed" && name != "Idempotency-Key" {
				continue
			}
			var hits atomic.Int64
			server := upstream(t, func(w http.ResponseWriter, _ *http.Request) {
				if hits.Add(1) == 2 {
					panic(http.ErrAbortHandler) // it is done, and the answer is lost
				}
				_, _ = io.WriteString(w, "done")
			})
			f := startFront(t, server.URL)
			for range 2 {
				response, err := f.do(t, http.MethodPost, path, nil, name, "k")
				require.NoError(t, err)
				_, err = io.Copy(io.Discard, response.Body)
				require.NoError(t, err)
			}
			require.Equal(t, want, hits.Load(), "%s with %s", path, name)
		}
	}
}
