package credentials

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"
	"golang.org/x/oauth2"

	"uaol/services"
)

// tokens is what is sealed of a grant.
type tokens struct {
	Access  string     `json:"access"`
	Refresh string     `json:"refresh,omitempty"`
	Server  authServer `json:"server"`
}

func (g grant) bond() string {
	return "tool grant:" + g.Tool.String() + ":" + string(g.Scope) + ":" + g.Holder.String() + ":" + g.Bound
}

func (s *Service) open(g grant) (t tokens, err error) {
	text, err := s.ring.Open(g.Sealed, g.bond())
	if err == nil {
		err = json.Unmarshal(text, &t)
	}
	return t, err
}

// filled is the grant with tokens in it.
func (s *Service) filled(g grant, token *oauth2.Token, server authServer, asked []string) (grant, error) {
	text, err := json.Marshal(tokens{Access: token.AccessToken, Refresh: token.RefreshToken, Server: server})
	g.Sealed = s.ring.Seal(text, g.bond())
	g.Scopes = strings.Join(asked, " ")
	if scopes, ok := token.Extra("scope").(string); ok && scopes != "" {
		g.Scopes = printable(scopes)
	}
	return g, err
}

// printable is a server's text as it can be stored and shown.
func printable(text string) string {
	text = text[:min(len(text), 2000)]
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, text)
}

// boundTo is what of a definition a grant is given to. When any of it changes,
// what was given counts no more: neither the token, nor the refresh token.
func boundTo(tool Tool) string {
	o := *tool.OAuth
	parts := []string{originOf(tool.GatewayURL), o.Grant, o.ClientID, o.AuthorizeURL, o.TokenURL, o.Resource}
	if o.Grant == clientCredentials {
		parts = append(parts, o.Scopes...)
	}
	return strings.Join(parts, "\n")
}

const (
	wait = 10 * time.Second // for another's renewal
	poll = 50 * time.Millisecond
	soon = 5 * time.Second // until a token that could not be renewed is looked at again
)

func bearer(token string) string { return "Bearer " + token }

// token gives the access token for a caller's calls of a tool, and until when it
// may be kept. Of several that need it renewed, here and in other processes, one
// renews it and the others take what came of that. A token that the tool refused
// is one that counts no more, whatever its server said of its life.
func (s *Service) token(ctx context.Context, tool Tool, caller services.Caller, refused string) (token string, until time.Time, err error) {
	deadline := time.Now().Add(wait)
	waitedFor := int64(0) // the turn that another had when this began to wait
	for again := false; ; again = true {
		if again && time.Now().After(deadline) {
			return "", until, errNoToken(tool)
		}
		g, err := s.grant(ctx, tool, caller)
		if err != nil {
			return "", until, err
		}
		if refused != "" && len(g.Sealed) > 0 && !g.Young {
			t, err := s.open(g)
			if err != nil {
				return "", until, err
			}
			if nameOf(bearer(t.Access)) == refused && (t.Refresh != "" || tool.OAuth.Grant == clientCredentials) {
				g.Fresh, g.Valid = false, false
			}
		}
		// A token that still counts is used while another is being got.
		if g.Fresh || (g.Valid && g.Leased) {
			t, err := s.open(g)
			return t.Access, g.until(), err
		}
		switch {
		case g.Leased:
			waitedFor = g.Fence
		case waitedFor > 0 && g.Failed >= waitedFor:
			return s.stale(g, errNoToken(tool))
		default:
			turn, claimed, err := s.claim(ctx, g)
			if err != nil {
				return "", until, err
			}
			if claimed {
				if err := s.renew(ctx, tool, turn); err != nil {
					return s.stale(g, err)
				}
				continue
			}
		}
		select {
		case <-ctx.Done():
			return "", until, ctx.Err()
		case <-time.After(poll):
		}
	}
}

// stale is a token that could not be renewed, while it still counts.
func (s *Service) stale(g grant, failed error) (token string, until time.Time, err error) {
	if !g.Valid || services.Is(failed, services.Invalid) {
		return "", until, failed
	}
	t, err := s.open(g)
	return t.Access, time.Now().Add(soon), err
}

// until is when a grant's token has to be asked for again.
func (g grant) until() time.Time {
	switch {
	case !g.Fresh:
		return time.Now().Add(soon)
	case g.Left == nil:
		return time.Time{}
	default:
		return time.Now().Add(time.Duration(*g.Left * float64(time.Second)))
	}
}

func errNoToken(tool Tool) error {
	return services.Errorf(services.Unavailable, "The authorization server of %s gives no token just now; try again", tool.Name)
}

// grant is the one that counts for a caller: the nearest, if it was given to
// the tool as it is now. For client credentials it may be one still to be got.
func (s *Service) grant(ctx context.Context, tool Tool, caller services.Caller) (grant, error) {
	all, err := s.repository.grants(ctx, holdersOf(tool.ID, caller))
	if err != nil {
		return grant{}, err
	}
	bound := boundTo(tool)
	if tool.OAuth.Grant == clientCredentials {
		for _, g := range all {
			if g.Scope != ofTool {
				continue
			}
			if g.Bound != bound { // of an earlier version: another is got
				g.Fresh, g.Valid = false, false
			}
			return g, nil
		}
		return grant{Tool: tool.ID, Scope: ofTool, Holder: tool.ID, Bound: bound}, nil
	}
	for _, scope := range order {
		for _, g := range all {
			if g.Scope != scope {
				continue
			}
			if g.Bound != bound {
				return grant{}, consentRequired(tool, tool.Name+" has another address or authorization server than when the consent was given; look at it and consent again")
			}
			return g, nil
		}
	}
	return grant{}, consentRequired(tool, tool.Name+" needs your consent at its authorization server")
}

func consentRequired(tool Tool, message string) error {
	return services.Errorf(services.Invalid, "%s; POST /tools/%s/authorize", message, tool.ID).
		WithCode(CodeRequired).WithDetails(Required{ToolID: tool.ID, Authorize: true})
}

// Wants is told of a tool that does not take a token because it lacks scopes.
func (t Tool) Wants(scopes []string) error {
	scopes = scopesIn(scopes)
	return services.Errorf(services.Invalid, "%s wants more than the consent covers (%s); POST /tools/%s/authorize with these scopes", t.Name, strings.Join(scopes, " "), t.ID).
		WithCode(CodeRequired).WithDetails(Required{ToolID: t.ID, Authorize: true, Scopes: scopes})
}

// Refused is told of a tool that does not take the token that was got for it.
func (t Tool) Refused() error {
	return consentRequired(t, t.Name+" does not take the token of the consent that was given")
}

// claim takes the turn to renew, for one of all processes.
func (s *Service) claim(ctx context.Context, g grant) (turn grant, claimed bool, err error) {
	turn = g
	if g.Fence == 0 {
		turn.Fence = 1
		claimed, err = s.repository.begin(ctx, turn)
		return turn, claimed, err
	}
	turn.Fence, claimed, err = s.repository.claim(ctx, g)
	return turn, claimed, err
}

// renew gets another token and writes it at once. Who asked may leave: a refresh
// token that the server has replaced must be kept. If the process is killed
// between the server's answer and the write, the lease ends by itself and the
// old refresh token is tried; a server that takes each only once then refuses
// it, and people have to consent again.
func (s *Service) renew(ctx context.Context, tool Tool, g grant) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lease-2*time.Second)
	defer cancel()
	token, server, err := s.renewal(ctx, tool, g)
	if err != nil {
		return s.gaveUp(ctx, tool, g, err)
	}
	g.Bound = boundTo(tool)
	asked := tool.OAuth.Scopes
	if tool.OAuth.Grant == authorizationCode {
		asked = strings.Fields(g.Scopes) // as granted: a renewal brings no others
	}
	filled, err := s.filled(g, token, server, asked)
	if err != nil {
		return err
	}
	written, err := s.repository.renewed(ctx, filled, lifetimeOf(token))
	if err == nil && !written {
		s.log.Warn("a token came too late: it was withdrawn, or another's turn had come", zap.Stringer("tool", tool.ID))
	}
	return err
}

// renewal is the request that brings another token.
func (s *Service) renewal(ctx context.Context, tool Tool, g grant) (token *oauth2.Token, server authServer, err error) {
	secret, err := s.clientSecret(ctx, tool)
	if err != nil {
		return nil, server, err
	}
	c, err := s.client(tool)
	if err != nil {
		return nil, server, err
	}
	defer c.close()
	if tool.OAuth.Grant == clientCredentials {
		if server, err = c.server(ctx, tool); err != nil {
			return nil, server, err
		}
		in := url.Values{"grant_type": {clientCredentials}}
		if len(tool.OAuth.Scopes) > 0 {
			in.Set("scope", strings.Join(tool.OAuth.Scopes, " "))
		}
		token, err = c.request(ctx, *tool.OAuth, server, secret, in)
		return token, server, err
	}
	held, err := s.open(g)
	if err != nil {
		return nil, server, err
	}
	if held.Refresh == "" {
		return nil, server, errEnded
	}
	token, err = c.request(ctx, *tool.OAuth, held.Server, secret, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {held.Refresh}})
	return token, held.Server, err
}

// errEnded says that a grant can't be renewed.
var errEnded = &oauth2.RetrieveError{ErrorCode: "invalid_grant"}

// gaveUp ends a turn that brought no token, and says what is to be done.
func (s *Service) gaveUp(ctx context.Context, tool Tool, g grant, failed error) error {
	code := refusal(failed)
	if code == "invalid_grant" && tool.OAuth.Grant == authorizationCode {
		if g.Valid { // it can't be renewed, but counts for another while
			return s.gaveBack(ctx, g, errNoToken(tool))
		}
		happened := changed(tool)
		if err := s.repository.end(ctx, g, happened); err != nil {
			return err
		}
		s.bus.Publish(happened)
		return consentRequired(tool, "The consent for "+tool.Name+" has ended at its authorization server")
	}
	var kind services.Kind
	switch kind = services.KindOf(failed); {
	case code != "":
		failed = services.Errorf(services.Upstream, "The authorization server of %s refuses (%s); its owner has to check the client's id and the secret %s", tool.Name, code, clientSecret).
			Because(told(failed))
	case kind == services.Internal:
		failed = services.Errorf(services.Unavailable, "The authorization server of %s gives no token just now; try again", tool.Name).Because(told(failed))
	}
	return s.gaveBack(ctx, g, failed)
}

func (s *Service) gaveBack(ctx context.Context, g grant, failed error) error {
	if err := s.repository.failed(ctx, g); err != nil {
		return err
	}
	return failed
}

// clientSecret is the tool's own; "" for a public client.
func (s *Service) clientSecret(ctx context.Context, tool Tool) (string, error) {
	rows, err := s.repository.secrets(ctx, holders{tool: tool.ID, organization: uuid.Nil, user: uuid.Nil})
	if err != nil {
		return "", err
	}
	row, found := nearest(rows, tool, clientSecret)
	switch {
	case found && !row.goesTo(tool):
		return "", Required{ToolID: tool.ID, Changed: []string{clientSecret}}.error(tool)
	case found:
		return s.store.get(ctx, row.place, row.Sealed)
	}
	if tool.OAuth.Grant == clientCredentials {
		return "", Required{ToolID: tool.ID, Missing: []string{clientSecret}}.error(tool)
	}
	return "", nil
}
