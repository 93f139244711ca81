package services

import (
	"context"

	"github.com/google/uuid"
)

type repeatKey struct{}

// WithRepeatKey lets ctx know the Idempotency-Key of the request that it is for.
func WithRepeatKey(ctx context.Context, key string) context.Context {
	if key == "" {
		return ctx
	}
	return context.WithValue(ctx, repeatKey{}, key)
}

// NewID is the id of a thing that an account makes in an organisation. If the request has an
// Idempotency-Key, its repetition gets the same one, so that the table itself refuses to
// make the thing twice; kind says what is made, for one key may be used for things of
// several kinds.
func NewID(ctx context.Context, by, in uuid.UUID, kind string) uuid.UUID {
	if key, repeats := ctx.Value(repeatKey{}).(string); repeats {
		return uuid.NewSHA1(by, []byte(in.String()+"\x00"+kind+"\x00"+key))
	}
	return uuid.Must(uuid.NewV7())
}

// ErrRepeated is for what was made by the same request before, where it is not to be shown
// again, or was made to be something else.
var ErrRepeated = Errorf(Conflict, "A request with this Idempotency-Key was carried out before; look at what it made, or send another key").WithCode("ALREADY_MADE")
