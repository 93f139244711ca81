package mail

import (
	"net"
	"net/mail"
	"net/url"
	"strconv"
	"strings"
	"unicode"

	"uaol/providers/config"
)

// Config is how mail leaves. Without it none does, and whatever needs mail says so.
type Config struct {
	URL  string `env:"SMTP_URL" secret:"true" want:"smtp://user:password@host:587 or smtps://host:465" doc:"mail server, such as smtp://user:password@host:587 or smtps://host:465; ?tls=required (default), starttls (if it offers it) or none; a server on this machine needs no TLS"`
	From string `env:"SMTP_FROM" want:"an e-mail address such as UAOL <no-reply@example.com>" doc:"sender of the mail, such as UAOL <no-reply@example.com>; needed with SMTP_URL"`
}

// Check judges the URL and the sender.
func (c *Config) Check() error {
	if c.URL == "" {
		return nil
	}
	if _, err := readServer(c.URL); err != nil {
		return err
	}
	if _, err := mail.ParseAddress(c.From); err != nil || strings.ContainsFunc(c.From, unicode.IsControl) {
		return &config.Fault{Variable: "SMTP_FROM", Value: c.From, Want: "an e-mail address such as UAOL <no-reply@example.com>, because SMTP_URL is set"}
	}
	return nil
}

// security says how a connection is encrypted.
type security string

const (
	implicit security = "implicit" // TLS from the first byte
	required security = "required" // STARTTLS, or no mail
	offered  security = "starttls" // STARTTLS if the server offers it
	none     security = "none"
)

// server is what SMTP_URL says.
type server struct {
	host           string
	port           int
	user, password string
	security       security
}

// readServer takes the URL apart; its faults never show the password.
func readServer(text string) (server, error) {
	wants := func(want string) error {
		return &config.Fault{Variable: "SMTP_URL", Value: text, Secret: true, Want: want}
	}
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.Path != "" && u.Path != "/" || u.Fragment != "" {
		return server{}, wants("smtp://user:password@host:587 or smtps://host:465, with what is special in the password escaped (%40 for @)")
	}
	s := server{host: u.Hostname(), user: u.User.Username()}
	s.password, _ = u.User.Password()
	switch u.Scheme {
	case "smtp":
		s.port, s.security = 587, required
		if loopback(s.host) {
			s.security = none
		}
	case "smtps":
		s.port, s.security = 465, implicit
	default:
		return server{}, wants("a URL that begins with smtp:// or smtps://")
	}
	if text := u.Port(); text != "" {
		if s.port, err = strconv.Atoi(text); err != nil || s.port < 1 || s.port > 65535 {
			return server{}, wants("a port from 1 to 65535")
		}
	}
	for name, values := range u.Query() {
		if name != "tls" || u.Scheme != "smtp" || len(values) != 1 {
			return server{}, wants("no option but ?tls=required, starttls or none, with smtp:// alone")
		}
		switch s.security = security(values[0]); s.security {
		case required, offered, none:
		default:
			return server{}, wants("tls=required, starttls or none")
		}
	}
	if s.password != "" && s.security == none && !loopback(s.host) {
		return server{}, wants("no password when tls=none: everybody on the way could read it")
	}
	return s, nil
}

// loopback reports whether a host is this machine.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
