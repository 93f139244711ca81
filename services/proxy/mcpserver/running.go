package mcpserver

import (
	"bytes"
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/google/uuid"

	"uaol/providers/upstream"
)

// running are the requests of sessions that are under way in this process. Their clients
// end them with a notification, which may come to another process, and not by leaving.
type running struct {
	mu      sync.Mutex
	cancels map[string]context.CancelFunc
}

func newRunning() *running { return &running{cancels: map[string]context.CancelFunc{}} }

// listenAfter is how long a request has to take before other processes' notifications
// are looked for.
const listenAfter = time.Second

func runningAddress(session uuid.UUID, id json.RawMessage) string {
	return "cancel/" + session.String() + "/" + string(id)
}

// begin gives a request's context, which ends when its client says so. done must be
// called.
func (r *running) begin(ctx context.Context, q *request) (own context.Context, done func()) {
	if q.session.ID == uuid.Nil { // nobody could name it
		return context.WithCancel(ctx)
	}
	address := runningAddress(q.session.ID, q.id)
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	unhook := context.AfterFunc(q.endpoint.ctx, cancel)
	r.mu.Lock()
	r.cancels[address] = cancel
	r.mu.Unlock()
	elsewhere := time.AfterFunc(listenAfter, func() {
		letter, leave := q.endpoint.mail.await(address)
		defer leave()
		select {
		case <-letter:
			cancel()
		case <-own.Done():
		}
	})
	return own, func() {
		elsewhere.Stop()
		unhook()
		cancel()
		r.mu.Lock()
		delete(r.cancels, address)
		r.mu.Unlock()
	}
}

// cancel ends a request of this process.
func (r *running) cancel(address string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	cancel, ok := r.cancels[address]
	if ok {
		cancel()
	}
	return ok
}

// cancelled ends the request that a client does not want any more, wherever it is under
// way. One that is over, or never was, changes nothing.
func (q *request) cancelled(ctx context.Context) {
	var id json.RawMessage
	upstream.Members(q.params.all, func(key, value []byte) {
		if string(key) == "requestId" {
			id = bytes.Clone(value)
		}
	})
	if q.session.ID == uuid.Nil || len(id) == 0 || len(id) > 200 {
		return
	}
	if address := runningAddress(q.session.ID, id); !q.endpoint.running.cancel(address) {
		_ = q.endpoint.mail.post(ctx, address, []byte("{}")) // whoever can't be told goes on to its end
	}
}
