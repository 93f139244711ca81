package events

import (
	"context"
	"time"

	"github.com/google/uuid"

	"uaol/providers/postgres"
	"uaol/services"
)

// State is what has become of an event outside.
type State string

// The states.
const (
	StateWaiting   State = "waiting"   // no broker has got it
	StatePublished State = "published" //
	StateDead      State = "dead"      // the broker refused it for good
)

// Stored is an event as its outbox has it.
type Stored struct {
	Event
	Service   services.Name  `json:"service" db:"-"`
	State     State          `json:"state" db:"state"`
	Published *services.Time `json:"publishedAt,omitempty" db:"published_at"`
	Refused   *string        `json:"refused,omitempty" db:"refused"`
}

// Filter chooses events of an outbox. What is zero does not count.
type Filter struct {
	Since, Until time.Time // [Since, Until)
	Type         string    // or what types begin with, such as "tool."
	State        State
	IDs          []uuid.UUID
}

// matches is true of what a Filter chooses; its parameters are given by args.
const matches = ` created_at >= $1 AND created_at < $2 AND ($3 = '' OR type = $3 OR right($3, 1) = '.' AND left(type, length($3)) = $3)
	AND ($4 = '' OR $4 = 'published' AND published_at IS NOT NULL OR $4 = 'dead' AND refused IS NOT NULL OR $4 = 'waiting' AND published_at IS NULL AND refused IS NULL)
	AND (cardinality($5::text[]) = 0 OR event_id = ANY ($5::text[]::uuid[]))`

func (f Filter) args() []any {
	if f.Until.IsZero() {
		f.Until = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	return []any{f.Since, f.Until, f.Type, string(f.State), postgres.UUIDs(f.IDs)}
}

// storedColumns are a Stored's.
const storedColumns = `event_id, type, subject, organization_id, data, created_at, published_at, refused,
	CASE WHEN refused IS NOT NULL THEN 'dead' WHEN published_at IS NULL THEN 'waiting' ELSE 'published' END AS state`

// List gives the newest events that a filter chooses, the newest first.
func (o Outbox) List(ctx context.Context, q postgres.Querier, f Filter, limit int) ([]Stored, error) {
	found, err := postgres.All[Stored](ctx, q, "SELECT "+storedColumns+" FROM "+o.table+
		" WHERE"+matches+" ORDER BY created_at DESC, event_id DESC LIMIT $6", append(f.args(), limit)...)
	for i := range found {
		found[i].Service = o.service
	}
	return found, err
}

// Count counts what a filter chooses.
func (o Outbox) Count(ctx context.Context, q postgres.Querier, f Filter) (int64, error) {
	return postgres.Value[int64](ctx, q, "SELECT count(*) FROM "+o.table+" WHERE"+matches, f.args()...)
}

// Replay lets what a filter chooses be published again, with the same ids, and
// counts that. What is dead has its own way: Redrive.
func (o Outbox) Replay(ctx context.Context, q postgres.Querier, f Filter) (int64, error) {
	return postgres.Exec(ctx, q, "UPDATE "+o.table+" SET published_at = NULL WHERE"+matches+" AND published_at IS NOT NULL", f.args()...)
}

// Redrive lets dead events that a filter chooses be published after all, and counts
// them.
func (o Outbox) Redrive(ctx context.Context, q postgres.Querier, f Filter) (int64, error) {
	f.State = StateDead
	return postgres.Exec(ctx, q, "UPDATE "+o.table+" SET refused = NULL WHERE"+matches, f.args()...)
}
