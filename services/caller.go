package services

import (
	"context"
	"slices"
	"strings"

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

// OrgRole is what a caller may do in an organisation. Everybody owns their
// personal one.
type OrgRole string

// The roles in an organisation, each including those before it.
const (
	OrgViewer OrgRole = "viewer" // reads
	OrgMember OrgRole = "member" // makes and spends
	OrgAdmin  OrgRole = "admin"  // decides who is in it and what they may spend
	OrgOwner  OrgRole = "owner"  // may end it
)

var orgRanks = map[OrgRole]int{OrgViewer: 1, OrgMember: 2, OrgAdmin: 3, OrgOwner: 4}

// Valid reports whether there is such a role.
func (r OrgRole) Valid() bool { return orgRanks[r] > 0 }

// AtLeast reports whether r includes what the other role may do.
func (r OrgRole) AtLeast(other OrgRole) bool { return orgRanks[r] >= orgRanks[other] }

// Scopes is what an API key may be used for, such as "jobs:read jobs:write",
// separated by single spaces; "" means everything. It is a text, so that
// Callers can be compared.
type Scopes string

// Allow reports whether the scope is among them.
func (s Scopes) Allow(scope string) bool {
	return s == "" || slices.Contains(strings.Fields(string(s)), scope)
}

// Include reports whether whoever has s may give others away.
func (s Scopes) Include(others Scopes) bool {
	if s == "" || others == "" {
		return s == ""
	}
	return !slices.ContainsFunc(strings.Fields(string(others)), func(scope string) bool { return !s.Allow(scope) })
}

// Caller is who makes a request, as far as that has been proved.
type Caller struct {
	Account      uuid.UUID `json:"account"`      // the user, guest or service account
	Organization uuid.UUID `json:"organization"` // who owns what this request makes, and pays for it
	Role         Role      `json:"role"`         // on the platform
	OrgRole      OrgRole   `json:"orgRole,omitempty"`
	Personal     bool      `json:"personal,omitempty"` // the organisation is the account's own, not a shared one
	Home         uuid.UUID `json:"home,omitzero"`      // the account's own organisation; a service account has none
	Key          uuid.UUID `json:"key,omitzero"`       // the API key it was made with, or its token was got with
	Session      uuid.UUID `json:"session,omitzero"`   // the sign-in whose token it carries
	Scopes       Scopes    `json:"scopes,omitempty"`   // the key's
	Email        string    `json:"email,omitempty"`
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
	Bearer       string // from Authorization: Bearer: a JWT or an API key
	APIKey       string // from X-API-Key
	GuestID      string // from X-Guest-Id
	Organization string // from X-Organization: for whom it is; "" for the key's or the personal one
	Foreign      bool   // Authorization is there, in a scheme that is not ours
	Guest        bool   // the route takes guests: make one when nothing else is given
	Resource     string // the URL of the protected resource that is asked for; "" where the route is none
	Family       string // the URL that Resource is at or below: what was given for it, or between the two, counts there too
}

// Origin is where a request comes from.
type Origin struct {
	Address   string `json:"address,omitempty"`
	UserAgent string `json:"userAgent,omitempty"`
	URL       string `json:"url,omitempty"` // what its client calls us, such as https://uaol.example.com
}

// Base is the address that clients know us by: the one that the operator has set, or
// else what this client calls us.
func (o Origin) Base(public string) string {
	if public != "" {
		return public
	}
	return o.URL
}

// Authenticator tells who a request's credentials belong to.
type Authenticator interface {
	// Authenticate returns the zero Caller when there are no credentials and
	// the route takes no guests. guestID is the session to name in the answer
	// when the caller is a guest. Kinds: Unauthenticated for credentials that
	// are present but bad, Forbidden for an organisation that is not the
	// caller's, Limited for too many guests, Unavailable when they can't be
	// checked just now.
	Authenticate(ctx context.Context, c Credentials) (caller Caller, guestID string, err error)
}

type (
	callerKey    struct{}
	originKey    struct{}
	requestIDKey struct{}
)

// WithOrigin remembers where a request comes from.
func WithOrigin(ctx context.Context, origin Origin) context.Context {
	return context.WithValue(ctx, originKey{}, origin)
}

// OriginFrom is where a request comes from; empty outside of one.
func OriginFrom(ctx context.Context) Origin {
	origin, _ := ctx.Value(originKey{}).(Origin)
	return origin
}

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
