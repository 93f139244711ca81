package main

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"uaol/app/bridge"
)

// serving is what `uaol mcp` was asked for.
type serving struct {
	remote  remoteFlags
	profile string
	tool    string
	search  bool
}

func newMCP() *cobra.Command {
	var in serving
	cmd := &cobra.Command{
		Use:   "mcp",
		Short: "Be UAOL's one MCP server over standard input and output, for desktop clients",
		Long: `Serves what a server has at /mcp over standard input and output, for clients that
start MCP servers themselves, such as Claude Desktop. "uaol connect --client" writes
it into their configuration.

The server is the one that UAOL_URL names, with the key in UAOL_API_KEY. Without
them it is the one of the data directory on this machine (UAOL_DATA_DIR, .uaol in
the current directory), as operator@localhost or with the key in UAOL_API_KEY: a
profile is found with a key of its organization alone. When none runs there, the
first request starts one, which belongs to no client: it listens on a free port of
this machine alone, logs to server/log in the data directory, is used by all others
that come ("uaol mcp" and other commands), and ends once none of them has used it for
UAOL_MCP_LINGER (10 minutes); jobs and schedules then wait for the next one. "uaol
serve" on the same data directory takes its place; its clients go on there.

Any number may be started at once, in any order, and killed. When the server goes
away meanwhile, another one is found or started, and the client's session goes on:
what was never sent, or only asks what there is, is sent again, and a call of which
nobody knows whether it was made is answered with the error OUTCOME_UNKNOWN.

Nothing but messages goes to standard output. It ends with its input, or on SIGTERM.`,
		Example: `  uaol mcp
  UAOL_API_KEY=… uaol mcp --profile desk
  uaol mcp --tool everything
  UAOL_URL=https://uaol.example.com UAOL_API_KEY=… uaol mcp`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return in.serve(cmd) },
	}
	in.remote.add(cmd)
	cmd.Flags().StringVar(&in.profile, "profile", "", "only the tools of a profile, under its names (/mcp/p/NAME)")
	cmd.Flags().StringVar(&in.tool, "tool", "", "only one tool, by its slug or id, under its own names (/mcp/t/ID)")
	cmd.Flags().BoolVar(&in.search, "search", false, "search_tools and call_tool in the place of all tools (/mcp/search)")
	cmd.MarkFlagsMutuallyExclusive("profile", "tool")
	cmd.MarkFlagsMutuallyExclusive("search", "tool")
	return cmd
}

func (in *serving) serve(cmd *cobra.Command) error {
	ctx, cancel := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	env, remote, err := in.remote.settings()
	if err != nil {
		return err
	}
	find := func(context.Context, bool) (*client, error) { return named(remote) }
	here, err := newLocal(cmd, env)
	if err != nil {
		return err
	}
	if remote.URL == "" {
		release, err := here.place.Use(ctx)
		if err != nil {
			return err
		}
		defer release()
		find = func(ctx context.Context, start bool) (*client, error) { return here.attach(ctx, remote.Key, start) }
	} else if _, err := named(remote); err != nil {
		return err
	}
	b := &bridge.Bridge{
		In: cmd.InOrStdin(), Out: cmd.OutOrStdout(),
		Say: func(format string, args ...any) { here.say("uaol mcp: "+format, args...) },
		Attach: func(ctx context.Context, start bool) (*bridge.Way, error) {
			c, err := find(ctx, start)
			if err != nil {
				return nil, err
			}
			return in.way(ctx, c)
		},
	}
	return b.Run(ctx)
}

// way is how a server's endpoint is reached.
func (in *serving) way(ctx context.Context, c *client) (*bridge.Way, error) {
	path, c := "/mcp", c.steady()
	switch {
	case in.profile != "":
		if err := c.hasProfile(ctx, in.profile); isAbsent(err) { // of all else the endpoint tells
			return nil, err
		}
		path += "/p/" + url.PathEscape(in.profile)
	case in.tool != "":
		found, err := c.find(ctx, in.tool)
		if err != nil {
			return nil, err
		}
		path += "/t/" + found.ID
	}
	if in.search {
		path += "/search"
	}
	return &bridge.Way{URL: c.base + path, Header: http.Header{"X-Api-Key": {c.key}}, HTTP: &c.http}, nil
}
