package httpserver

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// taken is a handler that reads its body and says what came of it.
func taken(results chan<- error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		results <- err
		if err != nil {
			http.Error(w, "no form", http.StatusBadRequest)
			return
		}
		_, _ = w.Write([]byte(strings.Repeat("x", int(min(n, 3)))))
	}
}

// trickle is a body that comes in parts, with a pause before each but the first.
func trickle(t testing.TB, parts int, part string, pause time.Duration) io.Reader {
	t.Helper()
	out, in := io.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for i := range parts {
			if i > 0 {
				select {
				case <-time.After(pause):
				case <-ctx.Done():
				}
			}
			if _, err := io.WriteString(in, part); err != nil {
				return
			}
		}
		_ = in.Close()
	}()
	t.Cleanup(func() { cancel(); _ = out.Close(); <-ended })
	return out
}

func both(t *testing.T, f func(t *testing.T, change ...func(*httptest.Server))) {
	t.Helper()
	t.Run("HTTP/1.1", func(t *testing.T) { t.Parallel(); f(t) })
	t.Run("HTTP/2", func(t *testing.T) { t.Parallel(); f(t, overHTTP2) })
}

// TestABodyThatStandsStill ends with 408, whatever its handler makes of it.
func TestABodyThatStandsStill(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, change ...func(*httptest.Server)) {
		results := make(chan error, 1)
		server := serve(t, hasty, taken(results), change...)
		begun := time.Now()
		response, err := server.Client().Post(server.URL, "text/plain", trickle(t, 2, strings.Repeat("x", 5000), 15*time.Second))
		require.NoError(t, err)
		text, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusRequestTimeout, response.StatusCode)
		require.JSONEq(t, `{"success":false,"error":{"code":"REQUEST_TIMEOUT","message":"The body did not come in time; send it again"}}`, string(text))
		require.Equal(t, "nosniff", response.Header.Get("X-Content-Type-Options"))
		require.Error(t, <-results)
		require.Less(t, time.Since(begun), 10*time.Second)
	})
}

// TestABodyThatDribbles is one that stands still: a byte now and then is no progress.
func TestABodyThatDribbles(t *testing.T) {
	t.Parallel()
	results := make(chan error, 1)
	wait := hasty
	wait.body = 2 * time.Second
	conn := dial(t, serve(t, wait, taken(results)))
	const size = 900 // less than progress
	_, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: "+strconv.Itoa(size)+"\r\n\r\n")
	require.NoError(t, err)
	for sent := 0; sent < size && len(results) == 0; sent++ {
		_, _ = conn.Write([]byte("x"))
		time.Sleep(10 * time.Millisecond) // the client's pace is what is tested
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusRequestTimeout, response.StatusCode)
	require.Error(t, <-results)
}

// TestALargeSlowUpload takes many times as long as it may stand still, and is read.
func TestALargeSlowUpload(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, change ...func(*httptest.Server)) {
		results := make(chan error, 1)
		wait := hasty
		wait.body = time.Second
		server := serve(t, wait, taken(results), change...)
		begun := time.Now()
		response, err := server.Client().Post(server.URL, "text/plain", trickle(t, 25, strings.Repeat("x", 2000), 100*time.Millisecond))
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusOK, response.StatusCode)
		require.NoError(t, <-results)
		require.Greater(t, time.Since(begun), 2*wait.body)
	})
}

// TestAHandlerMayThink longer than a client may be silent, with its body read or
// not; and between the events that it sends.
func TestAHandlerMayThink(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, change ...func(*httptest.Server)) {
		server := serve(t, hasty, func(w http.ResponseWriter, r *http.Request) {
			half := make([]byte, 2000)
			_, err := io.ReadFull(r.Body, half)
			think := func() {
				select {
				case <-time.After(3 * hasty.body):
				case <-r.Context().Done():
					err = r.Context().Err()
				}
			}
			think()
			if _, rest := io.Copy(io.Discard, r.Body); err == nil {
				err = rest
			}
			think()
			for range 3 {
				if err != nil {
					http.Error(w, err.Error(), http.StatusInternalServerError)
					return
				}
				_, err = io.WriteString(w, "data: x\n\n")
				w.(http.Flusher).Flush()
				think()
			}
		}, change...)
		for range 2 { // more than HTTP/2 takes in beforehand; and the connection is good for another one
			response, err := server.Client().Post(server.URL, "text/plain", strings.NewReader(strings.Repeat("x", 8<<20)))
			require.NoError(t, err)
			text, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			require.Equal(t, strings.Repeat("data: x\n\n", 3), string(text))
		}
	})
}

// TestAHeaderThatDribbles ends, and so does one that has no end.
func TestAHeaderThatDribbles(t *testing.T) {
	t.Parallel()
	server := serve(t, hasty, func(http.ResponseWriter, *http.Request) { t.Error("it was served") })
	conn := dial(t, server)
	begun := time.Now()
	var err error
	for i := 0; err == nil && i < 1000; i++ {
		if _, err = io.WriteString(conn, "GET / HTTP/1.1\r\nX: 1\r\n"[i%22:i%22+1]); err == nil {
			time.Sleep(10 * time.Millisecond) // the client's pace is what is tested
		}
	}
	require.Error(t, err)
	require.Less(t, time.Since(begun), 8*time.Second)

	conn = dial(t, server)
	_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("y", 80<<10)+"\r\n\r\n")
	require.NoError(t, err)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, response.StatusCode)
}

// TestWhoDoesNotRead is let go.
func TestWhoDoesNotRead(t *testing.T) {
	t.Parallel()
	big := bytes.Repeat([]byte("x"), 64<<20)
	results := make(chan error, 2)
	write := func(w http.ResponseWriter, _ *http.Request) {
		_, err := w.Write(big)
		results <- err
	}
	t.Run("HTTP/1.1", func(t *testing.T) {
		conn := dial(t, serve(t, hasty, write))
		_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NoError(t, err)
		select {
		case err = <-results:
			require.Error(t, err)
		case <-time.After(15 * time.Second):
			t.Fatal("the handler still writes")
		}
	})
	t.Run("HTTP/2", func(t *testing.T) {
		server := serve(t, hasty, write, overHTTP2)
		response, err := server.Client().Get(server.URL)
		require.NoError(t, err)
		defer func() { require.NoError(t, response.Body.Close()) }()
		select {
		case err = <-results:
			require.Error(t, err)
		case <-time.After(15 * time.Second):
			t.Fatal("the handler still writes")
		}
	})
}

// TestWhoReadsSlowly gets all of it, however long that takes.
func TestWhoReadsSlowly(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, change ...func(*httptest.Server)) {
		const size = 8 << 20
		wait := hasty
		wait.answer = time.Second
		server := serve(t, wait, func(w http.ResponseWriter, _ *http.Request) {
			if _, err := w.Write(make([]byte, size)); err != nil {
				t.Error(err)
			}
		}, change...)
		response, err := server.Client().Get(server.URL)
		require.NoError(t, err)
		defer func() { require.NoError(t, response.Body.Close()) }()
		begun, got := time.Now(), int64(0)
		for {
			n, err := io.CopyN(io.Discard, response.Body, size/40)
			got += n
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
			time.Sleep(80 * time.Millisecond) // the client's pace is what is tested
		}
		require.EqualValues(t, size, got)
		require.Greater(t, time.Since(begun), 2*wait.answer)
	})
}

// TestAConnectionGoesOnAfterABodyThatNobodyReads.
func TestAConnectionGoesOnAfterABodyThatNobodyReads(t *testing.T) {
	t.Parallel()
	server := serve(t, hasty, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	conn := dial(t, server)
	reader := bufio.NewReader(conn)
	for range 3 {
		_, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello")
		require.NoError(t, err)
		response, err := http.ReadResponse(reader, nil)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusNoContent, response.StatusCode)
	}
}

// TestABodyThatNobodyReads is waited for only so long, though the server reads it before
// an answer that does not fit into its buffer.
func TestABodyThatNobodyReads(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("x", 9000)
	wait := hasty
	wait.answer = 20 * time.Second
	for name, write := range map[string]func(http.ResponseWriter) error{
		"at once": func(w http.ResponseWriter) error { _, err := io.WriteString(w, text); return err },
		"flushed": func(w http.ResponseWriter) error {
			_, _ = io.WriteString(w, text[:10])
			return http.NewResponseController(w).Flush()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ended := make(chan error, 1)
			server := serve(t, wait, func(w http.ResponseWriter, _ *http.Request) { ended <- write(w) })
			conn := dial(t, server)
			require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
			_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n")
			require.NoError(t, err)
			select {
			case err := <-ended:
				require.NoError(t, err)
			case <-time.After(10 * time.Second):
				require.Fail(t, "the handler still waits")
			}
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, response.StatusCode)
			require.NoError(t, response.Body.Close())
		})
	}
}

// TestAnswersBeforeTheBody: an answer that begins while the body is read takes nothing
// from the patience with the body.
func TestAnswersBeforeTheBody(t *testing.T) {
	t.Parallel()
	wait := hasty
	wait.body = time.Second
	read := make(chan error, 1)
	server := serve(t, wait, func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		_ = control.EnableFullDuplex()
		go func() {
			_, err := io.ReadAll(r.Body)
			read <- err
		}()
		time.Sleep(wait.body / 4) // until it reads
		_ = control.Flush()
		select {
		case err := <-read:
			read <- err
		case <-r.Context().Done():
		}
	})
	conn := dial(t, server)
	_, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n")
	require.NoError(t, err)
	select {
	case err := <-read:
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	case <-time.After(10 * time.Second):
		require.Fail(t, "the body is still waited for")
	}
}

// TestAClientThatTakesItsTime over an answer may ask again on the same connection: what
// bounds bodies has not ended what watches for clients that leave.
func TestAClientThatTakesItsTime(t *testing.T) {
	t.Parallel()
	wait := hasty
	wait.answer = 20 * time.Second
	small := func(option int) func(string, string, syscall.RawConn) error {
		return func(_, _ string, c syscall.RawConn) error {
			return c.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, option, 4608) })
		}
	}
	for size := 4 << 10; size <= 16<<10; size += 1 << 10 { // some end where both buffers are full
		t.Run(strconv.Itoa(size), func(t *testing.T) {
			t.Parallel()
			first, left := true, make(chan error, 1)
			server := serve(t, wait, func(w http.ResponseWriter, r *http.Request) {
				if !first {
					left <- r.Context().Err()
					return
				}
				first = false
				for range size >> 10 {
					_, _ = io.WriteString(w, strings.Repeat("x", 1<<10))
				}
			}, func(s *httptest.Server) {
				_ = s.Listener.Close()
				listener, err := (&net.ListenConfig{Control: small(syscall.SO_SNDBUF)}).Listen(t.Context(), "tcp", "127.0.0.1:0")
				require.NoError(t, err)
				s.Listener = listener
			})
			conn, err := (&net.Dialer{Control: small(syscall.SO_RCVBUF)}).Dial("tcp", server.Listener.Addr().String())
			require.NoError(t, err)
			defer conn.Close()
			in := bufio.NewReader(conn)
			for again := range 2 {
				_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
				require.NoError(t, err)
				if again == 0 {
					time.Sleep(3 * wait.rest) // the client's pace is what is tested
				}
				response, err := http.ReadResponse(in, nil)
				require.NoError(t, err)
				_, err = io.Copy(io.Discard, response.Body)
				require.NoError(t, err)
			}
			require.NoError(t, <-left)
		})
	}
}
