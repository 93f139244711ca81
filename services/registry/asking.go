package registry

import (
	"context"
	"time"

	"github.com/google/uuid"

	"uaol/services"
)

// question is one to the registry, about some tools. Whoever wants to know of one of
// them meanwhile waits for the same answer.
type question struct {
	asked time.Time
	done  chan struct{}
	found map[uuid.UUID]Offer
	err   error
}

// answerFor is how long the registry may take; who asks may have less patience.
const answerFor = 30 * time.Second

// ask asks the registry, or waits for those who are asking it. An answer may be as
// old as the question, so one is joined only while that is young enough and nothing
// has happened to the tool since.
func (c *Cache) ask(ctx context.Context, ids []uuid.UUID) ([]Offer, error) {
	mine := &question{asked: time.Now(), done: make(chan struct{})}
	about, unasked := make(map[uuid.UUID]*question, len(ids)), make([]uuid.UUID, 0, len(ids))
	c.mu.Lock()
	for _, id := range ids {
		if about[id] != nil {
			continue
		}
		q := c.questions[id]
		if q == nil || mine.asked.Sub(q.asked) > lag || !c.counts(id, q.asked) {
			q, unasked = mine, append(unasked, id)
			c.questions[id] = mine
		}
		about[id] = q
	}
	c.mu.Unlock()
	if len(unasked) > 0 {
		go c.answer(context.WithoutCancel(ctx), mine, unasked) // for all who wait, whatever becomes of the first
	}
	offers := make([]Offer, 0, len(about))
	for _, id := range ids {
		q := about[id]
		if q == nil { // it was named twice
			continue
		}
		delete(about, id)
		select {
		case <-q.done:
		case <-ctx.Done():
			return nil, services.Errorf(services.Unavailable, "The registry had not answered when the time was up").Because(ctx.Err())
		}
		if q.err != nil {
			return nil, q.err
		}
		if offer, ok := q.found[id]; ok {
			offers = append(offers, offer)
		}
	}
	return offers, nil
}

func (c *Cache) answer(ctx context.Context, q *question, ids []uuid.UUID) {
	ctx, cancel := context.WithTimeout(ctx, answerFor)
	defer cancel()
	found, err := c.Catalog.Offers(ctx, ToolsRequest{IDs: ids})
	q.err, q.found = err, make(map[uuid.UUID]Offer, len(found))
	for _, o := range found {
		q.found[o.ToolID] = o
		c.offers.Set(o.ToolID, known{o, q.asked})
	}
	c.mu.Lock()
	for _, id := range ids {
		if c.questions[id] == q {
			delete(c.questions, id)
		}
	}
	c.mu.Unlock()
	close(q.done)
}
