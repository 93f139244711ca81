package services

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// Person is somebody whose data is handed out or erased.
type Person struct {
	Account       uuid.UUID   `json:"account"`
	Guest         bool        `json:"guest,omitempty"`  // it was in no organisation but its own
	Organizations []uuid.UUID `json:"organizations"`    // that are the account's alone, with all that is theirs
	Shared        []uuid.UUID `json:"shared,omitempty"` // others that it is in: what it made there is its own
}

// Keeper is a service that keeps things of people.
type Keeper interface {
	// Export hands out a part of what is kept of somebody.
	Export(ctx context.Context, in ExportRequest) (Part, error)
	// Erase removes what is kept of somebody, or makes it nobody's where others
	// need it. It may be repeated. Kinds: Conflict while something of theirs
	// has to end first; Unavailable.
	Erase(ctx context.Context, who Person) error
}

// ExportRequest asks for the part after another one; the first for "".
type ExportRequest struct {
	Person Person `json:"person"`
	After  string `json:"after,omitempty"`
}

// Part is some of what is kept of somebody. Next asks for the part that
// follows; it is "" after the last.
type Part struct {
	Section string            `json:"section"` // what the items are, such as "jobs"
	Items   []json.RawMessage `json:"items"`
	Next    string            `json:"next,omitempty"`
}

// Custody is one service as a Keeper. Where its address is not set or not
// usable, Missing says so and Keeper is not to be called.
type Custody struct {
	Service Name
	Keeper  Keeper
	Missing error
}

// ErasedBy is Erase in the form of an internal operation.
func ErasedBy(k Keeper) func(ctx context.Context, who Person) (struct{}, error) {
	return func(ctx context.Context, who Person) (struct{}, error) { return struct{}{}, k.Erase(ctx, who) }
}

// Holding is whose rows a part is made of: all of an organisation, or what one
// account made there.
type Holding struct {
	Organization uuid.UUID
	Maker        *uuid.UUID // nil: everybody's
}

func (p Person) holdings() []Holding {
	var all []Holding
	for _, id := range p.Organizations {
		all = append(all, Holding{Organization: id})
	}
	for _, id := range p.Shared {
		all = append(all, Holding{Organization: id, Maker: &p.Account})
	}
	return all
}

// position is where an export goes on: in which holding, after which row.
type position[K any] struct {
	Holding int
	After   *K
}

// PartOf makes one section's part. list gives some rows of a holding after the
// key of another, nil for the first, and none at the end; key is a row's.
func PartOf[T, K any](in ExportRequest, section string, list func(h Holding, after *K) ([]T, error), key func(T) K) (Part, error) {
	part := Part{Section: section, Items: []json.RawMessage{}}
	var at position[K]
	if in.After != "" {
		text, err := base64.RawURLEncoding.DecodeString(in.After)
		if err == nil {
			err = json.Unmarshal(text, &at)
		}
		if err != nil {
			return part, Errorf(Invalid, "This is not where an export goes on").Because(err)
		}
	}
	for holdings := in.Person.holdings(); at.Holding < len(holdings); at = (position[K]{Holding: at.Holding + 1}) {
		rows, err := list(holdings[at.Holding], at.After)
		if err != nil {
			return part, err
		}
		if len(rows) == 0 {
			continue
		}
		for _, row := range rows {
			item, err := json.Marshal(row)
			if err != nil {
				return part, err
			}
			part.Items = append(part.Items, item)
		}
		last := key(rows[len(rows)-1])
		next, err := json.Marshal(position[K]{Holding: at.Holding, After: &last})
		part.Next = base64.RawURLEncoding.EncodeToString(next)
		return part, err
	}
	return part, nil
}

// Sections hands out several sections, one after the other, as one Keeper's.
func Sections(ctx context.Context, in ExportRequest, exports ...func(context.Context, ExportRequest) (Part, error)) (Part, error) {
	number, after, _ := strings.Cut(in.After, ":")
	at := 0
	if in.After != "" {
		var err error
		if at, err = strconv.Atoi(number); err != nil || at < 0 || at >= len(exports) {
			return Part{}, Errorf(Invalid, "This is not where an export goes on")
		}
	}
	in.After = after
	part, err := exports[at](ctx, in)
	switch {
	case err != nil:
	case part.Next != "":
		part.Next = strconv.Itoa(at) + ":" + part.Next
	case at+1 < len(exports):
		part.Next = strconv.Itoa(at+1) + ":"
	}
	return part, err
}
