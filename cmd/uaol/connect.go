package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/spf13/cobra"

	"uaol/app"
	"uaol/providers/config"
)

// connecting is what `uaol connect` was asked for.
type connecting struct {
	remote     remoteFlags
	name       string
	price      int64
	visibility string
	protocol   string
	env        []string
	yes        bool
	priced     bool

	address string
	command *command
	clients offering
}

func newConnect() *cobra.Command {
	var in connecting
	cmd := &cobra.Command{
		Use:   "connect URL | connect -- COMMAND [ARGUMENT…] | connect --client NAME",
		Short: "Connect an MCP server of one's own, or a desktop client to UAOL",
		Long: `Makes an MCP server a tool that can be called, in one step: registers it, shows
its methods, asks, and approves exactly what it showed.

A server on this machine or in a private network is refused as a rule, because
tools' addresses come from strangers. Connecting it as an admin opens its host and
port for this one tool, and nothing else.

After -- stands a command whose server speaks over standard input and output. It
runs on UAOL's machine, without a shell, with PATH, HOME, LANG and TMPDIR of its
environment and what --env adds; only admins connect commands. The value of
--env NAME=value is kept as a secret of the tool; --env NAME takes the value from
this command's own environment.

The server is the one that UAOL_URL names, with the key in UAOL_API_KEY. Without
them it is the one of the data directory on this machine (UAOL_DATA_DIR, .uaol in
the current directory), as operator@localhost, whom the command makes an admin
there; before it gets a key it has to prove that it runs on that directory. When
none runs, the command serves everything itself while it lasts.

Connecting a server again shows what has changed since, and offers to approve it.

With --client it is the other way round: UAOL becomes an MCP server of Claude Desktop,
Cursor or VS Code, all tools in one. What they start is "uaol mcp", with the data
directory of this machine or with the server that UAOL_URL names. It is written into
the client's own file, after that was copied to a name with the time beside it; what
else stands there stays as it is, with its comments. No key is written unless
--with-key says so: put UAOL_API_KEY into the entry's env, or into the file that its
UAOL_ENV_FILE names. A key in the entry stays when this is done again. --print shows what
would be written, --remove takes it out again. The client has to be started anew.`,
		Example: `  uaol connect http://localhost:3001/mcp
  uaol connect -- npx -y @modelcontextprotocol/server-memory
  uaol connect --env GITHUB_TOKEN --price 2 --yes -- github-mcp-server stdio
  uaol tools call everything echo --arg message=hello
  uaol connect --client claude,cursor,vscode
  uaol connect --client vscode --profile desk --print`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch dash := cmd.ArgsLenAtDash(); {
			case len(in.clients.clients) > 0:
				return in.clients.check(cmd, args)
			case in.clients.asked():
				return errors.New("--print, --remove, --with-key, --profile, --tool and --search go with --client")
			case dash < 0 && len(args) == 1, dash == 0 && len(args) > 0:
				return nil
			case dash < 0 && len(args) > 1:
				return errors.New("one URL, or -- and a command")
			}
			return errors.New("say what: a URL, or -- and a command")
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(in.clients.clients) > 0 {
				return in.clients.offer(cmd, in.remote, in.name)
			}
			if cmd.ArgsLenAtDash() == 0 {
				in.command, in.protocol = &command{Path: args[0], Args: args[1:]}, "stdio"
			} else {
				in.address = args[0]
			}
			in.priced = cmd.Flags().Changed("price")
			if err := in.check(); err != nil {
				return err
			}
			return in.remote.with(cmd, func(ctx context.Context, c *client) error {
				return in.connect(ctx, newTerminal(cmd), c)
			})
		},
	}
	in.remote.add(cmd)
	in.clients.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&in.name, "name", "", "what to call it; default: what the server calls itself, and uaol in a client")
	flags.Int64Var(&in.price, "price", 0, "whole credits that a call costs")
	flags.StringVar(&in.visibility, "visibility", "", "who may find and call it: public, organization or private (default public)")
	flags.StringVar(&in.protocol, "protocol", "", "of a URL: mcp, sse, json-rpc or rest (default mcp, or sse when it ends with /sse)")
	flags.StringArrayVar(&in.env, "env", nil, "NAME or NAME=value for a command's environment; repeat it for more")
	flags.BoolVarP(&in.yes, "yes", "y", false, "approve without asking")
	return cmd
}

func (in *connecting) check() error {
	if in.command != nil {
		return nil
	}
	if len(in.env) > 0 {
		return errors.New("--env is for commands")
	}
	u, err := url.Parse(in.address)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return fmt.Errorf("%s is not a URL such as http://localhost:3001/mcp", in.address)
	}
	if in.protocol == "" {
		in.protocol = "mcp"
		if strings.HasSuffix(u.Path, "/sse") {
			in.protocol = "sse"
		}
	}
	return nil
}

func (in *connecting) connect(ctx context.Context, t terminal, c *client) error {
	found, known, err := in.known(ctx, c)
	if err != nil {
		return err
	}
	if known {
		return in.again(ctx, t, c, found)
	}
	if in.name == "" {
		in.name = in.ownName(ctx)
	}
	made, err := in.register(ctx, t, c)
	if err != nil {
		return err
	}
	return in.approve(ctx, t, c, made)
}

// known finds the tool if it was connected before: it is among the newest.
func (in *connecting) known(ctx context.Context, c *client) (found tool, known bool, err error) {
	mine, err := c.tools(ctx, "/tools/my/tools", nil, mostLooked)
	if err != nil {
		return found, false, err
	}
	for _, t := range mine {
		if t.Status == "Disabled" || t.Protocol != in.protocol || (in.command == nil && t.URL != in.address) {
			continue
		}
		if err := c.do(ctx, http.MethodGet, "/tools/"+t.ID, nil, &found); err != nil {
			return found, false, err
		}
		if in.command == nil || found.Command != nil && found.Command.Path == in.command.Path && slices.Equal(found.Command.Args, in.command.Args) {
			return found, true, nil
		}
	}
	return found, false, nil
}

// ownName is what the server calls itself; its host, or the program, if it does not say.
func (in *connecting) ownName(ctx context.Context) string {
	if in.command != nil {
		return commandName(*in.command)
	}
	u, err := url.Parse(in.address)
	if err != nil {
		return in.address
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var transport mcp.Transport = &mcp.StreamableClientTransport{Endpoint: in.address, MaxRetries: -1, DisableStandaloneSSE: true}
	if in.protocol == "sse" {
		transport = &mcp.SSEClientTransport{Endpoint: in.address}
	}
	if in.protocol == "mcp" || in.protocol == "sse" {
		session, err := mcp.NewClient(&mcp.Implementation{Name: "uaol", Version: app.Version}, nil).Connect(ctx, transport, nil)
		if err == nil {
			defer session.Close()
			if said := session.InitializeResult(); said != nil && said.ServerInfo != nil {
				if name := plain(said.ServerInfo.Name, 100); name != "" {
					return path.Base(name)
				}
			}
		}
	}
	return u.Hostname()
}

// commandName is the package that a launcher runs, or the program's name.
func commandName(c command) string {
	name := c.Path
	if slices.Contains([]string{"npx", "uvx", "bunx", "pnpx"}, path.Base(c.Path)) {
		for _, arg := range c.Args {
			if !strings.HasPrefix(arg, "-") {
				name = arg
				break
			}
		}
	}
	name = path.Base(name)
	if at := strings.Index(name, "@"); at > 0 {
		name = name[:at]
	}
	return name
}

// register makes the tool. A refused private address is opened for it alone.
func (in *connecting) register(ctx context.Context, t terminal, c *client) (made tool, err error) {
	body := map[string]any{"name": in.name, "credit_cost_per_call": in.price, "protocol": in.protocol}
	if in.visibility != "" {
		body["visibility"] = in.visibility
	}
	if in.command != nil {
		secrets, inject, err := in.environment()
		if err != nil {
			return made, err
		}
		body["command"], body["inject"] = in.command, map[string]any{"env": inject}
		if err := c.do(ctx, http.MethodPost, "/tools", body, &made); err != nil {
			return made, err
		}
		for name, value := range secrets {
			if err := c.do(ctx, http.MethodPut, "/tools/"+made.ID+"/secrets/"+name, map[string]any{"value": value, "scope": "tool"}, nil); err != nil {
				return made, fmt.Errorf("%s is registered, but %s could not be stored: %w", made.Slug, name, err)
			}
		}
		t.say("Registered %s as %s.", printed(*in.command), made.Slug)
		return made, nil
	}
	body["gateway_url"] = in.address
	err = c.do(ctx, http.MethodPost, "/tools", body, &made)
	var refused *apiError
	if errors.As(err, &refused) && refused.at("body.gateway_url") && isPrivate(refused) {
		body["egress"] = []string{in.hostPort()}
		if err = c.do(ctx, http.MethodPost, "/tools", body, &made); statusOf(err) == http.StatusForbidden {
			return made, fmt.Errorf("%s is not a public address, and only an admin may open it for a tool", in.hostPort())
		}
		if err == nil {
			t.say("Registered %s as %s, which alone may reach %s.", in.address, made.Slug, in.hostPort())
		}
		return made, err
	}
	if err == nil {
		t.say("Registered %s as %s.", in.address, made.Slug)
	}
	return made, err
}

// isPrivate reports a refusal because of a private address, which an exception opens.
func isPrivate(err error) bool { return strings.Contains(err.Error(), "is not a public address") }

func (in *connecting) hostPort() string {
	u, err := url.Parse(in.address)
	if err != nil {
		return in.address
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// environment takes the command's variables apart: values are secrets, by names
// of their own.
func (in *connecting) environment() (secrets, inject map[string]string, err error) {
	secrets, inject = map[string]string{}, map[string]string{}
	here, err := config.Read()
	if err != nil {
		return nil, nil, err
	}
	for _, text := range in.env {
		name, value, found := strings.Cut(text, "=")
		if !found {
			if value, found = here.Lookup(name); !found {
				return nil, nil, fmt.Errorf("--env %s: it is not set here; say --env %s=value", name, name)
			}
		}
		secrets[name], inject[name] = value, "{{secret."+name+"}}"
	}
	return secrets, inject, nil
}

// approve shows what the server offers, asks, and approves just that.
func (in *connecting) approve(ctx context.Context, t terminal, c *client, made tool) error {
	seen, err := c.inspect(ctx, made.ID)
	if err != nil && isPrivate(err) && in.command == nil && len(made.Egress) == 0 {
		// The name looked public and leads to a private address.
		if err = c.do(ctx, http.MethodPut, "/tools/"+made.ID, map[string]any{"egress": []string{in.hostPort()}}, nil); err == nil {
			t.say("%s leads to a private address: %s alone may reach it.", in.hostPort(), made.Slug)
			seen, err = c.inspect(ctx, made.ID)
		}
	}
	if err != nil {
		return fmt.Errorf("%s is registered, but its methods can't be read: %w", made.Slug, err)
	}
	t.methods(seen.Methods)
	ok, err := t.confirm(in.yes, "Approve %s at %s a call?", count(len(seen.Methods), "method"), count(int(made.Price), "credit"))
	if err != nil || !ok {
		return err
	}
	err = c.do(ctx, http.MethodPost, "/tools/"+made.ID+"/approve", seen.decision("connected"), nil)
	if statusOf(err) == http.StatusForbidden {
		t.say("Only an admin may approve it: it waits for one.")
		return nil
	}
	if err != nil {
		return err
	}
	t.say("Approved. Call it:\n  uaol tools call %s %s", made.Slug, example(seen.Methods))
	return nil
}

// again shows how a tool that was connected before differs by now.
func (in *connecting) again(ctx context.Context, t terminal, c *client, found tool) error {
	t.say("%s is %s already (%s).", in.what(), found.Slug, strings.ToLower(found.Status))
	changes := map[string]any{}
	if in.name != "" && in.name != found.Name {
		changes["name"] = in.name
	}
	if in.priced && in.price != found.Price {
		changes["credit_cost_per_call"] = in.price
	}
	if in.visibility != "" && in.visibility != found.Visibility {
		changes["visibility"] = in.visibility
	}
	if len(changes) > 0 {
		if err := c.do(ctx, http.MethodPut, "/tools/"+found.ID, changes, nil); err != nil {
			return err
		}
		if err := c.do(ctx, http.MethodGet, "/tools/"+found.ID, nil, &found); err != nil {
			return err
		}
	}
	return review(ctx, t, c, found, in.yes, "connected")
}

func (in *connecting) what() string {
	if in.command != nil {
		return printed(*in.command)
	}
	return in.address
}

func printed(c command) string {
	return plain(strings.Join(append([]string{c.Path}, c.Args...), " "), 200)
}
