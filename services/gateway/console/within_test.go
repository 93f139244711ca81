package console

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func asked(t *testing.T, handler http.HandlerFunc) (*http.Response, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://host/a%20b?c=d", strings.NewReader("body"))
	require.NoError(t, err)
	return client(handler).Do(r)
}

// TestWithin: a handler sees what a client would have sent, and the answer is read while
// it is written.
func TestWithin(t *testing.T) {
	t.Parallel()
	goOn := make(chan struct{})
	answer, err := asked(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || string(body) != "body" || r.RequestURI != "/a%20b?c=d" || r.Host != "host" {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		w.Header().Set("X-Said", "before")
		w.WriteHeader(http.StatusCreated)
		w.Header().Set("X-Said", "too late")
		_, _ = io.WriteString(w, "first")
		<-goOn
		_, _ = io.WriteString(w, " second")
	})
	require.NoError(t, err)
	defer answer.Body.Close()
	require.Equal(t, http.StatusCreated, answer.StatusCode)
	require.Equal(t, "before", answer.Header.Get("X-Said"))
	first := make([]byte, 5)
	_, err = io.ReadFull(answer.Body, first)
	require.NoError(t, err)
	require.Equal(t, "first", string(first))
	close(goOn)
	rest, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.Equal(t, " second", string(rest))
}

// TestWithinKnowsLengths: a body of unknown length is not taken for none.
func TestWithinKnowsLengths(t *testing.T) {
	t.Parallel()
	for body, length := range map[io.Reader]int64{nil: 0, strings.NewReader(""): 0, strings.NewReader("four"): 4, io.MultiReader(strings.NewReader("four")): -1} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://host/", body)
		require.NoError(t, err)
		var seen int64
		answer, err := client(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = r.ContentLength })).Do(r)
		require.NoError(t, err)
		answer.Body.Close()
		require.Equal(t, length, seen)
	}
}

// TestWithinSaysNothing: a handler that writes nothing has answered 200, as over a network.
func TestWithinSaysNothing(t *testing.T) {
	t.Parallel()
	answer, err := asked(t, func(http.ResponseWriter, *http.Request) {})
	require.NoError(t, err)
	defer answer.Body.Close()
	require.Equal(t, http.StatusOK, answer.StatusCode)
}

// TestWithinIsCut: who was cut off does not take what came for the whole.
func TestWithinIsCut(t *testing.T) {
	t.Parallel()
	answer, err := asked(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		panic(http.ErrAbortHandler)
	})
	require.NoError(t, err)
	defer answer.Body.Close()
	_, err = io.ReadAll(answer.Body)
	require.ErrorIs(t, err, errCut)

	_, err = asked(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	require.ErrorIs(t, err, errCut)
}

// TestWhoLeavesWithin: a handler whose answer nobody reads is told so.
func TestWhoLeavesWithin(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	answer, err := asked(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		<-r.Context().Done()
		_, err := io.WriteString(w, "nobody reads this")
		ended <- err
	})
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.ErrorIs(t, <-ended, io.ErrClosedPipe)
}

// TestWait: not too soon after the last time, at the latest after a while, and at once
// when something has happened.
func TestWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		never := context.Background()
		begun := time.Now()
		require.True(t, wait(never, never, lively, 3*time.Second, nil))
		require.Equal(t, 3*time.Second, time.Since(begun))

		events := make(chan struct{}, 1)
		events <- struct{}{}
		begun = time.Now()
		require.True(t, wait(never, never, lively, 3*time.Second, events))
		require.Equal(t, lively, time.Since(begun), "what happens all the time is shown now and then")

		go func() {
			time.Sleep(time.Second)
			events <- struct{}{}
		}()
		begun = time.Now()
		require.True(t, wait(never, never, lively, 3*time.Second, events))
		require.Equal(t, time.Second, time.Since(begun))

		gone, leave := context.WithCancel(never)
		leave()
		require.False(t, wait(gone, never, lively, time.Hour, nil))
		require.False(t, wait(never, gone, lively, time.Hour, nil), "the process stops")
	})
}

// TestStreams: one visitor keeps only so many pages live, and others as many.
func TestStreams(t *testing.T) {
	t.Parallel()
	s := newStreams()
	var leave func()
	var err error
	for range mostLive {
		leave, err = s.enter("ada")
		require.NoError(t, err)
	}
	_, err = s.enter("ada")
	require.Error(t, err)
	_, err = s.enter("grace")
	require.NoError(t, err)
	leave()
	_, err = s.enter("ada")
	require.NoError(t, err)
}

// TestInTurn: only so many pages are rendered at once, and who leaves waits no longer.
func TestInTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStreams()
		var now, most, done int
		var mu sync.Mutex
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				assert.NoError(t, s.inTurn(t.Context(), func() error {
					mu.Lock()
					now++
					most = max(most, now)
					mu.Unlock()
					time.Sleep(time.Second)
					mu.Lock()
					now, done = now-1, done+1
					mu.Unlock()
					return nil
				}))
			})
		}
		synctest.Wait()
		gone, leave := context.WithCancel(t.Context())
		leave()
		require.ErrorIs(t, s.inTurn(gone, func() error { return nil }), context.Canceled)
		all.Wait()
		require.Equal(t, 50, done)
		require.Equal(t, cap(s.turns), most)
	})
}

// TestHeard: the same said in another order is the same; anything else is not.
func TestHeard(t *testing.T) {
	t.Parallel()
	var h heard
	say := func(path, data, next string) func() {
		return func() { h.note(path, reply{Data: json.RawMessage(data), Next: next}, nil) }
	}
	round := func(all ...func()) uint64 {
		for _, one := range all {
			one()
		}
		return h.end()
	}
	first := round(say("/jobs?from=1", "[1]", "n"), say("/tools", "[]", ""))
	require.Equal(t, first, round(say("/tools", "[]", ""), say("/jobs?from=2", "[1]", "n")))
	for _, other := range [][]func(){
		{say("/jobs", "[1]", "n")},
		{say("/jobs", "[1]", "n"), say("/jobs", "[1]", "n"), say("/tools", "[]", "")},
		{say("/jobs", "[2]", "n"), say("/tools", "[]", "")},
		{say("/jobs", "[1]", "m"), say("/tools", "[]", "")},
		{say("/tools", "[1]", "n"), say("/jobs", "[]", "")},
		{func() { h.note("/jobs", reply{}, errCut) }, say("/tools", "[]", "")},
	} {
		require.NotEqual(t, first, round(other...))
	}
	var nobody *heard
	nobody.note("/jobs", reply{}, nil)
}

func TestEvent(t *testing.T) {
	t.Parallel()
	require.Equal(t, "data: <p>a</p>\ndata: \ndata:  b\n\n", string(event([]byte("<p>a</p>\n\r\n b"))))
	require.Equal(t, "\n", string(event(nil)))
}

var errSome = errors.New("some")

func TestTogether(t *testing.T) {
	t.Parallel()
	begun := make(chan struct{}, 2)
	meet := func() error { // neither ends before the other has begun
		begun <- struct{}{}
		for len(begun) < 2 {
			time.Sleep(time.Millisecond)
		}
		return nil
	}
	require.NoError(t, together(meet, meet))
	require.ErrorContains(t, together(func() error { panic("ouch") }), "ouch", "the process goes on")
	require.ErrorContains(t, apart(func() error { panic("ouch") }), "ouch")
	require.ErrorIs(t, together(func() error { return nil }, func() error { return errSome }), errSome)
}
