package embedded

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestJoinWhatRuns(t *testing.T) {
	t.Parallel()
	cfg := fast(t)
	startOther(t, cfg.DataDir, nil)
	url, release, err := Join(context.Background(), cfg, zap.NewNop())
	require.NoError(t, err)
	require.Equal(t, "7", ask(t, url, "SELECT n FROM kept"))
	require.NoError(t, release())
	require.Equal(t, "7", ask(t, url, "SELECT n FROM kept"), "it runs on")
}

func TestJoinStartsItsOwn(t *testing.T) {
	t.Parallel()
	cfg := fast(t)
	url, release, err := Join(context.Background(), cfg, zap.NewNop())
	require.NoError(t, err)
	run(t, url, "CREATE TABLE kept AS SELECT 42 AS n")
	require.NoError(t, release())
	require.Error(t, execute(context.Background(), url, "SELECT 1"), "it ends with the command")
	s, _ := started(t, cfg)
	require.Equal(t, "42", ask(t, s.URL(), "SELECT n FROM kept"))
}

// A command that joined another command's cluster would lose it under its feet.
func TestCommandsTakeTurns(t *testing.T) {
	t.Parallel()
	cfg := fast(t)
	url, release, err := Join(context.Background(), cfg, zap.NewNop())
	require.NoError(t, err)
	run(t, url, "CREATE TABLE kept AS SELECT 42 AS n")

	core, logs := observer.New(zap.InfoLevel)
	type joined struct {
		url     string
		release func() error
		err     error
	}
	second := make(chan joined)
	go func() {
		url, release, err := Join(context.Background(), cfg, zap.New(core))
		second <- joined{url, release, err}
	}()
	require.Eventually(t, func() bool {
		return logs.FilterMessage("waiting for another command on this data directory").Len() == 1
	}, 5*time.Second, poll)
	require.NoError(t, release())
	got := <-second
	require.NoError(t, got.err)
	require.Equal(t, "42", ask(t, got.url, "SELECT n FROM kept"))

	s, _ := made(t, cfg)
	s.wait.command = 50 * time.Millisecond
	require.ErrorContains(t, s.Start(context.Background()), "is already running on")
	_, _, err = s.join(context.Background())
	require.ErrorContains(t, err, "is already running on", "it waits, but does not join")
	require.NoError(t, got.release())
	require.NoError(t, s.Start(context.Background()))
}

func TestJoinDoesNotWaitForEver(t *testing.T) {
	t.Parallel()
	cfg := fast(t)
	s, _ := made(t, cfg)
	require.NoError(t, s.makeDataDir())
	held, _, err := tryAcquire(s.dataDir, holder{PID: 1, As: holderServe, Sockets: s.sockets})
	require.NoError(t, err)
	defer held.release()
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_, _, err = Join(ctx, cfg, zap.NewNop())
	require.ErrorContains(t, err, "uaol (pid 1) runs on "+s.dataDir+" but its PostgreSQL cannot be joined")
	require.NotContains(t, err.Error(), "\n")
}
