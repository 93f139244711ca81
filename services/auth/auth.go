package auth

import (
	"context"

	"github.com/google/uuid"

	"uaol/services"
	"uaol/services/auth/modelkeys"
)

// Verifier is what other services see of auth.
type Verifier interface {
	// Verify tells whose credentials these are. Without any it answers a zero
	// Caller or, when guests are welcome, makes a guest. Kinds:
	// Unauthenticated; Invalid for an impossible guest or organisation id;
	// Forbidden for an organisation that is not the caller's; Limited when the
	// address has made too many guests; Unavailable.
	Verify(ctx context.Context, in VerifyRequest) (Verified, error)
}

// ModelKeys is what other services see of the keys of model providers.
type ModelKeys = modelkeys.Keys

// VerifyRequest holds at most one kind of credentials; the first present counts.
type VerifyRequest struct {
	Bearer       string `json:"bearer,omitempty"`
	APIKey       string `json:"apiKey,omitempty"`
	GuestID      string `json:"guestId,omitempty"`
	Guest        bool   `json:"guest,omitempty"`        // make a guest if need be
	Organization string `json:"organization,omitempty"` // for whom; "" for the key's or the personal one
	Address      string `json:"address,omitempty"`      // the client's
	Resource     string `json:"resource,omitempty"`     // the protected resource that is asked for: tokens given for it count
	Family       string `json:"family,omitempty"`       // the one that this is at or below: so do those, and what is between
}

// Verified is whose credentials they were.
type Verified struct {
	Caller  services.Caller `json:"caller"`
	GuestID string          `json:"guestId,omitempty"` // the guest's session
}

// Kind is what sort of account it is.
type Kind string

// The kinds of accounts.
const (
	User           Kind = "user"
	Guest          Kind = "guest"
	ServiceAccount Kind = "service"
)

// Account is a user, a guest or a service account.
type Account struct {
	ID            uuid.UUID      `db:"account_id"`
	Organization  uuid.UUID      `db:"organization_id"` // the personal one; a service account's shared one
	Kind          Kind           `db:"kind"`
	Name          *string        `db:"name"`
	Email         *string        `db:"email"`
	EmailVerified *services.Time `db:"email_verified_at"`
	PasswordHash  *string        `db:"password_hash"`
	Admin         bool           `db:"admin"`
	CreatedAt     services.Time  `db:"created_at"`
}

// Caller is the account as the one who makes a request for what is its own.
func (a Account) Caller() services.Caller {
	caller := services.Caller{
		Account: a.ID, Organization: a.Organization, Role: services.RoleUser,
		OrgRole: services.OrgOwner, Personal: true, Home: a.Organization,
	}
	switch {
	case a.Kind == Guest:
		caller.Role = services.RoleGuest
	case a.Admin:
		caller.Role = services.RoleAdmin
	}
	if a.Kind == ServiceAccount {
		caller.Personal, caller.OrgRole, caller.Home = false, "", uuid.Nil // its membership says
	}
	if a.Email != nil {
		caller.Email = *a.Email
	}
	return caller
}
