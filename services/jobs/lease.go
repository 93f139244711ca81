package jobs

import (
	"context"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"
)

// identity is the worker that this engine is now; it signs in when it is none.
// A worker whose lease has ended is never again: what it held is others'.
func (e *Engine) identity(ctx context.Context) (uuid.UUID, error) {
	e.mu.Lock()
	worker := e.worker
	e.mu.Unlock()
	if worker != uuid.Nil {
		return worker, nil
	}
	ctx, cancel := context.WithTimeout(ctx, e.lease/2)
	defer cancel()
	worker, until := uuid.New(), time.Now().Add(e.lease)
	if err := e.repository.signIn(ctx, worker, e.lease); err != nil {
		return uuid.Nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.worker == uuid.Nil {
		e.worker, e.leased = worker, until
	}
	return e.worker, nil
}

// resign gives the identity up, and with it all jobs.
func (e *Engine) resign() (was uuid.UUID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	was, e.worker = e.worker, uuid.Nil
	for _, r := range e.held {
		r.lose()
	}
	return was
}

// Heartbeat is a workers.Worker's loop: one statement prolongs the lease of all
// jobs that this process works on, another brings what came for them.
func (e *Engine) Heartbeat(ctx context.Context) error {
	ticker := time.NewTicker(e.heartbeat)
	defer ticker.Stop()
	looked := time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		err := e.beat(ctx)
		if err == nil && time.Since(looked) > reconcile {
			looked = time.Now()
			err = e.reconcile(ctx, nil)
		}
		if err != nil && ctx.Err() == nil {
			e.log.Warn("the worker's lease could not be prolonged", zap.Error(err))
		}
	}
}

func (e *Engine) beat(ctx context.Context) error {
	e.mu.Lock()
	worker, leased := e.worker, e.leased
	e.mu.Unlock()
	if worker == uuid.Nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, e.lease/2)
	defer cancel()
	until := time.Now().Add(e.lease) // before the database's clock begins to count
	still, err := e.repository.prolong(ctx, worker, e.lease)
	switch {
	case err != nil && time.Now().After(leased), err == nil && !still:
		e.log.Warn("the worker's lease has ended; others have its jobs")
		e.resign()
		return err
	case err != nil:
		return err
	}
	e.mu.Lock()
	if e.worker == worker {
		e.leased = until
	}
	ids, runs := make([]uuid.UUID, 0, len(e.held)), make(map[uuid.UUID]*run, len(e.held))
	for id, r := range e.held {
		ids, runs[id] = append(ids, id), r
	}
	e.mu.Unlock()
	if len(ids) == 0 {
		return nil
	}
	found, err := e.repository.look(ctx, ids)
	if err != nil {
		return err
	}
	for _, h := range found {
		if r := runs[h.ID]; r.job.Fence == h.Fence {
			r.signal(h)
			delete(runs, h.ID)
		}
	}
	for _, r := range runs {
		r.lose() // if it has not just ended
	}
	return nil
}

// reconcile hands back what the database says this worker has and the worker
// does not know of: the answer to its claim was lost, or handing it back failed.
func (e *Engine) reconcile(ctx context.Context, because error) error {
	e.mu.Lock()
	worker := e.worker
	e.mu.Unlock()
	if worker == uuid.Nil {
		return because
	}
	found, err := e.repository.heldBy(ctx, worker)
	if err != nil {
		return because
	}
	for _, h := range found {
		e.mu.Lock()
		r := e.held[h.ID]
		e.mu.Unlock()
		if r != nil && r.job.Fence == h.Fence || e.beginning(h.ID) {
			continue
		}
		if err := e.repository.handBack(ctx, h.ID, h.Fence); err != nil {
			return err
		}
	}
	return because
}

// Timers is a workers.Worker's loop: it lets jobs go on whose moment has come,
// and those whose worker has died.
func (e *Engine) Timers(ctx context.Context) error {
	ticker := time.NewTicker(timersIn)
	defer ticker.Stop()
	for beat := 0; ; beat++ {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		n, err := e.repository.promote(ctx, promoted)
		if err == nil && beat%4 == 0 {
			var freed int64
			freed, err = e.repository.bury(ctx)
			n += freed
		}
		if n > 0 {
			e.Wake()
		}
		if err != nil && ctx.Err() == nil {
			e.log.Warn("jobs that wait for a moment may wait longer", zap.Error(err))
		}
	}
}
