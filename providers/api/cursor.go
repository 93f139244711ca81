package api

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"time"

	"github.com/google/uuid"

	"uaol/services"
)

// ReadCursor gives back what NextCursor said; the zero T for an empty cursor.
func ReadCursor[T any](cursor string) (T, error) {
	var after T
	if cursor == "" {
		return after, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err == nil {
		err = json.Unmarshal(text, &after)
	}
	if err != nil {
		return after, services.Faults(services.Fault{Path: "query.cursor", Message: "is not a cursor of this list"})
	}
	return after, nil
}

// Cut makes a page of at most limit out of rows that were asked for one more;
// key says what the last row's cursor holds.
func Cut[T any](rows []T, limit int, key func(T) any) Page[T] {
	if len(rows) <= limit {
		return List(rows, "")
	}
	rows = rows[:limit]
	text, err := json.Marshal(key(rows[limit-1]))
	if err != nil { // a key of plain values can always be written
		return List(rows, "")
	}
	return List(rows, base64.RawURLEncoding.EncodeToString(text))
}

// newest is the cursor of a list that begins with what is newest.
type newest struct {
	At time.Time
	ID uuid.UUID
}

// endOfTime is where such a list begins.
var endOfTime = newest{At: time.Unix(math.MaxInt32*4, 0), ID: uuid.Max}

// NewestFirst makes a page of a list that begins with what is newest. list
// gives at most limit rows before a moment and an id; key is where a row stands.
func NewestFirst[T any](p Paging, list func(before time.Time, beforeID uuid.UUID, limit int) ([]T, error), key func(T) (time.Time, uuid.UUID)) (Page[T], error) {
	before, err := ReadCursor[newest](p.Cursor)
	if err != nil {
		return Page[T]{}, err
	}
	if before.At.IsZero() {
		before = endOfTime
	}
	rows, err := list(before.At, before.ID, p.Limit+1)
	return Cut(rows, p.Limit, func(row T) any {
		at, id := key(row)
		return newest{At: at, ID: id}
	}), err
}
