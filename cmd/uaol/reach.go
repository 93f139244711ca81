package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/fx"

	"uaol/app"
	"uaol/providers/config"
	"uaol/providers/httpserver"
	"uaol/providers/instance"
	"uaol/providers/peers"
	"uaol/providers/postgres"
	"uaol/services"
	"uaol/services/auth"
)

// operator is the admin that commands act as on this machine's own data directory.
const operator = "operator@localhost"

// stopping is how long a server that a command started for itself may take to end.
const stopping = 20 * time.Second

// remoteFlags are what every command that talks to a server takes.
type remoteFlags struct{ server, key string }

func (f *remoteFlags) add(command *cobra.Command) {
	command.PersistentFlags().StringVar(&f.server, "server", "", "the server's URL (UAOL_URL); default: the one on this machine, or one of its own")
	command.PersistentFlags().StringVar(&f.key, "key", "", "API key (UAOL_API_KEY, which other users of this machine do not see)")
}

// with runs f with a client of the server that is meant: the one named, the one
// on this machine, or, when none runs, one that lasts as long as f.
func (r remoteFlags) with(cmd *cobra.Command, f func(ctx context.Context, c *client) error) (err error) {
	ctx, cancel := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	env, remote, err := r.settings()
	if err != nil {
		return err
	}
	if remote.URL != "" {
		c, err := named(remote)
		if err != nil {
			return err
		}
		return f(ctx, c)
	}
	here, err := newLocal(cmd, env)
	if err != nil {
		return err
	}
	c, err := here.running(ctx, remote.Key)
	if err != nil {
		return err
	}
	if c != nil {
		release, err := here.place.Use(ctx)
		if err != nil {
			return err
		}
		defer release()
		return f(ctx, c)
	}
	if err := here.mayStart(); err != nil {
		return err
	}
	return here.start(ctx, &client{key: remote.Key}, f)
}

// settings are those of this process with what the flags say.
func (r remoteFlags) settings() (*config.Environment, app.Remote, error) {
	env, err := config.Read()
	if err != nil {
		return nil, app.Remote{}, err
	}
	env = env.With(given(map[string]string{"UAOL_URL": r.server, "UAOL_API_KEY": r.key}))
	remote, err := config.Parse[app.Remote](env)
	return env, remote, err
}

// named gives a client of a server that was named.
func named(remote app.Remote) (*client, error) {
	if remote.Key == "" {
		return nil, fmt.Errorf("an API key of %s is needed: set UAOL_API_KEY", remote.URL)
	}
	return &client{base: remote.URL, key: remote.Key}, nil
}

func given(values map[string]string) map[string]string {
	for name, value := range values {
		if value == "" {
			delete(values, name)
		}
	}
	return values
}

// isUAOL reports whether what answers looks like a server of ours, which anybody's can.
func isUAOL(ctx context.Context, env *config.Environment, ready string) bool {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	ask, err := app.LocalClient(env)
	if err != nil {
		return false
	}
	defer ask.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, ready, nil)
	if err != nil {
		return false
	}
	response, err := ask.Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	var said struct {
		Data struct {
			Services []string `json:"services"`
			Version  string   `json:"version"`
		} `json:"data"`
	}
	return json.NewDecoder(response.Body).Decode(&said) == nil && len(said.Data.Services) > 0 && said.Data.Version != ""
}

// local is this machine's own data directory.
type local struct {
	cmd   *cobra.Command
	env   *config.Environment
	dir   string
	place instance.Place
}

func newLocal(cmd *cobra.Command, env *config.Environment) (local, error) {
	process, err := config.Parse[config.Process](env)
	return local{cmd, env, process.DataDir, instance.At(process.DataDir)}, err
}

func (l local) say(format string, args ...any) {
	fmt.Fprintf(l.cmd.ErrOrStderr(), format+"\n", args...)
}

// running gives a client of the server that runs on the data directory, nil when none
// does: it is where it has written down, or where the settings say.
func (l local) running(ctx context.Context, key string) (*client, error) {
	c := &client{base: l.place.Address(), key: key}
	if c.base == "" || l.only(ctx, c) != nil {
		ready, err := app.ReadyURL(l.env)
		if err != nil {
			return nil, err
		}
		if c.base = strings.TrimSuffix(ready, "/readyz"); !isUAOL(ctx, l.env, ready) {
			return nil, nil
		}
		if err := l.only(ctx, c); err != nil {
			return nil, err
		}
	}
	if c.key != "" {
		return c, nil
	}
	var err error
	c.key, err = l.knownKey(ctx, c)
	return c, err
}

// mayStart refuses to start a server on a database that others use.
func (l local) mayStart() error {
	if _, set := l.env.Lookup("DATABASE_URL"); !set {
		return nil
	}
	ready, err := app.ReadyURL(l.env)
	if err != nil {
		return err
	}
	return fmt.Errorf("no server answers at %s; start one with `uaol serve`, or name one with --server", strings.TrimSuffix(ready, "/readyz"))
}

// start serves everything in this process, on the data directory's database and
// a free port, while f runs. A server that runs there is joined at the database.
func (l local) start(ctx context.Context, c *client, f func(ctx context.Context, c *client) error) (err error) {
	url, cfg, release, err := database(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	settings := privately(l.env, "error") // the command's own output matters
	settings["DATABASE_URL"] = url
	var server *httpserver.Server
	process := fx.New(app.Options(l.env.With(settings)), fx.Populate(&server), fx.StartTimeout(time.Hour), fx.StopTimeout(stopping))
	if err := process.Err(); err != nil {
		return err
	}
	if err := process.Start(ctx); err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopping)
		defer cancel()
		err = errors.Join(err, process.Stop(ctx))
	}()
	_, port, err := net.SplitHostPort(server.Addr().String())
	if err != nil {
		return err
	}
	c.base = "http://127.0.0.1:" + port
	l.say("No server runs here: using %s while this command lasts.", shown(cfg.DataDir))
	if c.key == "" {
		if c.key, err = l.keyFor(ctx, c, func() (string, error) { return l.makeKey(ctx, url, cfg) }); err != nil {
			return err
		}
	}
	return f(ctx, c)
}

// only lets the client talk to the server of this data directory alone: on its
// port may stand a server of somebody else on this machine, who wants the key.
func (l local) only(ctx context.Context, c *client) error {
	secure, err := app.LocalTLS(l.env)
	if err != nil {
		return err
	}
	at, err := url.Parse(c.base)
	if err != nil {
		return err
	}
	switch {
	case at.Scheme == "http":
		secure = nil // one that `uaol mcp` has started
	case secure == nil:
		// What it proves tells more than a certificate, which these settings do not name.
		secure = &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true}
	}
	dial := instance.Dialer(l.dir, secure)
	conn, err := dial(ctx, "tcp", at.Host)
	if errors.Is(err, instance.ErrOther) {
		return otherError{c.base, l.dir}
	}
	if err != nil {
		return fmt.Errorf("no answer from %s", c.base)
	}
	c.http.Transport = &http.Transport{DialContext: dial, DialTLSContext: dial, MaxIdleConnsPerHost: 32, IdleConnTimeout: peers.Idle}
	return conn.Close()
}

// otherError tells of a server that runs on another data directory.
type otherError struct{ base, dir string }

func (e otherError) Error() string {
	return fmt.Sprintf("the server at %s does not run on %s: set UAOL_DATA_DIR to its directory, or UAOL_URL to %s and UAOL_API_KEY to a key of it",
		e.base, shown(e.dir), e.base)
}

// knownKey gives the operator's key for the server that runs on this machine, if
// it runs on this data directory.
func (l local) knownKey(ctx context.Context, c *client) (string, error) {
	if _, set := l.env.Lookup("DATABASE_URL"); set {
		return "", fmt.Errorf("an API key of %s is needed: set UAOL_API_KEY", c.base)
	}
	key, err := l.keyFor(ctx, c, func() (string, error) {
		url, cfg, release, err := database(ctx)
		if err != nil {
			return "", err
		}
		key, err := l.makeKey(ctx, url, cfg)
		return key, errors.Join(err, release())
	})
	if statusOf(err) == http.StatusUnauthorized {
		return "", fmt.Errorf("the server at %s does not run on this data directory: set UAOL_API_KEY to a key of it, or UAOL_DATA_DIR", c.base)
	}
	return key, err
}

// keyFor gives the key that is kept in the data directory, or makes one. Of several
// commands that come at once one makes it.
func (l local) keyFor(ctx context.Context, c *client, create func() (string, error)) (string, error) {
	path := filepath.Join(l.dir, "operator.key")
	key, err := l.keptKey(ctx, c, path)
	if err != nil || key != "" {
		return key, err
	}
	release, err := l.place.Alone(ctx, "key")
	if err != nil {
		return "", err
	}
	defer release()
	if key, err := l.keptKey(ctx, c, path); err != nil || key != "" {
		return key, err
	}
	try := *c
	if try.key, err = create(); err != nil {
		return "", err
	}
	if err := try.do(ctx, http.MethodGet, "/auth/me", nil, nil); err != nil {
		return "", err
	}
	if err := replace(path, try.key+"\n"); err != nil {
		return "", err
	}
	l.say("Made %s an admin of it, whose key is in %s.", operator, shown(path))
	return try.key, nil
}

// keptKey gives the key in a file, "" where there is none that counts.
func (l local) keptKey(ctx context.Context, c *client, path string) (string, error) {
	kept, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	try := *c
	if try.key = strings.TrimSpace(string(kept)); try.key == "" {
		return "", nil
	}
	err = try.do(ctx, http.MethodGet, "/auth/me", nil, nil)
	if statusOf(err) == http.StatusUnauthorized {
		return "", nil
	}
	return try.key, err
}

func (l local) makeKey(ctx context.Context, url string, cfg postgres.Config) (key string, err error) {
	pool, err := tables(ctx, url, cfg, services.Auth)
	if err != nil {
		return "", err
	}
	defer pool.Close()
	return auth.EnsureAdmin(ctx, auth.NewRepository(pool), operator, "")
}

// replace writes a file that its owner alone may read, whole or not at all.
func replace(path, text string) error {
	aside, err := os.CreateTemp(filepath.Dir(path), ".key-") // 0600
	if err != nil {
		return err
	}
	_, err = aside.WriteString(text)
	if err = errors.Join(err, aside.Close()); err == nil {
		err = os.Rename(aside.Name(), path)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(aside.Name()))
	}
	return err
}

// shown is a path as somebody in this directory would write it.
func shown(path string) string {
	here, err := os.Getwd()
	if err != nil {
		return path
	}
	if relative, err := filepath.Rel(here, path); err == nil && !strings.HasPrefix(relative, "..") {
		return relative
	}
	return path
}
