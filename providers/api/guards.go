package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"uaol/services"
)

// admit authenticates the request and lets it pass if its caller may use op.
func (g Guards) admit(op *Operation) gin.HandlerFunc {
	return func(c *gin.Context) {
		c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, op.MaxBody+1)
		c.Request = c.Request.WithContext(services.WithOrigin(c.Request.Context(), g.origin(c.Request, c.ClientIP())))
		caller, err := g.limited(c, op)
		if err == nil {
			if g.Limit != nil && op.resource != "" { // where a request may hold several
				c.Set(limitKey, func() error { return g.Limit(c, caller) })
			}
			c.Request = c.Request.WithContext(services.WithCaller(c.Request.Context(), caller))
		}
		if err != nil {
			g.challenge(c, op, caller, err)
		}
		if op.Audit != "" && !services.Is(err, services.Limited) { // a flood must not fill the log
			g.record(c, op, caller, err)
			return
		}
		if err != nil {
			Fail(c, err)
			return
		}
		c.Next()
	}
}

// origin is where the request comes from: what the gateway says, if it passed
// the request on, else what the server has found out, or the connection's other end.
func (g Guards) origin(r *http.Request, address string) services.Origin {
	if said := r.Header.Get(OriginHeader); said != "" {
		if g.Service != nil {
			if origin, err := g.Service.VerifyOrigin(said); err == nil {
				return origin
			}
		}
		r.Header.Del(OriginHeader) // whoever said it, it was not the gateway
	}
	if origin := services.OriginFrom(r.Context()); origin != (services.Origin{}) {
		return origin
	}
	return OriginOf(r, address, r.TLS != nil)
}

// OriginOf describes a request that comes from an address, over TLS or not.
func OriginOf(r *http.Request, address string, secure bool) services.Origin {
	scheme := "http"
	if secure {
		scheme = "https"
	}
	return services.Origin{Address: address, UserAgent: storable(r.UserAgent()), URL: scheme + "://" + storable(r.Host)}
}

// storable is what a client sent in a form that the audit log can keep.
func storable(text string) string {
	text = text[:min(len(text), 300)]
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\ufffd"), "\x00", "\ufffd")
}

// record lets an audited act pass, or refuses it, with an entry before and
// after. Without the first one the act does not happen.
func (g Guards) record(c *gin.Context, op *Operation, caller services.Caller, refusal error) {
	if g.Auditor == nil {
		Fail(c, services.Errorf(services.Unavailable, "The audit log is not available"))
		return
	}
	ctx, notes := services.WithNotes(c.Request.Context())
	c.Request = c.Request.WithContext(ctx)
	origin := services.OriginFrom(ctx)
	act := services.Act{
		ID: uuid.Must(uuid.NewV7()), Time: services.Now(), Action: op.Audit, Outcome: services.Attempted,
		Account: caller.Account, Organization: caller.Organization, Key: caller.Key,
		Address: origin.Address, UserAgent: origin.UserAgent, RequestID: services.RequestID(ctx), Details: map[string]string{},
	}
	for _, p := range c.Params {
		act.Details[p.Key] = storable(p.Value)
	}
	if refusal != nil {
		act.Outcome, act.Details["code"] = services.Refused, CodeOf(refusal)
		if err := g.Auditor.Record(ctx, act); err != nil {
			_ = c.Error(err)
		}
		Fail(c, refusal)
		return
	}
	if err := g.Auditor.Record(ctx, act); err != nil {
		Fail(c, services.Errorf(services.Unavailable, "The audit log can't be written just now; try again").Because(err))
		return
	}
	c.Next()
	act.Outcome = services.Done
	notes.AddTo(&act)
	if c.Writer.Status() >= http.StatusBadRequest {
		act.Outcome, act.Details["status"] = services.Refused, http.StatusText(c.Writer.Status())
	}
	// The caller may be gone by now; the entry is written all the same.
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := g.Auditor.Record(after, act); err != nil {
		_ = c.Error(err)
	}
}

// limited identifies the caller and counts the request. Without credentials it
// counts by address, and before a guest could be made; so do credentials that
// are refused. Others count by their account.
func (g Guards) limited(c *gin.Context, op *Operation) (services.Caller, error) {
	if g.Limit == nil || op.Access == Service {
		return g.identify(c, op)
	}
	given := op.credentials(c.Request)
	if given.Bearer == "" && given.APIKey == "" {
		if err := countOnce(c, func() error { return g.Limit(c, services.Caller{}) }); err != nil {
			return services.Caller{}, err
		}
		caller, err := g.identify(c, op)
		if err == nil {
			err = g.limitGuest(c, op, caller)
		}
		return caller, err
	}
	var caller services.Caller
	try := func() (err error) {
		caller, err = g.identify(c, op)
		return err
	}
	if err := g.attempt(c, given.Bearer+" "+given.APIKey, try); err != nil {
		return caller, err
	}
	return caller, countOnce(c, func() error { return g.Limit(c, caller) })
}

// limitKey is where a request's context has how its caller is counted.
const limitKey = "uaol.limit"

// CountMore counts a request as so many more of its caller's, where requests are counted;
// kind Limited.
func CountMore(c *gin.Context, more int) error {
	count, counted := c.Value(limitKey).(func() error)
	for range more {
		if !counted {
			return nil
		}
		if err := count(); err != nil {
			return err
		}
	}
	return nil
}

func (g Guards) attempt(c *gin.Context, secret string, try func() error) error {
	if g.Attempt == nil {
		return try()
	}
	return g.Attempt(c, secret, try)
}

// limitGuest counts a guest's requests to an operation that takes fewer of them.
func (g Guards) limitGuest(c *gin.Context, op *Operation, caller services.Caller) error {
	if op.Guests == 0 || caller.Role != services.RoleGuest || g.LimitTo == nil {
		return nil
	}
	return g.LimitTo(c, caller, op.Path, op.Guests)
}

func (g Guards) identify(c *gin.Context, op *Operation) (services.Caller, error) {
	credentials := op.credentials(c.Request)
	if op.Access == Service {
		if g.Service == nil {
			return services.Caller{}, services.Errorf(services.Unauthenticated, "Service token required")
		}
		if err := g.Service.VerifyPeer(c.Request); err != nil {
			return services.Caller{}, err
		}
		return g.Service.VerifyService(credentials.Bearer, op.service())
	}
	if g.Authenticator == nil {
		if op.Access == Public {
			return services.Caller{}, nil
		}
		return services.Caller{}, services.Errorf(services.Unavailable, "The auth service is not available")
	}
	if op.resource != "" {
		base := services.OriginFrom(c.Request.Context()).Base(g.Public)
		credentials.Resource, credentials.Family = base+pathOf(c.Request), base+op.resource
	}
	credentials.Guest = op.Access == Guest || op.guests && credentials.GuestID != ""
	caller, guestID, err := g.Authenticator.Authenticate(c.Request.Context(), credentials)
	if err != nil {
		return caller, err
	}
	if guestID != "" {
		c.Header(GuestHeader, guestID)
	}
	return caller, op.permit(caller)
}

// permit judges whether a known caller may use the operation.
func (op *Operation) permit(caller services.Caller) error {
	switch {
	case op.Access == Public:
		return nil
	case op.Access >= User && (!caller.Known() || caller.Role == services.RoleGuest):
		return op.unknown()
	case op.Access == Guest && !caller.Known(): // guests are not welcome here
		return op.unknown()
	case op.Access == Admin && !caller.Admin():
		return services.Errorf(services.Forbidden, "Only a platform admin may do this")
	case !caller.Scopes.Allow(op.Scope):
		return services.Errorf(services.Forbidden, "This API key lacks the scope %s", op.Scope)
	case op.account && caller.Key != uuid.Nil && !caller.Personal:
		return services.Errorf(services.Forbidden, "This API key belongs to an organisation and reaches nothing else of the account; sign in, or use a personal key")
	case op.Needs != "" && !caller.OrgRole.AtLeast(op.Needs):
		return services.Errorf(services.Forbidden, "This needs the role %s in the organisation; yours is %s", op.Needs, caller.OrgRole)
	}
	return nil
}

// unknown is the answer to somebody who should have signed in.
func (op *Operation) unknown() error {
	if op.signIn != "" {
		return services.Errorf(services.Unauthenticated, "%s", op.signIn).WithCode("AUTHENTICATION_REQUIRED")
	}
	return services.Errorf(services.Unauthenticated, "No token provided")
}
