package oauth

import (
	"context"
	"crypto/rand"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"uaol/services"
)

// visit is what a browser is known by while somebody decides: it is sealed into a
// cookie. Nothing of it is stored here.
type visit struct {
	Browser string    `json:"b"`          // random: tickets count in this browser alone
	Session uuid.UUID `json:"s,omitzero"` // of who has signed in here
	Said    string    `json:"m,omitempty"`
	Until   time.Time `json:"u"`
}

// ticket stands in each form. It says what was shown, and by whom it was asked for:
// nobody else's page can have one that counts in this browser.
type ticket struct {
	Query   string    `json:"q"`
	Session uuid.UUID `json:"s,omitzero"` // whose the form was
	Until   time.Time `json:"u"`
}

const (
	// deciding is how long somebody may take to sign in and to decide.
	deciding = 10 * time.Minute
	// cookieName gets a prefix over HTTPS, by which no other host can have set it.
	cookieName = "uaol_oauth"
)

// openVisit reads a browser's cookie; a new visit when there is none that counts.
func (s *Service) openVisit(cookie string) visit {
	var v visit
	if s.ring.OpenText(cookie, "oauth visit", &v) && v.Browser != "" && time.Now().Before(v.Until) {
		return v
	}
	return visit{Browser: rand.Text()}
}

// cookie is the visit as its browser keeps it. Lax, because people come from programs'
// and providers' pages; forms of other sites send none.
func (s *Service) cookie(ctx context.Context, v visit) *http.Cookie {
	v.Until = time.Now().Add(deciding)
	return &http.Cookie{
		Name: s.CookieName(ctx), Value: s.ring.SealText(v, "oauth visit"), Path: "/", MaxAge: int(deciding.Seconds()), HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: strings.HasPrefix(s.Base(ctx), "https://"),
	}
}

// CookieName is what the cookie is called by this request's client.
func (s *Service) CookieName(ctx context.Context) string {
	if strings.HasPrefix(s.Base(ctx), "https://") {
		return "__Host-" + cookieName
	}
	return cookieName
}

// SignedIn is the cookie for a browser in which somebody has just signed in with a
// provider, or failed to, as said tells.
func (s *Service) SignedIn(ctx context.Context, cookie string, session uuid.UUID, said string) *http.Cookie {
	v := s.openVisit(cookie)
	v.Session, v.Said = session, said
	return s.cookie(ctx, v)
}

// ticket makes one for a form that is shown to this visit.
func (s *Service) ticket(v visit, query string) string {
	return s.ring.SealText(ticket{Query: query, Session: v.Session, Until: time.Now().Add(deciding)}, "oauth ticket "+v.Browser)
}

var errTicket = services.Errorf(services.Forbidden, "This page is too old, or belongs to another browser. Go back to the program and begin again")

// openTicket reads a form's; kind Forbidden unless this browser was shown the form, and
// not too long ago.
func (s *Service) openTicket(v visit, text string) (ticket, error) {
	var t ticket
	if !s.ring.OpenText(text, "oauth ticket "+v.Browser, &t) || time.Now().After(t.Until) {
		return ticket{}, errTicket
	}
	return t, nil
}

// openDecision is openTicket for what somebody decides: it was shown to who has signed
// in here now.
func (s *Service) openDecision(v visit, text string) (ticket, error) {
	t, err := s.openTicket(v, text)
	if err == nil && (t.Session == uuid.Nil || t.Session != v.Session) {
		err = errTicket
	}
	return t, err
}
