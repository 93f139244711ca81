package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"uaol/app"
	"uaol/providers/config"
	"uaol/providers/httpserver"
)

// inviting is how long a server that has just started tries to make a link to its console.
const inviting = 30 * time.Second

// invitation is what a person is told who may sign in to the console by a link.
func invitation(link, email string) string {
	return fmt.Sprintf("Open %s to sign in to the console as %s (once, within 10 minutes)", link, email)
}

// invite tells whoever has started the data directory's server how to sign in to its
// console. Without that the server is as good; nothing is said once it shall stop.
func invite(ctx context.Context, cmd *cobra.Command, env *config.Environment, base string) {
	within, cancel := context.WithTimeout(ctx, inviting)
	defer cancel()
	link, err := operatorsLink(within, cmd, env, base)
	switch {
	case err == nil:
		fmt.Fprintln(cmd.ErrOrStderr(), invitation(link, operator))
	case ctx.Err() == nil:
		fmt.Fprintf(cmd.ErrOrStderr(), "No link to the console could be made (%v); `uaol admin link --email ADDRESS` makes one for an account.\n", app.Explain(err))
	}
}

// operatorsLink gets a link from the server itself, as any other client would.
func operatorsLink(ctx context.Context, cmd *cobra.Command, env *config.Environment, base string) (link string, err error) {
	here, err := newLocal(cmd, env)
	if err != nil {
		return "", err
	}
	c := &client{base: base}
	if err := here.only(ctx, c); err != nil {
		return "", err
	}
	defer c.http.CloseIdleConnections()
	if c.key, err = here.knownKey(ctx, c); err != nil {
		return "", err
	}
	named, err := url.Parse(spoken(base))
	if err != nil {
		return "", err
	}
	c.host = named.Host
	var made struct {
		URL string `json:"url"`
	}
	err = c.do(ctx, http.MethodPost, "/auth/links", nil, &made)
	return made.URL, err
}

// consoleBase is where a person on this machine finds the console: at the address that the
// operator has set, or at the data directory's server, wherever that listens; where none
// runs, where it would.
func consoleBase(ctx context.Context, cmd *cobra.Command) (string, error) {
	env, err := config.Read()
	if err != nil {
		return "", err
	}
	server, err := config.Parse[httpserver.Config](env)
	if err != nil || server.Public != "" {
		return server.Public, err
	}
	here, err := newLocal(cmd, env)
	if err != nil {
		return "", err
	}
	c := &client{base: here.place.Address()}
	if c.base == "" || here.only(ctx, c) != nil { // what it says may be old, and somebody else's by now
		ready, err := app.ReadyURL(env)
		if err != nil {
			return "", err
		}
		c.base = strings.TrimSuffix(ready, "/readyz")
	}
	return spoken(c.base), nil
}

// spoken is a server's address as people on its machine write it.
func spoken(base string) string {
	at, err := url.Parse(base)
	if err != nil || at.Hostname() != "127.0.0.1" && at.Hostname() != "::1" {
		return base
	}
	at.Host = net.JoinHostPort("localhost", at.Port())
	return at.String()
}
