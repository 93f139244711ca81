package services

import (
	"context"

	"github.com/google/uuid"
)

// Standing says as whom something is done that an account asked for earlier,
// without being there any more.
type Standing interface {
	// Acting gives the account as a caller, as it stands now. Kinds: Forbidden when
	// the account is gone, is not in the organisation any more, or the key with
	// which it asked counts no more; Unavailable.
	Acting(ctx context.Context, in ActingRequest) (Caller, error)
}

// ActingRequest names an account, the organisation that it acts for and the API
// key with which it asked, if it was one.
type ActingRequest struct {
	Account      uuid.UUID `json:"account"`
	Organization uuid.UUID `json:"organization"`
	Key          uuid.UUID `json:"key,omitzero"`
}
