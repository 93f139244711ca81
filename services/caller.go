package services

import (
	"context"

	"github.com/google/uuid"
)

// Role is what a caller may do on the platform as a whole.
type Role string

// The roles. A guest is an account without credentials of its own; an admin
// decides about other people's tools and accounts.
const (
	RoleNone    Role = ""        // nobody: no credentials were needed or given
	RoleGuest   Role = "guest"   //
	RoleUser    Role = "user"    //
	RoleAdmin   Role = "admin"   //
	RoleService Role = "service" // another service of ours, acting for Caller.Account
)

// Caller is who makes a request, as far as that has been proved.
type Caller struct {
	Account      uuid.UUID `json:"account"`      // the user or guest
	Organization uuid.UUID `json:"organization"` // who owns what this request makes, and pays for it
	Role         Role      `json:"role"`
}

// Known reports whether anybody was identified.
func (c Caller) Known() bool { return c.Role != RoleNone }

// Admin reports whether the caller is a platform admin.
func (c Caller) Admin() bool { return c.Role == RoleAdmin }

// Owns reports whether something of that organisation is the caller's own.
func (c Caller) Owns(organization uuid.UUID) bool {
	return c.Known() && c.Organization == organization
}

// Credentials are what a request carries to say who makes it.
type Credentials struct {
	Bearer  string // from Authorization: Bearer: a JWT or an API key
	APIKey  string // from X-API-Key
	GuestID string // from X-Guest-Id
	Foreign bool   // Authorization is there, in a scheme that is not ours
	Guest   bool   // the route takes guests: make one when nothing else is given
	Address string // the client's address
}

// Authenticator tells who a request's credentials belong to.
type Authenticator interface {
	// Authenticate returns the zero Caller when there are no credentials and
	// the route takes no guests. guestID is the session to name in the answer
	// when the caller is a guest. Kinds: Unauthenticated for credentials that
	// are present but bad, Unavailable when they can't be checked just now.
	Authenticate(ctx context.Context, c Credentials) (caller Caller, guestID string, err error)
}

type (
	callerKey    struct{}
	requestIDKey struct{}
)

// WithCaller remembers who a request is made for.
func WithCaller(ctx context.Context, caller Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, caller)
}

// CallerFrom is who a request is made for; the zero Caller when nobody is known.
func CallerFrom(ctx context.Context) Caller {
	caller, _ := ctx.Value(callerKey{}).(Caller)
	return caller
}

// WithRequestID remembers the id under which a request is logged everywhere.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// RequestID is the id under which a request is logged; "" outside of one.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}
