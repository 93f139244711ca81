package oauth

import (
	"net/url"
	"strings"
	"time"

	"uaol/providers/config"
)

// Config is how long programs are let in, and who else may let them in.
type Config struct {
	Access       time.Duration `env:"UAOL_OAUTH_ACCESS" envDefault:"15m" want:"a duration from 1m to 24h" doc:"how long an access token counts that a program got at /oauth/token"`
	Refresh      time.Duration `env:"UAOL_OAUTH_REFRESH" envDefault:"720h" want:"a duration from 1h to 8760h, longer than UAOL_OAUTH_ACCESS" doc:"how long a program that was let in may stay away, until it has to ask again"`
	Registration string        `env:"UAOL_OAUTH_REGISTRATION" envDefault:"on" want:"on or off" doc:"whether programs may register themselves at /oauth/register (RFC 7591); with off those alone are known that a URL names (client ID metadata documents)"`
	Issuers      []string      `env:"UAOL_MCP_ISSUERS" envSeparator:"," want:"https URLs of OpenID issuers, separated by commas" doc:"OpenID issuers, exactly as they say it, whose JWT access tokens count at /mcp too, if they were given for it, with the scope mcp:write; people must have signed in here with that issuer once; asked as TOOL_EGRESS_ALLOW permits"`
}

// Check judges the settings.
func (c *Config) Check() error {
	switch {
	case c.Access < time.Minute || c.Access > 24*time.Hour:
		return &config.Fault{Variable: "UAOL_OAUTH_ACCESS", Value: c.Access.String(), Want: "a duration from 1m to 24h"}
	case c.Refresh < time.Hour || c.Refresh > 365*24*time.Hour || c.Refresh <= c.Access:
		return &config.Fault{Variable: "UAOL_OAUTH_REFRESH", Value: c.Refresh.String(), Want: "a duration from 1h to 8760h, longer than UAOL_OAUTH_ACCESS"}
	case c.Registration != "on" && c.Registration != "off":
		return &config.Fault{Variable: "UAOL_OAUTH_REGISTRATION", Value: c.Registration, Want: "on or off"}
	}
	var issuers []string
	for _, issuer := range c.Issuers {
		if issuer = strings.TrimSpace(issuer); issuer == "" {
			continue
		}
		u, err := url.Parse(issuer)
		if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u)) {
			return &config.Fault{Variable: "UAOL_MCP_ISSUERS", Value: issuer, Want: "https URLs of OpenID issuers, separated by commas"}
		}
		issuers = append(issuers, issuer)
	}
	c.Issuers = issuers
	return nil
}
