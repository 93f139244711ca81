package auth

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"uaol/providers/config"
	"uaol/providers/secrets"
)

// Config is how accounts are made and tokens signed.
type Config struct {
	config.Process
	JWTSecret    string       `env:"JWT_SECRET" secret:"true" doc:"signs sign-in tokens; 32 characters or more; development makes one in the data directory"`
	JWTPrevious  string       `env:"JWT_SECRET_PREVIOUS" secret:"true" doc:"the secret that JWT_SECRET replaced: tokens signed with it still count"`
	Lifetime     Lifetime     `env:"JWT_EXPIRES_IN" envDefault:"7d" want:"a duration such as 7d, 12h or 30m" doc:"how long a sign-in token is valid"`
	Registration Registration `env:"REGISTRATION" envDefault:"open" want:"open, invite or closed" doc:"who may make an account: open, invite (whoever was invited) or closed"`
	Guests       string       `env:"GUESTS" envDefault:"on" want:"on or off" doc:"whether people without an account are served"`
	Signups      int          `env:"UAOL_SIGNUPS_PER_HOUR" envDefault:"20" want:"a whole number, 0 for any" doc:"accounts and guests that one address may make in an hour; 0 for any number"`
	AuditDays    int          `env:"UAOL_AUDIT_DAYS" envDefault:"365" want:"a whole number of days, 1 or more" doc:"days that the audit log is kept"`
	AdminEmail   string       `env:"UAOL_ADMIN_EMAIL" doc:"e-mail of the first admin, made at the start"`
	AdminKey     string       `env:"UAOL_ADMIN_API_KEY" secret:"true" want:"any text of 32 characters or more" doc:"API key of the first admin; any text of 32 characters or more; one that was set before stays valid until it is revoked"`
}

// Check judges the secrets.
func (c *Config) Check() error {
	if err := c.Process.Check(); err != nil {
		return err
	}
	if err := secrets.Check("JWT_SECRET", c.JWTSecret, c.Production()); err != nil {
		return err
	}
	if c.JWTPrevious != "" {
		if err := secrets.Check("JWT_SECRET_PREVIOUS", c.JWTPrevious, c.Production()); err != nil {
			return err
		}
	}
	switch {
	case !slices.Contains([]Registration{Open, ByInvitation, Closed}, c.Registration):
		return &config.Fault{Variable: "REGISTRATION", Value: string(c.Registration), Want: "open, invite or closed"}
	case c.Guests != "on" && c.Guests != "off":
		return &config.Fault{Variable: "GUESTS", Value: c.Guests, Want: "on or off"}
	case c.Signups < 0:
		return &config.Fault{Variable: "UAOL_SIGNUPS_PER_HOUR", Value: strconv.Itoa(c.Signups), Want: "a whole number, 0 for any"}
	case c.AuditDays < 1:
		return &config.Fault{Variable: "UAOL_AUDIT_DAYS", Value: strconv.Itoa(c.AuditDays), Want: "a whole number of days, 1 or more"}
	}
	switch {
	case c.AdminKey != "" && len(c.AdminKey) < secrets.MinLength:
		return &config.Fault{Variable: "UAOL_ADMIN_API_KEY", Value: c.AdminKey, Secret: true, Want: "any text of 32 characters or more"}
	case c.AdminEmail == "" && c.AdminKey != "":
		return &config.Fault{Variable: "UAOL_ADMIN_EMAIL", Want: "the admin's e-mail, because UAOL_ADMIN_API_KEY is set"}
	case c.AdminEmail != "" && c.AdminKey == "":
		return &config.Fault{Variable: "UAOL_ADMIN_API_KEY", Want: "any text of 32 characters or more, because UAOL_ADMIN_EMAIL is set (or unset both and run `uaol admin create`)"}
	}
	if c.AdminEmail != "" {
		email, err := normalEmail(c.AdminEmail)
		if err != nil {
			return &config.Fault{Variable: "UAOL_ADMIN_EMAIL", Value: c.AdminEmail, Want: "an e-mail address"}
		}
		c.AdminEmail = email
	}
	return nil
}

// Registration says who may make an account.
type Registration string

// The ways of registration.
const (
	Open         Registration = "open"
	ByInvitation Registration = "invite"
	Closed       Registration = "closed"
)

// Lifetime is a duration in the original's forms: "7d", "12h", "2 days", "90s".
type Lifetime time.Duration

var lifetimeForm = regexp.MustCompile(`^(\d{1,9})\s*([a-z]*)$`)

// UnmarshalText reads a Lifetime; a bare number is seconds.
func (l *Lifetime) UnmarshalText(text []byte) error {
	parts := lifetimeForm.FindStringSubmatch(strings.ToLower(strings.TrimSpace(string(text))))
	if parts == nil {
		return fmt.Errorf("not a duration")
	}
	number, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil {
		return err
	}
	unit, ok := map[string]time.Duration{
		"": time.Second, "s": time.Second, "sec": time.Second, "second": time.Second, "seconds": time.Second,
		"m": time.Minute, "min": time.Minute, "minute": time.Minute, "minutes": time.Minute,
		"h": time.Hour, "hr": time.Hour, "hour": time.Hour, "hours": time.Hour,
		"d": 24 * time.Hour, "day": 24 * time.Hour, "days": 24 * time.Hour,
		"w": 7 * 24 * time.Hour, "week": 7 * 24 * time.Hour, "weeks": 7 * 24 * time.Hour,
	}[parts[2]]
	most := 10 * 365 * 24 * time.Hour
	if !ok || number == 0 || number > int64(most/unit) {
		return fmt.Errorf("not a duration of at most ten years")
	}
	*l = Lifetime(time.Duration(number) * unit)
	return nil
}
