package embedded

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
)

// stopping bounds the stop of a cluster that a command started for itself.
const stopping = 15 * time.Second

const joinPoll = 20 * time.Millisecond

// Join gives a command the database on cfg.DataDir: that of the server running
// there, or one that runs until release. Commands take turns, so that none has
// its database stopped by another.
func Join(ctx context.Context, cfg Config, log *zap.Logger) (url string, release func() error, err error) {
	s, err := New(cfg, log)
	if err != nil {
		return "", nil, err
	}
	return s.join(ctx)
}

func (s *Server) join(ctx context.Context) (url string, release func() error, err error) {
	waiting, cancel := context.WithTimeoutCause(ctx, s.wait.join, fmt.Errorf("it did not answer within %s", s.wait.join))
	defer cancel()
	for {
		err = s.start(ctx, holderCommand)
		if err == nil {
			return s.URL(), s.leave, nil
		}
		var held *heldError
		if !errors.As(err, &held) || held.by.As != holderServe {
			return "", nil, err
		}
		url = databaseURL(held.by.Sockets, database)
		if err = execute(waiting, url, "SELECT 1"); err == nil {
			s.log.Info("using the PostgreSQL that runs on this data directory", zap.String("data", s.dataDir))
			return url, func() error { return nil }, nil
		}
		// It may be starting, or stopping, after which it is this command's turn.
		if cause := pause(waiting, joinPoll); cause != nil {
			return "", nil, fmt.Errorf("uaol (pid %d) runs on %s but its PostgreSQL cannot be joined: %w (%s)", held.by.PID, s.dataDir, cause, oneLine(err))
		}
	}
}

func (s *Server) leave() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopping)
	defer cancel()
	return s.Stop(ctx)
}
