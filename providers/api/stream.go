package api

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// Stream is server-sent events on their way to a client. It begins with the first one,
// and is safe for concurrent use.
type Stream struct {
	to       http.ResponseWriter
	of       *http.Request
	patience time.Duration // that a client is given to read what was sent

	mu    sync.Mutex
	begun bool
}

const (
	// writeWithin is how long a client may take to read what was sent.
	writeWithin = 30 * time.Second
	// beatEvery keeps intermediaries from taking a quiet stream for a dead one.
	beatEvery = 15 * time.Second
)

// NewStream makes a Stream that answers a request. Its Close must be called.
func NewStream(to http.ResponseWriter, of *http.Request) *Stream {
	return &Stream{to: to, of: of, patience: writeWithin}
}

// Write sends an event, or a comment, that is written out with the empty line at its
// end. An error means that nobody listens.
func (s *Stream) Write(event []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.begun {
		s.begun = true
		header := s.to.Header()
		header.Set("Content-Type", "text/event-stream")
		header.Set("Cache-Control", "no-store")
		header.Set("X-Accel-Buffering", "no") // nginx passes it on at once
		s.to.WriteHeader(http.StatusOK)
	}
	// Whoever does not read is not waited for: what is sent may belong to others meanwhile.
	controller := http.NewResponseController(s.to)
	_ = controller.SetWriteDeadline(time.Now().Add(s.patience))
	if _, err := s.to.Write(event); err != nil {
		return err
	}
	if err := controller.Flush(); err != nil {
		return err
	}
	return s.of.Context().Err()
}

// Begun reports whether anything was sent.
func (s *Stream) Begun() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.begun
}

// Beat says now and then that somebody is still here, once there was an event, until the
// context ends.
func (s *Stream) Beat(ctx context.Context) { s.beat(ctx, beatEvery) }

func (s *Stream) beat(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if s.Begun() && s.Write([]byte(": still here\n\n")) != nil {
				return
			}
		}
	}
}

// Close lets the connection be used again.
func (s *Stream) Close() { _ = http.NewResponseController(s.to).SetWriteDeadline(time.Time{}) }
