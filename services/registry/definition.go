package registry

import (
	"slices"

	"uaol/providers/upstream"
	"uaol/services/registry/credentials"
)

// Definition is what a version of a tool fixes: where it is, how it is called
// and what that costs. Changing any of it makes a new version.
type Definition struct {
	GatewayURL string                `json:"gateway_url"`
	Protocol   string                `json:"protocol"`
	Price      int64                 `json:"credit_cost_per_call"`
	Prices     map[string]int64      `json:"method_costs,omitempty"` // of single methods, instead of Price
	Visibility Visibility            `json:"visibility"`
	Command    *upstream.Command     `json:"command,omitempty"`    // of a stdio tool; platform admins only
	Egress     []string              `json:"egress,omitempty"`     // host:port that this tool alone may be at; platform admins only
	Inject     credentials.Injection `json:"inject,omitzero"`      // where secrets go
	OAuth      *credentials.OAuth    `json:"oauth,omitempty"`      // how to get tokens for it
	Operations []upstream.Operation  `json:"operations,omitempty"` // of an OpenAPI document; its methods are these
	Limits     *Limits               `json:"limits,omitempty"`
}

// Visibility says who finds a tool and may call it.
type Visibility string

// The visibilities.
const (
	Public       Visibility = "public"
	Organization Visibility = "organization" // its organisation's members
	Private      Visibility = "private"      // who registered it
)

// Limits bound the calls to a tool. Nothing stands for the platform's own.
type Limits struct {
	PerMinute   int `json:"per_minute,omitempty"`  // calls of all callers together
	PerUser     int `json:"per_user,omitempty"`    // calls of one account in a minute
	Concurrency int `json:"concurrency,omitempty"` // calls under way
	TimeoutMS   int `json:"timeout_ms,omitempty"`  // of one call
}

// order is from the narrowest visibility to the widest.
var order = []Visibility{Private, Organization, Public}

// widerThan reports whether more people find a tool.
func (v Visibility) widerThan(other Visibility) bool {
	return slices.Index(order, v) > slices.Index(order, other)
}
