package console

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"go.uber.org/zap"

	"uaol/providers/api"
	"uaol/services"
)

// failed tells what went wrong, and what to do next.
func (v *visit) failed(err error) {
	if v.r.Context().Err() != nil {
		return // nobody listens
	}
	limited := isKind(err, services.Limited)
	if limited {
		v.w.Header().Set("Retry-After", strconv.Itoa(api.RetryAfter(err)))
	}
	inPlace := v.r.Method == http.MethodPost && v.r.Header.Get("HX-Request") != ""
	switch {
	case v.r.Header.Get("Accept") == "application/json": // a script of ours
		v.failedScript(err)
		return
	case isKind(err, services.Unauthenticated) && !inPlace: // or what was typed would be lost
		v.signIn(err)
		return
	}
	v.noteFailure(err)
	said := problemOf(err)
	if v.nearest != "" {
		said.Next = advice{"Nothing was done.", v.nearest, "Go to the page above it"}
	}
	again := 0
	if limited && v.r.Method == http.MethodGet && v.r.Header.Get("HX-Request") == "" {
		again = api.RetryAfter(err)
		said.Next = advice{"Requests are limited per minute: this page opens by itself in " + plural(again, "second") + ".", "", ""}
	}
	shown := view{Template: "error", Title: "That did not work", Status: api.StatusOf(err), Data: said, Again: again}
	if renderErr := v.render(shown); renderErr != nil {
		v.console.log.Error("page", zap.Error(renderErr))
		http.Error(v.w, messageOf(err), api.StatusOf(err))
	}
}

// failedScript tells a script what went wrong.
func (v *visit) failedScript(err error) {
	v.noteFailure(err)
	v.w.Header().Set("Content-Type", "application/json")
	v.w.WriteHeader(api.StatusOf(err))
	_ = json.NewEncoder(v.w).Encode(map[string]string{"problem": messageOf(err)}) // whoever left does not mind
}

// noteFailure logs what is the server's fault.
func (v *visit) noteFailure(err error) {
	if api.StatusOf(err) >= http.StatusInternalServerError && v.r.Context().Err() == nil {
		v.console.log.Warn("page", zap.String("path", v.r.URL.Path), zap.String("request", services.RequestID(v.r.Context())), zap.Error(err))
	}
}

// signIn sends the browser to where one signs in, and back here afterwards.
func (v *visit) signIn(err error) {
	c := v.console
	said := ""
	if v.session.token != "" && !errors.Is(err, errSignIn) {
		c.keep(v.w, v.r, tokenCookie, "", 0)
		said = "Your sign-in has ended. Please sign in again."
	}
	back := ""
	if v.r.Method == http.MethodGet && v.r.Header.Get("HX-Request") == "" {
		back = v.r.URL.RequestURI()
	}
	_ = v.to(path(some("next", back), "console", "sign-in"), said)
}
