package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"

	"github.com/spf13/cobra"
)

// importing is what `uaol tools import` was asked for.
type importing struct {
	Format     string `json:"format"`
	URL        string `json:"url,omitempty"`
	Document   any    `json:"document,omitempty"`
	Name       string `json:"name,omitempty"`
	ClientID   string `json:"client_id,omitempty"`
	Since      string `json:"updated_since,omitempty"`
	Price      *int64 `json:"credit_cost_per_call,omitempty"`
	Visibility string `json:"visibility,omitempty"`
	DryRun     bool   `json:"dry_run,omitempty"`
	Cursor     string `json:"cursor,omitempty"`
	Pages      int    `json:"pages,omitempty"`
}

// imported is what came of it.
type imported struct {
	Imported  int `json:"imported"`
	Updated   int `json:"updated"`
	Unchanged int `json:"unchanged"`
	Disabled  int `json:"disabled"`
	Skipped   []struct {
		Name   string `json:"name"`
		Reason string `json:"reason"`
	} `json:"skipped"`
	Tools []struct {
		Slug    string   `json:"slug"`
		Name    string   `json:"name"`
		Status  string   `json:"status"`
		Secrets []string `json:"secrets,omitempty"`
	} `json:"tools"`
	Next  string `json:"next_cursor,omitempty"`
	Pages int    `json:"pages"`
}

// pagesAtOnce is after how many pages of a registry progress is shown.
const pagesAtOnce = 5

func newToolsImport(remote *remoteFlags) *cobra.Command {
	var in importing
	var price int64
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "import FILE | URL",
		Short: "Register what a document describes: a client's mcpServers file, OpenAPI, server.json, an MCP registry",
		Long: `Registers tools from a document, which may be

  mcp-servers    the file in which Claude, Cursor or VS Code keep MCP servers
  openapi        an OpenAPI 3.0 or 3.1 document, as one tool with its operations
  server.json    one server as the MCP registry describes it
  mcp-registry   an MCP registry, by its URL; only what changed since the last time

Everything that is new waits for approval, and so does what is called differently
now. Secrets in an mcpServers file are stored as secrets of its tools.`,
		Example: `  uaol tools import ~/.cursor/mcp.json
  uaol tools import https://api.example.com/openapi.yaml --name Weather --price 2
  uaol tools import https://registry.example.com --dry-run`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("price") {
				in.Price = &price
			}
			if err := in.read(args[0]); err != nil {
				return err
			}
			return remote.with(cmd, func(ctx context.Context, c *client) error {
				out, err := in.run(ctx, newTerminal(cmd), c)
				if err != nil {
					return err
				}
				if asJSON {
					return newTerminal(cmd).json(out)
				}
				newTerminal(cmd).imported(out, in.DryRun)
				return nil
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&in.Format, "format", "", "mcp-servers, openapi, server.json or mcp-registry; default: as the document looks")
	flags.StringVar(&in.Name, "name", "", "of the tool, instead of the document's")
	flags.StringVar(&in.ClientID, "client-id", "", "at the authorization server of an OpenAPI document that wants OAuth")
	flags.StringVar(&in.Since, "updated-since", "", "of a registry only what changed since, such as 2026-01-31T00:00:00Z")
	flags.Int64Var(&price, "price", 1, "whole credits that a call of a new tool costs")
	flags.StringVar(&in.Visibility, "visibility", "", "of new tools: public, organization or private (default public)")
	flags.BoolVar(&in.DryRun, "dry-run", false, "say what would come of it, and keep nothing")
	flags.BoolVar(&asJSON, "json", false, "for machines")
	return cmd
}

// read takes the document from a file, or leaves a URL to the server.
func (in *importing) read(from string) error {
	if strings.HasPrefix(from, "https://") || strings.HasPrefix(from, "http://") {
		in.URL = from
		if in.Format == "" {
			in.Format = formatOfURL(from)
		}
		return nil
	}
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if json.Valid(text) {
		in.Document = json.RawMessage(text)
	} else {
		in.Document = string(text) // YAML
	}
	if in.Format == "" {
		in.Format = formatOf(text)
	}
	if in.Format == "mcp-registry" {
		return errors.New("a registry is imported by its URL")
	}
	return nil
}

func formatOfURL(address string) string {
	u, err := url.Parse(address)
	switch {
	case err == nil && (strings.Trim(u.Path, "/") == "" || strings.HasSuffix(u.Path, "/v0.1/servers")):
		return "mcp-registry"
	case err == nil && path.Base(u.Path) == "server.json":
		return "server.json"
	}
	return "openapi"
}

func formatOf(text []byte) string {
	var members map[string]json.RawMessage
	if json.Unmarshal(text, &members) == nil {
		for _, sign := range [][2]string{{"openapi", "openapi"}, {"swagger", "openapi"}, {"remotes", "server.json"}, {"packages", "server.json"}} {
			if members[sign[0]] != nil {
				return sign[1]
			}
		}
		return "mcp-servers"
	}
	return "openapi"
}

// run imports the document; a registry some pages at a time, so that something
// is seen of it.
func (in *importing) run(ctx context.Context, t terminal, c *client) (out imported, err error) {
	if in.Format == "mcp-registry" {
		in.Pages = pagesAtOnce
	}
	for {
		var part imported
		if err := c.do(ctx, http.MethodPost, "/tools/import", in, &part); err != nil {
			return out, err
		}
		out.Imported += part.Imported
		out.Updated += part.Updated
		out.Unchanged += part.Unchanged
		out.Disabled += part.Disabled
		out.Pages += part.Pages
		out.Skipped, out.Tools = append(out.Skipped, part.Skipped...), append(out.Tools, part.Tools...)
		if in.Cursor = part.Next; in.Cursor == "" {
			return out, nil
		}
		fmt.Fprintf(t.err, "%s read: %d new, %d different, %d unchanged, %d skipped\n", count(out.Pages, "page"), out.Imported, out.Updated, out.Unchanged, len(out.Skipped))
	}
}

const mostShown = 20 // lines of each list

func (t terminal) imported(out imported, dry bool) {
	for i, s := range out.Skipped {
		if i == mostShown {
			t.say("… and %d more (--json lists them)", len(out.Skipped)-i)
			break
		}
		t.say("skipped %s: %s", plain(s.Name, 80), plain(s.Reason, 200))
	}
	var rows [][]string
	for i, one := range out.Tools {
		if i == mostShown {
			break
		}
		rows = append(rows, []string{one.Slug, strings.ToLower(one.Status), one.Name})
	}
	if len(rows) > 0 {
		t.table([]string{"TOOL", "STATUS", "NAME"}, rows)
	}
	for _, one := range out.Tools {
		for _, name := range one.Secrets {
			t.say("%s: its secret %s was not stored; give it with PUT /tools/%s/secrets/%s", one.Slug, name, one.Slug, name)
		}
	}
	would := ""
	if dry {
		would = " (dry run: nothing was kept)"
	}
	t.say("%d new, %d different, %d unchanged, %d withdrawn, %d skipped%s", out.Imported, out.Updated, out.Unchanged, out.Disabled, len(out.Skipped), would)
}
