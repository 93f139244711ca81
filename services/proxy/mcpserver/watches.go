package mcpserver

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"uaol/services"
)

// watches follow resources at their tools' servers, each once for all who want to hear
// of it in this process.
type watches struct {
	endpoint *Endpoint

	mu   sync.Mutex
	open map[watched]*watch
	work sync.WaitGroup
}

// watched is a resource as one account sees it: what a server shows may depend on whose
// credentials are carried.
type watched struct {
	tool    uuid.UUID
	version int64
	account uuid.UUID
	uri     string
}

type watch struct {
	stop      context.CancelFunc
	followers map[*follower]struct{}
}

type follower struct{ changed func() }

// mostWatched resources are followed by one process.
const mostWatched = 5_000

// A server that does not tell is asked again after a while, and then less often.
const (
	askAgain       = time.Second
	askAgainAtMost = time.Minute
)

func newWatches(e *Endpoint) *watches { return &watches{endpoint: e, open: map[watched]*watch{}} }

// close waits for what follows; the endpoint's context has ended.
func (w *watches) close() { w.work.Wait() }

// follow tells of a resource's changes until leave is called. Kind Limited.
func (w *watches) follow(caller services.Caller, tool laid, uri string, changed func()) (leave func(), err error) {
	key := watched{tool.ToolID, tool.Version, uuid.Nil, uri}
	if tool.Credentialed().Needs() {
		key.account = caller.Account
	}
	mine := &follower{changed}
	w.mu.Lock()
	defer w.mu.Unlock()
	is := w.open[key]
	if is == nil {
		if len(w.open) >= mostWatched || w.endpoint.ctx.Err() != nil {
			return nil, services.Errorf(services.Limited, "%d resources are followed already", len(w.open))
		}
		ctx, stop := context.WithCancel(w.endpoint.ctx)
		is = &watch{stop, map[*follower]struct{}{}}
		w.open[key] = is
		w.work.Go(func() { w.run(ctx, caller, tool, key, is) })
	}
	is.followers[mine] = struct{}{}
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if delete(is.followers, mine); len(is.followers) == 0 && w.open[key] == is {
			delete(w.open, key)
			is.stop()
		}
	}, nil
}

// run follows one resource. When the server could not tell for a while, it may have
// changed: then its followers are told so.
func (w *watches) run(ctx context.Context, caller services.Caller, tool laid, key watched, is *watch) {
	wait := askAgain
	for first := true; ; first = false {
		begun := time.Now()
		if !first {
			w.tell(is)
		}
		err := w.endpoint.calls.Watch(ctx, caller, tool.Offer, key.uri, func() { w.tell(is) })
		if ctx.Err() != nil {
			return
		}
		if services.Is(err, services.Unsupported) {
			return
		}
		w.endpoint.log.Info("a resource can't be followed just now", zap.Stringer("tool_id", key.tool), zap.Error(err))
		if wait = min(2*wait, askAgainAtMost); time.Since(begun) > askAgainAtMost {
			wait = askAgain
		}
		if pause(ctx, wait); ctx.Err() != nil {
			return
		}
	}
}

func (w *watches) tell(is *watch) {
	w.mu.Lock()
	all := make([]*follower, 0, len(is.followers))
	for f := range is.followers {
		all = append(all, f)
	}
	w.mu.Unlock()
	for _, f := range all {
		f.changed()
	}
}
