// Package console is UAOL's pages for people, at /console. It is a client of the public
// API like any other: all that it shows or does goes through the router's own operations,
// with the credentials of who looks, so that it can do nothing that they could not do
// from a terminal.
//
// A page is a function of a visit that answers with a template (see routes.go); what a
// page has to say stands in templates/, how it looks and moves in assets/. Everything can
// be read without scripts. What is live is a part of a page that is rendered again and
// sent as a server-sent event (live.go).
package console
