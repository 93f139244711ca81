package httpserver

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"uaol/providers/api"
)

// defaultDelay is longer than our own services keep idle connections (peers.Idle),
// by the time in which they and balancers ask for /readyz.
const defaultDelay = 2 * time.Second

// lingering is for how much longer connections are left to the other end to close.
const lingering = 3 * time.Second

// drain is how a process stops without a request that fails: first it says so, at
// /readyz and in each answer, and takes requests all the same. Whoever hears it sends
// the next one elsewhere, and lets go of the connection. After the delay it lingers
// until the last one is gone: what the other end has closed is sent nothing on, however
// slow that end is.
type drain struct {
	delay, timeout time.Duration
	leaving        atomic.Bool
	open           atomic.Int64    // connections
	stopping       context.Context // streams that can be taken up again end with it
	stop           context.CancelFunc
}

func newDrain(cfg Config, alone bool) *drain {
	d := &drain{delay: defaultDelay, timeout: cfg.Drain}
	if cfg.Delay != nil {
		d.delay = *cfg.Delay
	} else if alone {
		d.delay = 0
	}
	d.stopping, d.stop = context.WithCancel(context.Background())
	return d
}

// base is the context of all requests.
func (d *drain) base(net.Listener) context.Context {
	return api.WithStopping(context.Background(), d.stopping)
}

// wait says that the process stops, until everybody has had time to hear it.
func (d *drain) wait(ctx context.Context) {
	d.leaving.Store(true)
	defer d.stop()
	if d.delay <= 0 {
		return
	}
	rest(ctx, d.delay)
	d.stop()
	for end := time.Now().Add(lingering); d.open.Load() > 0 && ctx.Err() == nil && time.Now().Before(end); {
		rest(ctx, 20*time.Millisecond)
	}
}

func rest(ctx context.Context, pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// count is told of each connection's states.
func (d *drain) count(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		d.open.Add(1)
	case http.StateClosed, http.StateHijacked:
		d.open.Add(-1)
	}
}

func (d *drain) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(&farewell{ResponseWriter: w, drain: d}, r)
	})
}

// farewell says it in an answer that begins once the process is leaving.
type farewell struct {
	http.ResponseWriter
	drain *drain
	begun bool
}

func (f *farewell) begin() {
	if !f.begun && f.drain.leaving.Load() {
		f.Header().Set("Connection", "close")
		f.Header().Set(api.StoppingHeader, "true")
	}
	f.begun = true
}

func (f *farewell) WriteHeader(status int) {
	if status >= http.StatusOK { // others are not the answer
		f.begin()
	}
	f.ResponseWriter.WriteHeader(status)
}

func (f *farewell) Write(p []byte) (int, error) {
	f.begin()
	return f.ResponseWriter.Write(p)
}

// Flush is asked for by gin.
func (f *farewell) Flush() {
	f.begin()
	_ = http.NewResponseController(f.ResponseWriter).Flush()
}

// Unwrap is for http.ResponseController.
func (f *farewell) Unwrap() http.ResponseWriter { return f.ResponseWriter }
