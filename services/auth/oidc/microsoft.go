package oidc

import (
	"net/url"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// What Microsoft calls a tenant when it takes accounts of several.
const (
	common        = "common"
	organizations = "organizations"
	consumers     = "consumers"
)

// personalTenant is the tenant of Microsoft's personal accounts, whose e-mail
// addresses Microsoft has verified.
const personalTenant = "9188040d-6c67-4c5b-b112-36a304b66dad"

// tenantPlace stands in the issuer that Microsoft's discovery names where
// accounts of several tenants are taken; each token names its own.
const tenantPlace = "{tenantid}"

// tenants judges issuers and addresses of Microsoft's accounts.
type tenants struct{ configured string }

// specific reports whether the operator chose one tenant, and so trusts who
// runs it.
func (t tenants) specific() bool {
	return !slices.Contains([]string{"", common, organizations, consumers}, t.configured)
}

// accepts reports whether a token of this issuer and tenant is one of those
// that discovery announced and the operator chose.
func (t tenants) accepts(announced, issuer, tenant string) bool {
	id, err := uuid.Parse(tenant)
	named := err == nil && id.String() == tenant
	if strings.Contains(announced, tenantPlace) {
		if !named || issuer != strings.ReplaceAll(announced, tenantPlace, tenant) {
			return false
		}
		return !t.specific() || tenant == t.configured // a domain has no id to compare: its own discovery names it
	}
	if issuer != announced {
		return false
	}
	_, err = uuid.Parse(t.configured)
	return err != nil || tenant == t.configured
}

// vouch reports whether the e-mail address of an accepted token is known to be
// the person's. In general it is not: whoever runs a tenant can write any
// address into it.
// https://learn.microsoft.com/entra/identity-platform/migrate-off-email-claim-authorization
func (t tenants) vouch(issuer string, c claims) bool {
	personal := c.text("tid") == personalTenant && slices.Contains(strings.Split(issuer, "/"), personalTenant)
	return t.specific() || personal || c.is("xms_edov") // the owner of the address's domain is verified
}

// issued reports whether an issuer is one that discovery announced.
func (t tenants) issued(announced, issuer string) bool {
	before, after, several := strings.Cut(announced, tenantPlace)
	if !several {
		return issuer == announced
	}
	rest, ok := strings.CutPrefix(issuer, before)
	tenant, end := strings.CutSuffix(rest, after)
	return ok && end && t.accepts(announced, issuer, tenant)
}

// sameHost reports whether discovery speaks for the host that was asked.
func sameHost(asked, announced string) bool {
	a, err := url.Parse(asked)
	if err != nil {
		return false
	}
	b, err := url.Parse(announced)
	return err == nil && a.Scheme == b.Scheme && a.Host == b.Host
}
