// Package demo shows UAOL's main job on an empty machine, and checks that what
// it shows is true: somebody registers, registers an MCP tool, an admin
// approves it, a workflow calls it, the result is stored and the credits are
// charged.
package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.uber.org/fx"

	"uaol/app"
	"uaol/app/client"
	"uaol/providers/config"
	"uaol/providers/httpserver"
)

// Options are the demo's choices.
type Options struct {
	Keep bool      // leave the server up on the usual port and data directory
	Out  io.Writer // where it tells its story
	Log  string    // least severe level that is logged
}

// stop is how long the demo's process may take to end.
const stop = 20 * time.Second

// Run runs the demo; its error says what was not as it should be. With Keep it
// returns when its context ends.
func Run(ctx context.Context, env *config.Environment, o Options) (err error) {
	tools, err := startToolServer()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tools.close()) }()
	settings, cleanup, err := prepare(env, o, strings.TrimPrefix(strings.TrimSuffix(tools.url, "/mcp"), "http://"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cleanup()) }()

	say(o.Out, "Starting UAOL: seven services and a private PostgreSQL in one process …")
	begun := time.Now()
	var server *httpserver.Server
	process := fx.New(app.Options(settings), fx.Populate(&server), fx.StartTimeout(time.Hour), fx.StopTimeout(stop))
	if err := process.Err(); err != nil {
		return err
	}
	if err := process.Start(ctx); err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stop)
		defer cancel()
		err = errors.Join(err, process.Stop(ctx))
	}()
	_, port, err := net.SplitHostPort(server.Addr().String())
	if err != nil {
		return err
	}
	base := "http://127.0.0.1:" + port
	say(o.Out, "  up at %s after %s", base, since(begun))

	adminKey, _ := settings.Lookup("UAOL_ADMIN_API_KEY")
	s := &story{out: o.Out, user: client.Client{Base: base}, admin: client.Client{Base: base, Key: adminKey}, tools: tools}
	if err := s.tell(ctx); err != nil {
		return err
	}
	say(o.Out, "\nAll of it was true: results, order, side by side, and every credit. (%s in all)", since(begun))
	if !o.Keep {
		return nil
	}
	if err := s.next(ctx, base); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// prepare chooses the demo's settings. Without Keep nothing of the machine's is
// used or left behind: a directory of its own, a free port, and only those of
// the environment's settings that a machine may need.
func prepare(env *config.Environment, o Options, toolAddress string) (*config.Environment, func() error, error) {
	values := map[string]string{
		"UAOL_ADMIN_EMAIL":      "admin@demo.example",
		"UAOL_ADMIN_API_KEY":    "uaol_demo_" + rand.Text() + rand.Text(),
		"RATE_LIMIT_PER_MINUTE": "100000",
		"LOG_LEVEL":             o.Log,
		"TOOL_EGRESS_ALLOW":     toolAddress,
	}
	if o.Keep {
		// A second run makes another admin account: keys can't be told again.
		values["UAOL_ADMIN_EMAIL"] = "admin-" + strings.ToLower(rand.Text()[:6]) + "@demo.example"
		if allowed, ok := env.Lookup("TOOL_EGRESS_ALLOW"); ok {
			values["TOOL_EGRESS_ALLOW"] += "," + allowed
		}
		return env.With(values), func() error { return nil }, nil
	}
	dir, err := os.MkdirTemp("", "uaol-demo-")
	if err != nil {
		return nil, nil, err
	}
	cleanup := func() error { return os.RemoveAll(dir) }
	// PostgreSQL runs as another user when we are root, and must get there.
	if err := os.Chmod(dir, 0o711); err != nil {
		return nil, nil, errors.Join(err, cleanup())
	}
	values["UAOL_DATA_DIR"] = filepath.Join(dir, "data")
	values["UAOL_ADDR"] = "127.0.0.1:0"
	for _, name := range []string{"UAOL_POSTGRES_ARCHIVE", "LOG_FORMAT"} {
		if value, ok := env.Lookup(name); ok {
			values[name] = value
		}
	}
	return config.Of(values), cleanup, nil
}

func say(out io.Writer, format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) }

func since(begun time.Time) string { return time.Since(begun).Round(time.Millisecond).String() }
