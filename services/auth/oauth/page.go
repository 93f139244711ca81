package oauth

import (
	"bytes"
	_ "embed"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/uuid"

	"uaol/providers/api"
	pages "uaol/providers/page"
	"uaol/services"
)

//go:embed page.html
var pageFrame string

//go:embed page.css
var pageStyle string

var pageTemplate = template.Must(template.New("page").Parse(strings.Replace(pageFrame, "/*style*/", pageStyle, 1)))

// pageData is what a page says. Everything of it may be a stranger's word: the template
// writes it so that it stays text.
type pageData struct {
	Kind    string // sign-in, consent or problem
	Title   string
	Problem string
	Ticket  string
	Name    string
	Email   string

	Providers []providerLink

	ClientHost    string
	RedirectHost  string
	Resource      string
	Local         bool
	Organizations []choice

	Text, Detail string
}

type providerLink struct{ Title, Link string }

type choice struct {
	ID     uuid.UUID
	Name   string
	Note   string
	Chosen bool
}

// page is what is sent to a browser.
type page struct {
	status  int
	data    pageData
	targets []string // where its forms may lead to, beside our own pages
}

// asked is the page for a screen.
func (s *Service) asked(base string, at screen) page {
	data := pageData{Name: at.client.Name, Problem: at.problem, Ticket: s.ticket(at.visit, at.query)}
	if at.person.Account == uuid.Nil {
		data.Kind, data.Title = "sign-in", "Sign in"
		for _, p := range s.host.Providers(base) {
			data.Providers = append(data.Providers, providerLink{p.Title, "../auth/" + p.Name + "?authorize=" + url.QueryEscape(at.query)})
		}
		return page{http.StatusOK, data, nil}
	}
	data.Kind, data.Title = "consent", "Let "+at.client.Name+" in?"
	data.Email, data.ClientHost, data.Resource = at.person.Email, at.client.Host(), at.request.Resource
	if u, err := url.Parse(at.request.Redirect); err == nil {
		data.RedirectHost, data.Local = u.Host, isLoopback(u)
	}
	for i, o := range at.organizations {
		one := choice{ID: o.ID, Name: o.Name, Note: "as its " + string(o.Role), Chosen: len(at.organizations) == 1 && i == 0}
		if o.Personal {
			one.Name, one.Note = "Yourself", "your personal organisation"
		}
		data.Organizations = append(data.Organizations, one)
	}
	return page{http.StatusOK, data, []string{originOf(at.request.Redirect)}}
}

// originOf is where an address leads, in the form that a policy takes: browsers hold
// form-action against redirects that follow, too.
func originOf(address string) string {
	u, err := url.Parse(address)
	if err != nil || strings.ContainsAny(u.Host, "[];, '\"") { // an IPv6 address has no form there
		return "http:"
	}
	return u.Scheme + "://" + u.Host
}

// failed is the page that tells somebody why it does not go on. No program hears of it:
// who asked is not known, or its address is not.
func failed(err error) page {
	data := pageData{Kind: "problem", Title: "This does not go on", Text: "The program that sent you here asked in a way that can’t be answered. Go back to it; nothing was given away."}
	var refusal *Refusal
	if errors.As(err, &refusal) {
		data.Detail = refusal.Description
		return page{http.StatusBadRequest, data, nil}
	}
	data.Text = api.MessageOf(err) + "."
	return page{api.StatusOf(err), data, nil}
}

// write renders it. Nothing of it is kept: it holds tickets.
func (p page) write(w http.ResponseWriter) {
	var text bytes.Buffer
	if err := pageTemplate.Execute(&text, p.data); err != nil { // its fields are all there
		http.Error(w, "The page could not be made", http.StatusInternalServerError)
		return
	}
	for name, values := range pages.Form(pageStyle, p.targets...) {
		w.Header()[name] = values
	}
	w.WriteHeader(p.status)
	_, _ = w.Write(text.Bytes())
}

// signInProblem is what the form says after a sign-in that failed, and with which
// status; "" for what is no matter of who signs in.
func signInProblem(err error) (text string, status int) {
	switch services.KindOf(err) {
	case services.Unauthenticated:
		return "E-mail and password don’t match.", http.StatusUnauthorized
	case services.Limited:
		return api.MessageOf(err) + ".", http.StatusTooManyRequests
	}
	return "", 0
}
