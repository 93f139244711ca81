package oidc

import (
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/google/uuid"

	"uaol/providers/config"
	"uaol/providers/egress"
	"uaol/services"
)

// Config says which providers people may sign in with.
type Config struct {
	egress.Proxies
	Frontend string `env:"FRONTEND_URL" envDefault:"http://localhost:8080" want:"an http or https URL without query; several separated by commas" doc:"where sign-in leads back to, at /auth/callback, tools' consents, at /tools/consent, and payments, at /billing; of several, separated by commas, the first is the default and ?return_to= chooses another"`

	GoogleIssuer   string `env:"GOOGLE_ISSUER" envDefault:"https://accounts.google.com" want:"an http or https URL" doc:"Google's OpenID issuer"`
	GoogleID       string `env:"GOOGLE_CLIENT_ID" doc:"sign-in with Google: the client's id"`
	GoogleSecret   string `env:"GOOGLE_CLIENT_SECRET" secret:"true" doc:"sign-in with Google: the client's secret"`
	GoogleRedirect string `env:"GOOGLE_REDIRECT_URI" envDefault:"http://localhost:3000/auth/google/callback" want:"an http or https URL" doc:"sign-in with Google: where it sends people back to, as registered there"`

	OutlookIssuer   string `env:"OUTLOOK_ISSUER" want:"an http or https URL" doc:"Microsoft's OpenID issuer; https://login.microsoftonline.com/<tenant>/v2.0 unless set"`
	OutlookID       string `env:"OUTLOOK_CLIENT_ID" doc:"sign-in with Microsoft: the client's id"`
	OutlookSecret   string `env:"OUTLOOK_CLIENT_SECRET" secret:"true" doc:"sign-in with Microsoft: the client's secret"`
	OutlookRedirect string `env:"OUTLOOK_REDIRECT_URI" envDefault:"http://localhost:3000/auth/outlook/callback" want:"an http or https URL" doc:"sign-in with Microsoft: where it sends people back to, as registered there"`
	OutlookTenant   string `env:"OUTLOOK_TENANT" want:"a tenant's id or domain, or common, organizations or consumers" doc:"sign-in with Microsoft: whose accounts; common (default), organizations, consumers, or one tenant's id or domain, whose e-mail addresses are then trusted"`
	OutlookTenantID string `env:"OUTLOOK_TENANT_ID" want:"a tenant's id or domain, or common, organizations or consumers" doc:"another name for OUTLOOK_TENANT"`

	AppleIssuer   string `env:"ICLOUD_ISSUER" envDefault:"https://appleid.apple.com" want:"an http or https URL" doc:"Apple's OpenID issuer"`
	AppleID       string `env:"ICLOUD_CLIENT_ID" doc:"sign-in with Apple: the services id"`
	AppleSecret   string `env:"ICLOUD_CLIENT_SECRET" secret:"true" want:"the private key that Apple gave, in PEM, with line breaks or \\n" doc:"sign-in with Apple: the private key in PEM (line breaks may be written \\n), or a client secret made with it"`
	AppleTeam     string `env:"ICLOUD_TEAM_ID" want:"the team's id, because ICLOUD_CLIENT_SECRET holds a private key" doc:"sign-in with Apple: the team's id"`
	AppleKey      string `env:"ICLOUD_KEY_ID" want:"the key's id, because ICLOUD_CLIENT_SECRET holds a private key" doc:"sign-in with Apple: the private key's id"`
	AppleRedirect string `env:"ICLOUD_REDIRECT_URI" envDefault:"http://localhost:3000/auth/icloud/callback" want:"an http or https URL" doc:"sign-in with Apple: where it sends people back to, as registered there"`

	Issuer      string `env:"OIDC_ISSUER" want:"an http or https URL" doc:"sign-in with any OpenID provider: its issuer, exactly as it says it"`
	ID          string `env:"OIDC_CLIENT_ID" doc:"sign-in with that provider: the client's id"`
	Secret      string `env:"OIDC_CLIENT_SECRET" secret:"true" doc:"sign-in with that provider: the client's secret; a public client has none"`
	Redirect    string `env:"OIDC_REDIRECT_URI" envDefault:"http://localhost:3000/auth/oidc/callback" want:"an http or https URL" doc:"sign-in with that provider: where it sends people back to, as registered there"`
	Scopes      string `env:"OIDC_SCOPES" envDefault:"openid email profile" want:"scopes separated by spaces, openid among them" doc:"sign-in with that provider: what is asked for; with offline_access its tokens can be refreshed"`
	GroupsClaim string `env:"OIDC_GROUPS_CLAIM" envDefault:"groups" doc:"sign-in with that provider: the claim that lists a person's groups"`
	GroupRoles  string `env:"OIDC_GROUP_ROLES" want:"group=admin or group=<organisation's id>:<viewer, member, admin or owner>; several separated by commas" doc:"sign-in with that provider: what its groups give, such as ops=admin,eng=<organisation's id>:member; checked at each sign-in"`
}

// Check judges every setting, also those of providers that are not set up.
func (c *Config) Check() error {
	c.OutlookTenant, c.OutlookTenantID = strings.ToLower(c.OutlookTenant), strings.ToLower(c.OutlookTenantID)
	if c.OutlookTenant == "" {
		c.OutlookTenant = c.OutlookTenantID
	}
	for _, address := range []struct{ variable, value string }{
		{"GOOGLE_ISSUER", c.GoogleIssuer}, {"OUTLOOK_ISSUER", c.OutlookIssuer}, {"ICLOUD_ISSUER", c.AppleIssuer}, {"OIDC_ISSUER", c.Issuer},
		{"GOOGLE_REDIRECT_URI", c.GoogleRedirect}, {"OUTLOOK_REDIRECT_URI", c.OutlookRedirect},
		{"ICLOUD_REDIRECT_URI", c.AppleRedirect}, {"OIDC_REDIRECT_URI", c.Redirect},
	} {
		if address.value != "" && !isAddress(address.value) {
			return &config.Fault{Variable: address.variable, Value: address.value, Want: "an http or https URL without query"}
		}
	}
	for _, frontend := range c.Frontends() {
		if !isAddress(frontend) {
			return &config.Fault{Variable: "FRONTEND_URL", Value: c.Frontend, Want: "an http or https URL without query; several separated by commas"}
		}
	}
	if !tenantForm.MatchString(c.OutlookTenant) || (c.OutlookTenantID != "" && c.OutlookTenantID != c.OutlookTenant) {
		return &config.Fault{Variable: "OUTLOOK_TENANT", Value: c.OutlookTenant,
			Want: "a tenant's id or domain, or common, organizations or consumers, and the same as OUTLOOK_TENANT_ID if both are set"}
	}
	if !slices.Contains(strings.Fields(c.Scopes), "openid") {
		return &config.Fault{Variable: "OIDC_SCOPES", Value: c.Scopes, Want: "scopes separated by spaces, openid among them"}
	}
	if _, err := c.Roles(); err != nil {
		return err
	}
	return c.checkApple()
}

var tenantForm = regexp.MustCompile(`^[a-z0-9.-]{0,253}$`)

func (c *Config) checkApple() error {
	if !holdsKey(c.AppleSecret) {
		return nil
	}
	if _, err := readKey(c.AppleSecret); err != nil {
		return &config.Fault{Variable: "ICLOUD_CLIENT_SECRET", Value: c.AppleSecret, Secret: true, Want: "the private key that Apple gave, in PEM, with line breaks or \\n"}
	}
	switch {
	case c.AppleTeam == "":
		return &config.Fault{Variable: "ICLOUD_TEAM_ID", Want: "the team's id, because ICLOUD_CLIENT_SECRET holds a private key"}
	case c.AppleKey == "":
		return &config.Fault{Variable: "ICLOUD_KEY_ID", Want: "the key's id, because ICLOUD_CLIENT_SECRET holds a private key"}
	}
	return nil
}

// isAddress reports whether a text is an absolute URL that nothing else hides in.
func isAddress(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" &&
		u.User == nil && u.RawQuery == "" && !u.ForceQuery && u.Fragment == "" && !strings.ContainsAny(text, "#\\ ")
}

// Frontends are where sign-in may lead back to; the first is the default.
func (c *Config) Frontends() (all []string) {
	for text := range strings.SplitSeq(c.Frontend, ",") {
		if text = strings.TrimRight(strings.TrimSpace(text), "/"); text != "" {
			all = append(all, text)
		}
	}
	if len(all) == 0 {
		all = []string{c.Frontend} // Check refuses it
	}
	return all
}

// GroupRole is what being in a provider's group gives.
type GroupRole struct {
	Group        string
	Organization uuid.UUID        // a shared one; zero: the platform
	Role         services.OrgRole // in the organisation; of the platform's only OrgAdmin
}

// Roles are what the generic provider's groups give.
func (c *Config) Roles() (all []GroupRole, err error) {
	for text := range strings.SplitSeq(c.GroupRoles, ",") {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		role, ok := readRole(text)
		if !ok {
			return nil, &config.Fault{Variable: "OIDC_GROUP_ROLES", Value: text,
				Want: "group=admin or group=<organisation's id>:<viewer, member, admin or owner>; several separated by commas"}
		}
		all = append(all, role)
	}
	return all, nil
}

func readRole(text string) (GroupRole, bool) {
	at := strings.LastIndex(text, "=")
	if at < 1 {
		return GroupRole{}, false
	}
	group, gives := strings.TrimSpace(text[:at]), strings.TrimSpace(text[at+1:])
	if gives == string(services.RoleAdmin) {
		return GroupRole{Group: group, Role: services.OrgAdmin}, group != ""
	}
	id, role, _ := strings.Cut(gives, ":")
	organization, err := uuid.Parse(id)
	read := GroupRole{Group: group, Organization: organization, Role: services.OrgRole(role)}
	return read, err == nil && organization != uuid.Nil && group != "" && read.Role.Valid()
}
