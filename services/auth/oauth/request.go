package oauth

import (
	"context"
	"encoding/base64"
	"errors"
	"net/url"
	"slices"
	"strings"
)

// Request is what a program asks somebody for, once it is known to be good.
type Request struct {
	Redirect  string // where it is answered to
	State     string // that it wants back
	Challenge string // PKCE, S256
	Resource  string // the URL that tokens shall be for
	Scopes    string
}

// MaxQuery bounds a request, in bytes: it has to fit into an address, and into the
// cookies and tickets that carry it along.
const MaxQuery = 4096

// errorAt is a refusal that the program may hear of itself: it and its address are
// known to be good.
type errorAt struct {
	*Refusal
	redirect, state string
}

func (e *errorAt) Unwrap() error { return e.Refusal }

// read judges a request. What is wrong with the program or its address is shown to
// whoever sits there, and nobody is sent anywhere; all else is an errorAt.
func (s *Service) read(ctx context.Context, raw string) (Client, Request, error) {
	query, err := readQuery(raw)
	if err != nil {
		return Client{}, Request{}, err
	}
	id := query.Get("client_id")
	if id == "" {
		return Client{}, Request{}, refuse(codeInvalidRequest, "client_id is missing")
	}
	client, err := s.client(ctx, id)
	if err != nil {
		return Client{}, Request{}, err
	}
	request, err := client.request(query, s.Base(ctx))
	return client, request, err
}

// readQuery reads parameters, of which each may be there once (RFC 6749, section 3.1).
// The first error of several is the one that is told.
func readQuery(raw string) (url.Values, error) {
	if len(raw) > MaxQuery {
		return nil, refuse(codeInvalidRequest, "The request is longer than %d bytes", MaxQuery)
	}
	query, err := url.ParseQuery(raw)
	if err != nil {
		return nil, refuse(codeInvalidRequest, "The request can't be read")
	}
	// Of these two the answer's address depends: with two of one kind nobody knows it.
	for _, name := range []string{"client_id", "redirect_uri"} {
		if len(query[name]) > 1 {
			return nil, refuse(codeInvalidRequest, "%s is there twice", name)
		}
	}
	return query, nil
}

// request judges what this program asks for, of who knows us by an address.
func (c Client) request(query url.Values, base string) (Request, error) {
	redirect, ok := c.redirect(query.Get("redirect_uri"))
	if !ok {
		return Request{}, refuse(codeInvalidRequest, "redirect_uri is none of those that the program has registered")
	}
	request := Request{Redirect: redirect, State: query.Get("state"), Challenge: query.Get("code_challenge")}
	told := func(refusal *Refusal) (Request, error) {
		return Request{}, &errorAt{refusal, redirect, request.State}
	}
	for name, values := range query {
		if name != "resource" && len(values) > 1 {
			return told(refuse(codeInvalidRequest, "A parameter is there twice"))
		}
	}
	resources := slices.Compact(slices.Clone(query["resource"]))
	switch {
	case query.Has("request"):
		return told(refuse("request_not_supported", "Parameters are taken from the query alone"))
	case query.Has("request_uri"):
		return told(refuse("request_uri_not_supported", "Parameters are taken from the query alone"))
	case query.Get("response_type") != "code":
		return told(refuse(codeUnsupported, "response_type must be code"))
	case query.Has("response_mode") && query.Get("response_mode") != "query":
		return told(refuse(codeInvalidRequest, "response_mode must be query"))
	case request.Challenge == "" || query.Get("code_challenge_method") != "S256":
		return told(refuse(codeInvalidRequest, "PKCE is needed: code_challenge, with code_challenge_method=S256"))
	case !isChallenge(request.Challenge):
		return told(refuse(codeInvalidRequest, "code_challenge is not the SHA-256 of anything, in base64url"))
	case len(resources) > 1:
		return told(refuse(codeInvalidTarget, "A token is for one resource"))
	}
	if request.Resource, ok = resourceOf(base, query.Get("resource")); !ok {
		return told(refuse(codeInvalidTarget, "resource must be %s or below it", base+Family))
	}
	if request.Scopes, ok = scopesOf(query.Get("scope")); !ok {
		return told(refuse(codeInvalidScope, "The scope that can be asked for is %s", Scope))
	}
	return request, nil
}

// isChallenge reports whether a text may be a SHA-256 in base64url.
func isChallenge(text string) bool {
	sum, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return err == nil && len(sum) == 32
}

// scopesOf are those that are granted of what is asked for; false when that is nothing
// of ours. Without any, all is meant.
func scopesOf(said string) (granted string, ok bool) {
	asked := slices.DeleteFunc(strings.Fields(said), func(scope string) bool { return scope == offline })
	if len(asked) == 0 {
		return Scope, true
	}
	granted = Known(asked)
	return granted, granted != ""
}

// answer is where to send the browser with an answer (RFC 6749, section 4.1.2, and RFC
// 9207): the address as it was registered, and our parameters behind its own.
func answer(redirect, state, issuer string, more url.Values) string {
	if state != "" {
		more.Set("state", state)
	}
	more.Set("iss", issuer)
	separator := "?"
	if strings.Contains(redirect, "?") {
		separator = "&"
	}
	return redirect + separator + more.Encode()
}

// Told gives the address at which the program hears of an error, if it may.
func (s *Service) Told(ctx context.Context, err error) (to string, ok bool) {
	var at *errorAt
	if !errors.As(err, &at) {
		return "", false
	}
	return answer(at.redirect, at.state, s.Base(ctx), url.Values{"error": {at.Code}, "error_description": {at.Description}}), true
}
