package registry

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"uaol/providers/upstream"
	"uaol/services"
	"uaol/services/registry/credentials"
)

// Offer is an approved tool as calls need it: the version in force.
type Offer struct {
	ToolID       uuid.UUID `json:"toolId"`
	Slug         string    `json:"slug"`
	Name         string    `json:"name"`
	Version      int64     `json:"version"`
	Organization uuid.UUID `json:"organization"`
	Developer    uuid.UUID `json:"developer"`
	Definition
	// Pinned says that Methods are all there are. Otherwise the server can't be
	// asked what it offers: any method may be called, with any arguments.
	Pinned    bool      `json:"pinned"`
	Methods   []Method  `json:"methods,omitempty"`
	Digest    string    `json:"digest,omitempty"` // of all pinned methods
	CheckedAt time.Time `json:"checkedAt"`        // when the live server was last compared with them
}

// Method is a pinned method of a version, or one that the live server added.
type Method struct {
	upstream.Method
	Digest     string `json:"digest,omitempty"`
	Difference string `json:"difference,omitempty"` // changed, added or removed since it was pinned: it can't be called
}

// InspectRequest asks for a look at a tool's server.
type InspectRequest struct {
	ToolID  uuid.UUID `json:"toolId"`
	Version int64     `json:"version"`
	// Method, if not empty, is one that the caller has just been told does not
	// exist, or to exist: a look within the last seconds is not enough then.
	Method string `json:"method,omitempty"`
}

// CredentialsRequest asks for what a caller's calls of a tool carry.
type CredentialsRequest struct {
	Caller  services.Caller `json:"caller"`
	ToolID  uuid.UUID       `json:"toolId"`
	Version int64           `json:"version"`
	// Refused, if not empty, is the Token of what the tool has just refused.
	Refused string `json:"refused,omitempty"`
}

// PriceOf is what one call of a method costs, in credits.
func (o Offer) PriceOf(method string) int64 {
	if price, ok := o.Prices[method]; ok {
		return price
	}
	return o.Price
}

// Credentialed is what its credentials are got for.
func (o Offer) Credentialed() credentials.Tool {
	place := o.GatewayURL
	if o.Command != nil { // secrets that were given for one program do not go into another
		place = "stdio:" + strings.Join(append([]string{o.Command.Path}, o.Command.Args...), " ")
	}
	return credentials.Tool{
		ID: o.ToolID, Name: o.Name, Version: o.Version, Organization: o.Organization, Developer: o.Developer,
		GatewayURL: place, Allow: o.Egress, Inject: o.Inject, OAuth: o.OAuth,
	}
}

// Target is where calls of the offer go, with what they carry.
func (o Offer) Target(c credentials.Carried) upstream.Target {
	target := upstream.Target{
		ToolID: o.ToolID, URL: o.GatewayURL, Protocol: o.Protocol, Version: o.Version,
		Allow: o.Egress, Command: o.Command, Operations: o.Operations, Identity: c.Identity,
	}
	if len(c.Headers) > 0 {
		target.Headers = make(http.Header, len(c.Headers))
		for name, value := range c.Headers {
			target.Headers.Set(name, value)
		}
	}
	for name, value := range c.Env {
		target.Env = append(target.Env, name+"="+value)
	}
	slices.Sort(target.Env)
	return target
}

// VisibleTo reports whether a caller may find and call the tool.
func (o Offer) VisibleTo(caller services.Caller) bool {
	return o.Visibility.lets(caller, o.Organization, o.Developer)
}

func (v Visibility) lets(caller services.Caller, organization, developer uuid.UUID) bool {
	switch v {
	case Public:
		return true
	case Organization:
		return caller.Owns(organization)
	default:
		return caller.Owns(organization) && caller.Account == developer
	}
}

// Find gives a method of the offer, by its name. Kinds: NotFound for one that is
// not there, Conflict with the code METHOD_QUARANTINED for one that the server
// has changed or added since an admin looked at it.
func (o Offer) Find(name string) (Method, error) {
	for _, m := range o.Methods {
		if m.Name != name {
			continue
		}
		if m.Difference != "" {
			return Method{}, services.Errorf(services.Conflict, "The method %s of %s was %s by its server since it was approved; an admin has to look at it first", name, o.Name, m.Difference).WithCode(CodeQuarantined)
		}
		return m, nil
	}
	if !o.Pinned {
		return Method{Method: upstream.Method{Name: name}}, nil
	}
	return Method{}, services.Errorf(services.NotFound, "%s has no method %s", o.Name, name)
}

// CodeQuarantined tells of a method that is not called until an admin has looked
// at what its server changed.
const CodeQuarantined = "METHOD_QUARANTINED"
