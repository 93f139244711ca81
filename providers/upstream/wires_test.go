package upstream

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/services"
)

// talking is a tool that says, byte by byte, what a test wants it to. Each
// connection is served by talk.
func talking(t *testing.T, talk func(conn net.Conn, requests *bufio.Reader)) (at *url.URL) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			context.AfterFunc(t.Context(), func() { _ = conn.Close() })
			all.Go(func() {
				talk(conn, bufio.NewReader(conn))
				_ = conn.Close()
			})
		}
	})
	t.Cleanup(func() { _ = listener.Close(); all.Wait() })
	return &url.URL{Scheme: "http", Host: listener.Addr().String(), Path: "/"}
}

// asked reads one request and gives its body.
func asked(requests *bufio.Reader) (body string, ok bool) {
	request, err := http.ReadRequest(requests)
	if err != nil {
		return "", false
	}
	all, err := io.ReadAll(request.Body)
	return string(all), err == nil
}

// always answers every request of a connection with the same.
func always(answer string) func(net.Conn, *bufio.Reader) {
	return func(conn net.Conn, requests *bufio.Reader) {
		for _, ok := asked(requests); ok; _, ok = asked(requests) {
			_, _ = io.WriteString(conn, answer)
		}
	}
}

const good = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"

// wiring gives wires that count the connections they open.
func wiring(t *testing.T) (w *wires, opened *atomic.Int64) {
	t.Helper()
	opened = &atomic.Int64{}
	transport := &http.Transport{MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 4096}
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		opened.Add(1)
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	w = newWires(transport)
	t.Cleanup(func() { w.close(); transport.CloseIdleConnections() })
	return w, opened
}

func over(ctx context.Context, w *wires, at *url.URL, body string, header http.Header) (string, *delivery, error) {
	d := &delivery{}
	if header == nil {
		header = http.Header{}
	}
	response, err := w.RoundTrip(post(ctx, d, at, []byte(body), header))
	if err != nil {
		return "", d, err
	}
	said, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	return string(said), d, err
}

func TestAWireIsUsedAgain(t *testing.T) {
	for name, answer := range map[string]string{
		"length":      good,
		"chunks":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\n\r\n",
		"early hints": "HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" + good,
		"no content":  "HTTP/1.1 204 No Content\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			w, opened := wiring(t)
			at := talking(t, always(answer))
			for range 3 {
				said, d, err := over(t.Context(), w, at, "x", nil)
				require.NoError(t, err)
				require.Contains(t, []string{"good", ""}, said)
				require.True(t, d.written())
			}
			require.EqualValues(t, 1, opened.Load())
		})
	}
}

func TestAWireIsNotUsedAgain(t *testing.T) {
	closing := make(chan struct{}, 8)
	for name, talk := range map[string]func(net.Conn, *bufio.Reader){
		"where the server says so": always("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\ngood"),
		"when the answer ends with it": func(conn net.Conn, requests *bufio.Reader) {
			_, _ = asked(requests)
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\ngood")
		},
		"that the server has closed": func(conn net.Conn, requests *bufio.Reader) {
			_, _ = asked(requests)
			_, _ = io.WriteString(conn, good)
			_ = conn.Close()
			closing <- struct{}{}
		},
		"on which more came than was asked for": func(conn net.Conn, requests *bufio.Reader) {
			for _, ok := asked(requests); ok; _, ok = asked(requests) {
				_, _ = io.WriteString(conn, good+"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
			}
		},
		"on which more came later": func(conn net.Conn, requests *bufio.Reader) {
			for _, ok := asked(requests); ok; _, ok = asked(requests) {
				_, _ = io.WriteString(conn, good)
				runtime.Gosched()
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
				closing <- struct{}{}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, opened := wiring(t)
			at := talking(t, talk)
			for range 3 {
				said, _, err := over(t.Context(), w, at, "x", nil)
				require.NoError(t, err)
				require.Equal(t, "good", said)
				if strings.Contains(name, "closed") || strings.Contains(name, "later") {
					<-closing
					settled(t, w, at)
				}
			}
			require.EqualValues(t, 3, opened.Load())
		})
	}
}

// settled waits until what the server did to an idle connection has arrived.
func settled(t *testing.T, w *wires, at *url.URL) {
	t.Helper()
	require.Eventually(t, func() bool {
		c := w.take(place{address: at.Host})
		if c == nil {
			return true
		}
		stands := c.stands()
		w.keep(c)
		return !stands
	}, 10*time.Second, time.Millisecond)
}

func TestALeaverLeavesNothingBehind(t *testing.T) {
	for name, begun := range map[string]string{"before the answer": "", "in the headers": "HTTP/1.1 200 OK\r\nCont", "in the body": "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ngoo"} {
		t.Run(name, func(t *testing.T) {
			w, _ := wiring(t)
			ctx, leave := context.WithCancelCause(t.Context())
			gone := errors.New("gone")
			at := talking(t, func(conn net.Conn, requests *bufio.Reader) {
				_, _ = asked(requests)
				_, _ = io.WriteString(conn, begun)
				leave(gone)
				_, _ = io.ReadAll(requests) // until the connection ends
			})
			_, d, err := over(ctx, w, at, "x", nil)
			require.ErrorIs(t, err, gone)
			require.True(t, d.written(), "the tool may have acted")
			require.Nil(t, w.take(place{address: at.Host}))
		})
	}
	w, opened := wiring(t)
	ctx, leave := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	leave(gone)
	_, d, err := over(ctx, w, &url.URL{Scheme: "http", Host: "127.0.0.1:1", Path: "/"}, "x", nil)
	require.ErrorIs(t, err, gone)
	require.False(t, d.written())
	require.Zero(t, opened.Load())
}

func TestAnAnswerLeftUnreadEndsItsWire(t *testing.T) {
	w, opened := wiring(t)
	at := talking(t, always("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"))
	for range 2 {
		response, err := w.RoundTrip(post(t.Context(), &delivery{}, at, []byte("x"), http.Header{}))
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
	}
	require.EqualValues(t, 2, opened.Load())
}

func TestAWireRefuses(t *testing.T) {
	w, _ := wiring(t)
	at := talking(t, always("HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 8000)+"\r\nContent-Length: 4\r\n\r\ngood"))
	_, _, err := over(t.Context(), w, at, "x", nil)
	require.ErrorIs(t, err, errLongHeaders)
	for name, header := range map[string]http.Header{
		"value": {"X": {"a\r\nY: b"}}, "name": {"X\r\nY": {"b"}},
	} {
		_, d, err := over(t.Context(), w, at, "x", header)
		require.ErrorContains(t, err, "can't be sent", name)
		require.False(t, d.written())
	}
}

// TestWhatIsNoHTTP is an answer all the same: the tool had its say.
func TestWhatIsNoHTTP(t *testing.T) {
	for name, answer := range map[string]string{
		"garbage": "hello\r\n\r\n", "lengths": "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
		"below nothing": "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "chunks": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-4\r\nx",
	} {
		w, _ := wiring(t)
		_, d, err := over(t.Context(), w, talking(t, always(answer)), "x", nil)
		require.True(t, services.Is(fault(t.Context(), d, err, false), services.Upstream), "%s: %v", name, err)
	}
	w, _ := wiring(t)
	at := talking(t, func(conn net.Conn, requests *bufio.Reader) {
		_, _ = asked(requests)
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Le")
	})
	_, d, err := over(t.Context(), w, at, "x", nil)
	require.True(t, Delivered(fault(t.Context(), d, err, false)), "half an answer is none: %v", err)
}

// TestEachToolHasItsOwnWires: what a server does to one tool's connection is not
// heard by another tool at the same address.
func TestEachToolHasItsOwnWires(t *testing.T) {
	w, opened := wiring(t)
	at := talking(t, always(good))
	for range 2 {
		for _, tool := range []uuid.UUID{{1}, {2}} {
			response, err := w.RoundTrip(post(t.Context(), &delivery{tool: tool}, at, []byte("x"), http.Header{}))
			require.NoError(t, err)
			_, err = io.ReadAll(response.Body)
			require.NoError(t, err)
		}
	}
	require.EqualValues(t, 2, opened.Load())
}

// What a socket would not take at once goes where the answer is read meanwhile.
func TestALongBodyIsAnsweredEarly(t *testing.T) {
	w, _ := wiring(t)
	at := talking(t, func(conn net.Conn, requests *bufio.Reader) {
		_, _ = requests.ReadString('\n')
		_, _ = io.WriteString(conn, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
		<-t.Context().Done() // and reads no more
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	response, err := w.RoundTrip(post(ctx, &delivery{}, at, make([]byte, 32<<20), http.Header{}))
	require.NoError(t, err)
	require.Equal(t, http.StatusRequestEntityTooLarge, response.StatusCode)
	require.NoError(t, response.Body.Close())
}

func TestManyWires(t *testing.T) {
	w, opened := wiring(t)
	at := talking(t, func(conn net.Conn, requests *bufio.Reader) {
		for body, ok := asked(requests); ok; body, ok = asked(requests) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"+body)
		}
	})
	var all sync.WaitGroup
	for worker := range 16 {
		all.Go(func() {
			mine := string([]byte{'a' + byte(worker), '-', 'z'})
			for range 50 {
				said, _, err := over(t.Context(), w, at, mine, nil)
				if err != nil || said != mine {
					t.Errorf("%q %v", said, err)
				}
			}
		})
	}
	all.Wait()
	w.mu.Lock()
	kept := len(w.idle[place{address: at.Host}])
	w.mu.Unlock()
	require.LessOrEqual(t, kept, 4)
	require.Greater(t, opened.Load(), int64(0))
	w.close()
	require.Nil(t, w.take(place{address: at.Host}))
}

func TestPlacesWithoutConnectionsAreForgotten(t *testing.T) {
	w, _ := wiring(t)
	known := func() int {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.idle)
	}
	answers := 0
	at := talking(t, func(conn net.Conn, requests *bufio.Reader) {
		for _, ok := asked(requests); ok; _, ok = asked(requests) {
			answers++
			last := ""
			if answers == 2 {
				last = "Connection: close\r\n"
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n"+last+"Content-Length: 2\r\n\r\nok")
		}
	})
	for _, want := range []int{1, 0} {
		_, _, err := over(t.Context(), w, at, "x", nil)
		require.NoError(t, err)
		require.Equal(t, want, known())
	}
}
