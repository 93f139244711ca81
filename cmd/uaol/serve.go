package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"uaol/app"
	"uaol/providers/config"
	"uaol/providers/instance"
	"uaol/providers/memory"
	"uaol/providers/postgres"
	"uaol/services"
)

func newServe() *cobra.Command {
	var addr string
	var seat uint
	command := &cobra.Command{
		Use:   "serve [service…]",
		Short: "Run services in this process: all of them, or the ones named",
		Long: `Run services in this process until it is told to stop (SIGTERM, Ctrl-C).

The services are gateway, auth, registry, proxy, jobs, billing and storage;
without a name all of them run. They share one listener, on the port of the
first of them. A service that does not run here is reached at its
UAOL_<SERVICE>_URL, with the UAOL_SERVICE_SECRET that all processes share.

A server that "uaol mcp" has started on the same data directory gives way to one
that runs all of them; the clients of the one go on at the other.

One that runs all of them on its data directory's own database, and is not in
production, prints a link that signs in to its console as operator@localhost, whom
it makes an admin.`,
		Example: `  uaol serve
  uaol serve gateway auth
  uaol serve jobs --addr 127.0.0.1:8003`,
		RunE: func(cmd *cobra.Command, names []string) error {
			set, err := app.ParseSet(names)
			if err != nil {
				return err
			}
			env, err := config.Read()
			if err != nil {
				return err
			}
			if addr != "" {
				env = env.With(map[string]string{"UAOL_ADDR": addr})
			}
			memory.Use(env.Lookup)
			if seat > 0 {
				return serveUsers(cmd.Context(), env, uintptr(seat))
			}
			return serve(cmd, env, set)
		},
	}
	command.Flags().StringVar(&addr, "addr", "", "address to listen on, such as :8080 or 127.0.0.1:0")
	command.Flags().UintVar(&seat, "seat", 0, "number of the open file that is the data directory's seat: serve those who use it, and end when nobody does")
	_ = command.Flags().MarkHidden("seat") // `uaol mcp` alone has one to give; the flag is there
	return command
}

// serve runs services for whoever started it. One that runs all of them on the data
// directory's own database is the one that commands and clients find by it.
func serve(cmd *cobra.Command, env *config.Environment, set []services.Name) error {
	quietly := func(context.Context, net.Addr) {}
	cfg, err := config.Parse[postgres.Config](env)
	if err != nil || !cfg.Embedded() || !whole(set) {
		return app.Serve(cmd.Context(), env, set, quietly)
	}
	ctx, cancel := context.WithTimeoutCause(cmd.Context(), givingWay, errors.New("the server that `uaol mcp` has started does not end"))
	defer cancel()
	seat, err := instance.At(cfg.DataDir).Claim(ctx, func() {
		fmt.Fprintln(cmd.ErrOrStderr(), "Waiting for the server that `uaol mcp` has started here to end.")
	})
	if err != nil {
		return err
	}
	if seat == nil { // another one stays, and the database will say so
		return app.Serve(cmd.Context(), env, set, quietly)
	}
	defer seat.Leave()
	return app.Serve(cmd.Context(), env, set, func(ctx context.Context, at net.Addr) {
		base := announce(env, seat, at)
		if base != "" && !cfg.Production() {
			invite(ctx, cmd, env, base)
		}
	})
}

// givingWay is longer than a server takes to end.
const givingWay = time.Minute

func whole(set []services.Name) bool {
	return len(set) == 0 || !slices.ContainsFunc(app.Services(), func(name services.Name) bool { return !slices.Contains(set, name) })
}

// announce writes down where the server listens, as this machine reaches it.
func announce(env *config.Environment, seat *instance.Seat, at net.Addr) (base string) {
	scheme := "http"
	if secure, err := app.LocalTLS(env); err != nil || secure != nil {
		scheme = "https"
	}
	host, port, err := net.SplitHostPort(at.String())
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	if err != nil {
		return ""
	}
	base = scheme + "://" + net.JoinHostPort(host, port)
	_ = seat.Say(base) // then it is looked for at its usual address
	return base
}

// serveUsers serves those who use the data directory, on a free port of this machine
// alone, until nobody has done so for a while or a server that stays wants its place.
func serveUsers(ctx context.Context, env *config.Environment, fd uintptr) error {
	seat, err := instance.Inherit(fd)
	if err != nil {
		return err
	}
	defer seat.Leave()
	process, err := config.Parse[config.Process](env)
	if err != nil {
		return err
	}
	remote, err := config.Parse[app.Remote](env)
	if err != nil {
		return err
	}
	env = env.With(privately(env, "warn"))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer cancel()
		untilUnused(ctx, instance.At(process.DataDir), remote.Linger)
	}()
	return app.Serve(ctx, env, nil, func(_ context.Context, at net.Addr) { announce(env, seat, at) })
}

// privately are the settings of a server for commands alone.
func privately(env *config.Environment, level string) map[string]string {
	settings := map[string]string{"UAOL_ADDR": "127.0.0.1:0", "UAOL_TLS_CERT": "", "UAOL_TLS_KEY": "", "UAOL_ADMIN_ADDR": "", "RATE_LIMIT_PER_MINUTE": "1000000"}
	if _, set := env.Lookup("LOG_LEVEL"); !set {
		settings["LOG_LEVEL"] = level
	}
	return settings
}

const lookEvery = 200 * time.Millisecond

// untilUnused returns when nobody has used the place for a while, or somebody claims it.
func untilUnused(ctx context.Context, place instance.Place, linger time.Duration) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	used := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if claimed, err := place.Claimed(); err == nil && claimed {
			return
		}
		if inUse, err := place.Used(); err != nil || inUse {
			used = time.Now()
		}
		if time.Since(used) > linger {
			return
		}
	}
}
