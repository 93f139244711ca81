package console

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"uaol/services"
)

// session is what a browser keeps for the console, each in a cookie of its own that
// scripts can't read. The server keeps nothing, so that any replica may answer.
type session struct {
	token        string // of a sign-in
	guest        string // a guest's session, without a token
	organization string // "" for the personal one
	theme        string // light or dark; "" as the browser's
}

const (
	tokenCookie        = "uaol_console"
	guestCookie        = "uaol_console_guest"
	organizationCookie = "uaol_console_organization"
	themeCookie        = "uaol_console_theme"
	saidCookie         = "uaol_console_said"   // what the next page says once
	beganCookie        = "uaol_console_begins" // the state of a sign-in with a provider
)

const (
	guestLife  = 24 * time.Hour // as auth's
	saidLife   = time.Minute
	beganLife  = 10 * time.Minute // as auth's
	keepsLooks = 365 * 24 * time.Hour
)

func (s session) known() bool { return s.token != "" || s.guest != "" }

// cookieName gets a prefix over HTTPS, by which no other host can have set the cookie.
func (c *Console) cookieName(r *http.Request, name string) string {
	if c.secure(r) {
		return "__Host-" + name
	}
	return name
}

func (c *Console) secure(r *http.Request) bool { return strings.HasPrefix(c.base(r), "https://") }

// base is the address that the browser knows us by.
func (c *Console) base(r *http.Request) string {
	return services.OriginFrom(r.Context()).Base(c.public)
}

func (c *Console) cookie(r *http.Request, name string) string {
	cookie, err := r.Cookie(c.cookieName(r, name))
	if err != nil {
		return ""
	}
	return cookie.Value
}

// keep lets the browser keep a value, or forget it if there is none. Lax, because people
// come from other pages, such as a provider's; forms of other sites send none.
func (c *Console) keep(w http.ResponseWriter, r *http.Request, name, value string, life time.Duration) {
	cookie := &http.Cookie{
		Name: c.cookieName(r, name), Value: value, Path: "/", MaxAge: int(life.Seconds()), HttpOnly: true,
		Secure: c.secure(r), SameSite: http.SameSiteLaxMode,
	}
	if value == "" {
		cookie.MaxAge = -1
	}
	http.SetCookie(w, cookie)
}

func (c *Console) session(r *http.Request) session {
	return session{
		token: c.cookie(r, tokenCookie), guest: c.cookie(r, guestCookie),
		organization: c.cookie(r, organizationCookie), theme: c.cookie(r, themeCookie),
	}
}

// lifeOf is how long a token counts, which it says itself; what is kept for longer
// would only be refused.
func lifeOf(token string) time.Duration {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return 0
	}
	var claims struct {
		Expires int64 `json:"exp"`
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(text, &claims) != nil {
		return 0
	}
	return time.Until(time.Unix(claims.Expires, 0))
}

// say keeps a text for the next page.
func (c *Console) say(w http.ResponseWriter, r *http.Request, text string) {
	c.keep(w, r, saidCookie, base64.RawURLEncoding.EncodeToString([]byte(text)), saidLife)
}

// said gives the text that was kept for this page, and forgets it.
func (c *Console) said(w http.ResponseWriter, r *http.Request) string {
	value := c.cookie(r, saidCookie)
	if value == "" {
		return ""
	}
	c.keep(w, r, saidCookie, "", 0)
	text, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil {
		return ""
	}
	return string(text)
}
