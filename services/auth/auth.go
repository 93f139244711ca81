package auth

import (
	"context"

	"github.com/google/uuid"

	"uaol/services"
)

// Verifier is what other services see of auth.
type Verifier interface {
	// Verify tells whose credentials these are. Without any it answers a zero
	// Caller or, when guests are welcome, makes a guest. Kinds:
	// Unauthenticated, Invalid for an impossible guest id, Unavailable.
	Verify(ctx context.Context, in VerifyRequest) (Verified, error)
}

// VerifyRequest holds at most one kind of credentials; the first present counts.
type VerifyRequest struct {
	Bearer  string `json:"bearer,omitempty"`
	APIKey  string `json:"apiKey,omitempty"`
	GuestID string `json:"guestId,omitempty"`
	Guest   bool   `json:"guest,omitempty"` // make a guest if need be
}

// Verified is whose credentials they were.
type Verified struct {
	Caller  services.Caller `json:"caller"`
	GuestID string          `json:"guestId,omitempty"` // the guest's session
}

// Account is a user or a guest.
type Account struct {
	ID           uuid.UUID     `db:"account_id"`
	Organization uuid.UUID     `db:"organization_id"` // the personal one
	Email        *string       `db:"email"`
	PasswordHash *string       `db:"password_hash"`
	Admin        bool          `db:"admin"`
	CreatedAt    services.Time `db:"created_at"`
}

// Caller is the account as the one who makes a request.
func (a Account) Caller() services.Caller {
	caller := services.Caller{Account: a.ID, Organization: a.Organization, Role: services.RoleUser}
	switch {
	case a.Email == nil:
		caller.Role = services.RoleGuest
	case a.Admin:
		caller.Role = services.RoleAdmin
	}
	return caller
}
