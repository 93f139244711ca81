package events

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"uaol/providers/api"
	"uaol/providers/postgres"
	"uaol/services"
)

// Administration is what the platform's admins can do with a service's outbox. Without a
// database it describes that alone.
func (o Outbox) Administration(q postgres.Querier, outlet Outlet) []api.Operation {
	d := desk{o, q, outlet}
	at, whose := "/events/"+string(o.service), "of the "+string(o.service)+" service"
	return []api.Operation{
		api.Get(at, "Events "+whose+", newest first", d.list, api.Allow(api.Admin), api.Needs("")),
		api.Get(at+"/counts", "How many events "+whose+" no broker has got", d.count, api.Allow(api.Admin), api.Needs("")),
		api.Post(at+"/{eventId}/retry", "Let an event "+whose+" be published that the broker refused for good", d.retry,
			api.Allow(api.Admin), api.Needs(""), api.Audited("event.retry")),
	}
}

type desk struct {
	outbox Outbox
	q      postgres.Querier
	outlet Outlet
}

// said are the states as the public API calls them.
var said = map[State]string{StateWaiting: "pending", StatePublished: "published", StateDead: "refused"}

type storedBody struct {
	ID           uuid.UUID       `json:"id"`
	Type         string          `json:"type"`
	Subject      string          `json:"subject" doc:"what it happened to"`
	Organization uuid.UUID       `json:"organizationId,omitzero"`
	Data         json.RawMessage `json:"data"`
	CreatedAt    services.Time   `json:"createdAt"`
	State        string          `json:"state" doc:"pending, published or refused"`
	PublishedAt  *services.Time  `json:"publishedAt,omitempty"`
	Reason       *string         `json:"reason,omitempty" doc:"the broker's, for what it refused"`
}

type storedInput struct {
	api.Paging
	State string `query:"state" enum:"pending,published,refused" doc:"only those"`
}

func (d desk) list(ctx context.Context, _ services.Caller, in *storedInput) (api.Page[storedBody], error) {
	var asked State
	for state, word := range said {
		if word == in.State {
			asked = state
		}
	}
	return api.NewestFirst(in.Paging, func(before time.Time, beforeID uuid.UUID, limit int) ([]storedBody, error) {
		found, err := d.outbox.newest(ctx, d.q, asked, before, beforeID, limit)
		bodies := make([]storedBody, len(found))
		for i, e := range found {
			bodies[i] = storedBody{e.ID, e.Type, e.Subject, e.Organization, e.Data, e.Time, said[e.State], e.Published, e.Refused}
		}
		return bodies, err
	}, func(row storedBody) (time.Time, uuid.UUID) { return row.CreatedAt.Time, row.ID })
}

type countsBody struct {
	Broker  string `json:"broker" doc:"to which events are published; none: nowhere, and nobody waits for what is pending"`
	Pending int64  `json:"pending" doc:"counted up to 100,000"`
	Refused int64  `json:"refused" doc:"likewise"`
}

func (d desk) count(ctx context.Context, _ services.Caller, _ *struct{}) (api.Data[countsBody], error) {
	pending, err := d.outbox.Waiting(ctx, d.q, countMost)
	if err != nil {
		return api.Data[countsBody]{}, err
	}
	refused, err := d.outbox.refused(ctx, d.q, countMost)
	return api.OK(countsBody{Broker: d.outlet.Kind, Pending: pending, Refused: refused}), err
}

type storedPath struct {
	ID uuid.UUID `path:"eventId" format:"uuid"`
}

func (d desk) retry(ctx context.Context, _ services.Caller, in *storedPath) (api.Message, error) {
	services.Note(ctx, "service", string(d.outbox.service))
	only := Filter{IDs: []uuid.UUID{in.ID}}
	n, err := d.outbox.Redrive(ctx, d.q, only)
	if err == nil && n == 0 {
		if n, err = d.outbox.Count(ctx, d.q, only); err == nil && n == 0 {
			err = services.Errorf(services.NotFound, "There is no such event of the %s service", d.outbox.service)
		} else if err == nil {
			err = services.Errorf(services.Conflict, "No broker has refused this event, or it waits to be published by now")
		}
	}
	return api.Done("The event waits to be published"), err
}

// dead is what the broker refused for good, as the index outbox_refused has it.
const dead = "refused IS NOT NULL"

// where is what is true of an event in a state; "" is any.
var where = map[State]string{"": "true", StateWaiting: pending, StatePublished: "published_at IS NOT NULL", StateDead: dead}

// newest gives events in a state before a moment and an id, the newest first.
func (o Outbox) newest(ctx context.Context, q postgres.Querier, state State, before time.Time, beforeID uuid.UUID, limit int) ([]Stored, error) {
	return postgres.All[Stored](ctx, q, "SELECT "+storedColumns+" FROM "+o.table+
		" WHERE "+where[state]+" AND (created_at, event_id) < ($1::timestamptz, $2::uuid) ORDER BY created_at DESC, event_id DESC LIMIT $3", before, beforeID, limit)
}

// refused counts what the broker refused, up to most.
func (o Outbox) refused(ctx context.Context, q postgres.Querier, most int) (int64, error) {
	return postgres.Value[int64](ctx, q, "SELECT count(*) FROM (SELECT 1 FROM "+o.table+" WHERE "+dead+" LIMIT $1) w", most)
}
