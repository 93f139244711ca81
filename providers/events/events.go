// Package events carries what happened from the service that owns it to
// whoever cares. A change and its event are one transaction in the owner's
// outbox; after the commit the event is handed on inside the process, and
// other processes read the outbox through the owner's internal operation.
package events

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"uaol/providers/api"
	"uaol/providers/postgres"
	"uaol/providers/workers"
	"uaol/services"
)

// Event is one thing that happened. Types are words like "job.created".
type Event struct {
	ID           uuid.UUID       `json:"id" db:"event_id"`
	Type         string          `json:"type" db:"type"`
	Subject      string          `json:"subject" db:"subject"` // what it happened to
	Organization uuid.UUID       `json:"organization" db:"organization_id"`
	Data         json.RawMessage `json:"data" db:"data"`
	Time         services.Time   `json:"time" db:"created_at"`
}

// New makes an event; data must be something that JSON can say.
func New(kind, subject string, organization uuid.UUID, data any) Event {
	text, err := json.Marshal(data)
	if err != nil || data == nil {
		text = json.RawMessage("{}")
	}
	return Event{ID: uuid.Must(uuid.NewV7()), Type: kind, Subject: subject, Organization: organization, Data: text}
}

// Outbox is the table of events of one service.
type Outbox struct{ table string }

// NewOutbox names a service's outbox, <schema>.outbox.
func NewOutbox(service services.Name) Outbox {
	return Outbox{table: "uaol_" + string(service) + ".outbox"}
}

// Append adds events in the transaction of the change they tell of.
func (o Outbox) Append(ctx context.Context, tx postgres.Querier, happened ...Event) error {
	for _, e := range happened {
		_, err := postgres.Exec(ctx, tx, "INSERT INTO "+o.table+
			" (event_id, type, subject, organization_id, data) VALUES ($1, $2, $3, $4, $5::jsonb)",
			e.ID, e.Type, e.Subject, e.Organization, string(e.Data))
		if err != nil {
			return err
		}
	}
	return nil
}

// kept is how long an event stays in its outbox. Readers are seconds behind; a
// process that stood still for longer has missed something.
const kept = 7 * 24 * time.Hour

// Prune drops events that have been kept long enough, some thousand at a time.
func (o Outbox) Prune(ctx context.Context, q postgres.Querier) error {
	const batch = 5000
	for {
		n, err := postgres.Exec(ctx, q, "DELETE FROM "+o.table+" WHERE event_id IN (SELECT event_id FROM "+o.table+
			" WHERE created_at < now() - $1 * interval '1 second' ORDER BY created_at, event_id LIMIT $2)",
			int64(kept/time.Second), batch)
		if err != nil || n < batch {
			return err
		}
	}
}

// Pruner is the loop that every owner of an outbox runs. Several may run at
// once: what one has dropped another does not find.
func (o Outbox) Pruner(q postgres.Querier) workers.Worker {
	return workers.Worker{Name: strings.TrimPrefix(o.table, "uaol_"), Run: workers.Every(time.Hour, func(ctx context.Context) error {
		return o.Prune(ctx, q)
	})}
}

// ReadRequest asks for the events after a moment, or, page by page, for those
// after an event.
type ReadRequest struct {
	After   time.Time `json:"after"`
	AfterID uuid.UUID `json:"afterId,omitzero"` // the last of the page before; then After does not count
	Limit   int       `json:"limit"`
}

// overlap is how far before the asked moment reading begins: transactions
// commit in another order than they began, so readers see some events twice
// and drop the ids they know.
const overlap = 10 * time.Second

// Read gives the events after a moment, oldest first. A reader that gets as many
// as it asked for goes on with AfterID: the overlap alone may hold more than a
// page, and by the moment it would read that page for ever.
func (o Outbox) Read(ctx context.Context, q postgres.Querier, in ReadRequest) ([]Event, error) {
	const columns = "SELECT event_id, type, subject, organization_id, data, created_at FROM "
	limit := min(max(in.Limit, 1), 1000)
	if in.AfterID != uuid.Nil {
		return postgres.All[Event](ctx, q, columns+o.table+" WHERE (created_at, event_id) > (SELECT created_at, event_id FROM "+o.table+
			" WHERE event_id = $1) ORDER BY created_at, event_id LIMIT $2", in.AfterID, limit)
	}
	return postgres.All[Event](ctx, q, columns+o.table+" WHERE created_at > $1 ORDER BY created_at, event_id LIMIT $2", in.After.Add(-overlap), limit)
}

// Recent is a Source. It goes by the database's clock alone.
func (o Outbox) Recent(ctx context.Context, q postgres.Querier, in RecentRequest) ([]Event, error) {
	if in.AfterID != uuid.Nil {
		return o.Read(ctx, q, ReadRequest{AfterID: in.AfterID, Limit: recentPage})
	}
	return postgres.All[Event](ctx, q, "SELECT event_id, type, subject, organization_id, data, created_at FROM "+o.table+
		" WHERE created_at > now() - $1 * interval '1 millisecond' ORDER BY created_at, event_id LIMIT $2", in.Back.Milliseconds(), recentPage)
}

// Operations let other processes read a service's outbox: all of it, or what is
// recent.
func (o Outbox) Operations(service services.Name, q postgres.Querier) []api.Operation {
	at := "/internal/" + string(service)
	return []api.Operation{
		api.Internal(at+"/events", func(ctx context.Context, in ReadRequest) ([]Event, error) { return o.Read(ctx, q, in) }),
		api.Internal(at+"/recent", func(ctx context.Context, in RecentRequest) ([]Event, error) { return o.Recent(ctx, q, in) }),
	}
}

// Bus hands events on inside the process.
type Bus struct {
	mu          sync.RWMutex
	subscribers []func(Event)
}

// NewBus makes a Bus.
func NewBus() *Bus { return &Bus{} }

// Subscribe calls f for every event published from now on. f must not block.
func (b *Bus) Subscribe(f func(Event)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.subscribers = append(b.subscribers, f)
}

// Publish hands events on; call it after their transaction has committed.
func (b *Bus) Publish(happened ...Event) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, e := range happened {
		for _, f := range b.subscribers {
			f(e)
		}
	}
}
