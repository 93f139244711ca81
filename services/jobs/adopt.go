package jobs

import "github.com/google/uuid"

// reserve makes room for jobs that are about to be made, and gives the worker
// that is to have them at once; nil when they have to wait in the queue: there is
// no room for all of them, or others wait already.
func (e *Engine) reserve(ids []uuid.UUID) (worker uuid.UUID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.working == nil || e.stopping || e.busy.Load() || len(ids) > e.room() {
		return uuid.Nil
	}
	if e.worker != uuid.Nil {
		for _, id := range ids {
			e.reserved[id] = struct{}{}
		}
	}
	return e.worker
}

// unreserve gives the room back, and begins those that came to be.
func (e *Engine) unreserve(ids []uuid.UUID, made []claimed) {
	for i := range made {
		e.begin(&made[i])
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, id := range ids {
		delete(e.reserved, id)
	}
}

func (e *Engine) beginning(id uuid.UUID) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, ok := e.reserved[id]
	return ok
}

// room is for how many more jobs there is.
func (e *Engine) room() int { return e.most - len(e.held) - len(e.reserved) }
