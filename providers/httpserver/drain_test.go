package httpserver

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"uaol/providers/api"
	"uaol/providers/config"
	"uaol/providers/peers"
)

// TestDrainDelay: in development everything in one process stops at once, all else
// takes longer than our own services keep connections.
func TestDrainDelay(t *testing.T) {
	t.Parallel()
	cfg, err := config.Parse[Config](config.Of(nil))
	require.NoError(t, err)
	require.Zero(t, newDrain(cfg, true).delay)
	require.Greater(t, newDrain(cfg, false).delay, peers.Idle)
	cfg, err = config.Parse[Config](config.Of(map[string]string{"UAOL_DRAIN_DELAY": "5s"}))
	require.NoError(t, err)
	require.Equal(t, 5*time.Second, newDrain(cfg, true).delay)
	for _, bad := range []string{"-1s", "15s", "x"} {
		_, err = config.Parse[Config](config.Of(map[string]string{"UAOL_DRAIN_DELAY": bad}))
		require.ErrorContains(t, err, "UAOL_DRAIN_DELAY", bad)
	}
}

// TestFarewell: answers that begin while the process leaves say so, close their
// connection, and are given all the same; streams end only after the delay.
func TestFarewell(t *testing.T) {
	t.Parallel()
	delay := 2 * time.Second
	d := newDrain(Config{Drain: time.Minute, Delay: &delay}, false)
	server := httptest.NewUnstartedServer(d.handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/flush":
			w.(http.Flusher).Flush()
		case "/status":
			w.WriteHeader(http.StatusTeapot)
		}
		_, _ = io.WriteString(w, "hello")
	})))
	server.Config.BaseContext = d.base
	server.Start()
	t.Cleanup(server.Close)
	for _, leaving := range []bool{false, true} {
		d.leaving.Store(leaving)
		for _, path := range []string{"/write", "/flush", "/status"} {
			response, err := server.Client().Get(server.URL + path)
			require.NoError(t, err)
			text, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			require.Equal(t, "hello", string(text))
			require.Equal(t, leaving, response.Close, path)
			require.Equal(t, leaving, response.Header.Get(api.StoppingHeader) != "", path)
		}
	}
}

func TestStreamsEndAfterTheDelay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		delay := 2 * time.Second
		d := newDrain(Config{Drain: time.Minute, Delay: &delay}, false)
		stream := api.Stopping(d.base(nil))
		begun := time.Now()
		go d.wait(t.Context())
		<-stream.Done()
		require.Equal(t, delay, time.Since(begun))

		d = newDrain(Config{Drain: time.Minute, Delay: &delay}, false)
		d.count(nil, http.StateNew)
		d.count(nil, http.StateNew)
		d.count(nil, http.StateClosed)
		time.AfterFunc(delay+time.Second, func() { d.count(nil, http.StateClosed) })
		begun = time.Now()
		d.wait(t.Context())
		require.InDelta(t, (delay + time.Second).Seconds(), time.Since(begun).Seconds(), 0.1, "the last connection is gone")
		d.count(nil, http.StateNew)
		begun = time.Now()
		d.wait(t.Context())
		require.InDelta(t, (delay + lingering).Seconds(), time.Since(begun).Seconds(), 0.1, "whoever keeps one is not waited for")

		hurry := newDrain(Config{Drain: time.Minute, Delay: &delay}, false)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun = time.Now()
		hurry.wait(ctx)
		require.Equal(t, time.Second, time.Since(begun), "a stop has an end")
	})
}
