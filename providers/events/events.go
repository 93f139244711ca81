// Package events carries what happened from the service that owns it to
// whoever cares. A change and its event are one transaction in the owner's
// outbox; after the commit the event is handed on inside the process, and
// other processes read the outbox through the owner's internal operation.
package events

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/google/uuid"

	"uaol/providers/api"
	"uaol/providers/postgres"
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

// Key is within what events keep their order when they are published: their
// organisation, or what they happened to where that is nobody's.
func (e Event) Key() string {
	if e.Organization == uuid.Nil {
		return e.Subject
	}
	return e.Organization.String()
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
type Outbox struct {
	service       services.Name
	table, relays string
}

// NewOutbox names a service's outbox, <schema>.outbox.
func NewOutbox(service services.Name) Outbox {
	schema := "uaol_" + string(service)
	return Outbox{service: service, table: schema + ".outbox", relays: schema + ".relays"}
}

// Append adds events in the transaction of the change they tell of, after it: their
// times are then in the order in which changes of the same row took effect, which
// those of the transactions' beginnings need not be.
func (o Outbox) Append(ctx context.Context, tx postgres.Querier, happened ...Event) error {
	for _, e := range happened {
		_, err := postgres.Exec(ctx, tx, "INSERT INTO "+o.table+
			" (event_id, type, subject, organization_id, data, created_at) VALUES ($1, $2, $3, $4, $5::jsonb, clock_timestamp())",
			e.ID, e.Type, e.Subject, e.Organization, string(e.Data))
		if err != nil {
			return err
		}
	}
	return nil
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
