package jobs

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"uaol/providers/events"
	"uaol/providers/postgres"
)

// hub tells who follows jobs that there is something new: at once of those that
// this process works on, and soon of others, with one question for all of them.
type hub struct {
	pool *pgxpool.Pool

	mu       sync.Mutex
	watchers map[uuid.UUID]map[chan struct{}]struct{}
	seen     map[uuid.UUID]int64 // the last change of jobs that are followed
	asking   bool
	closed   chan struct{}
	asks     sync.WaitGroup
}

// look is how often the database is asked while anybody follows.
const lookEvery = 500 * time.Millisecond

func newHub(pool *pgxpool.Pool) *hub {
	return &hub{pool: pool, watchers: map[uuid.UUID]map[chan struct{}]struct{}{}, seen: map[uuid.UUID]int64{}, closed: make(chan struct{})}
}

// follow gives a channel that gets something whenever the job may have changed,
// until leave is called.
func (h *hub) follow(job uuid.UUID) (changed <-chan struct{}, leave func()) {
	mine := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.watchers[job] == nil {
		h.watchers[job] = map[chan struct{}]struct{}{}
	}
	h.watchers[job][mine] = struct{}{}
	if !h.asking {
		h.asking = true
		h.asks.Go(h.ask)
	}
	return mine, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.watchers[job], mine)
		if len(h.watchers[job]) == 0 {
			delete(h.watchers, job)
			delete(h.seen, job)
		}
	}
}

func (h *hub) close() {
	close(h.closed)
	h.asks.Wait()
}

// endings tells of jobs that another process has ended, as its event has them.
func (h *hub) endings(e events.Event) {
	var ended struct{ Jobs [][]string }
	if json.Unmarshal(e.Data, &ended) != nil {
		return
	}
	for _, job := range ended.Jobs {
		if len(job) == 0 {
			continue
		}
		if id, err := uuid.Parse(job[0]); err == nil {
			h.tell(id)
		}
	}
}

// tell is called after a change of a job was written.
func (h *hub) tell(job uuid.UUID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for mine := range h.watchers[job] {
		select {
		case mine <- struct{}{}:
		default:
		}
	}
}

// ask looks for changes by other processes until nobody follows any more.
func (h *hub) ask() {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-h.closed:
			return
		case <-ticker.C:
		}
		h.mu.Lock()
		ids := make([]uuid.UUID, 0, len(h.watchers))
		for id := range h.watchers {
			ids = append(ids, id)
		}
		if h.asking = len(ids) > 0; !h.asking {
			h.mu.Unlock()
			return
		}
		h.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), 10*lookEvery)
		marks, err := h.marks(ctx, ids)
		cancel()
		if err != nil {
			continue // the next look may find the database back
		}
		for _, m := range marks {
			h.mu.Lock()
			last, known := h.seen[m.Job]
			_, followed := h.watchers[m.Job]
			if followed {
				h.seen[m.Job] = m.Mark
			}
			h.mu.Unlock()
			if followed && (!known || last != m.Mark) {
				h.tell(m.Job)
			}
		}
	}
}

type mark struct {
	Job  uuid.UUID `db:"job_id"`
	Mark int64     `db:"mark"`
}

// marks gives numbers that are others when jobs have changed.
func (h *hub) marks(ctx context.Context, ids []uuid.UUID) ([]mark, error) {
	return postgres.All[mark](ctx, h.pool, `
		SELECT j.job_id, (coalesce((SELECT max(s.seq) FROM uaol_jobs.steps s WHERE s.job_id = j.job_id), 0) * 8
			+ CASE WHEN j.end_time IS NOT NULL THEN 4 WHEN EXISTS (SELECT 1 FROM uaol_jobs.runs r WHERE r.job_id = j.job_id) THEN 2 ELSE 1 END)::bigint AS mark
		FROM uaol_jobs.jobs j WHERE j.job_id = ANY ($1::text[]::uuid[])`, postgres.UUIDs(ids))
}
