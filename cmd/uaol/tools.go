package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

func newTools() *cobra.Command {
	remote := &remoteFlags{}
	cmd := &cobra.Command{
		Use:   "tools",
		Short: "List, show, approve, call and import tools",
		Long: `Works with the tools of a server: the one that UAOL_URL names, with the key in
UAOL_API_KEY, or else the one of this machine's data directory (see "uaol connect
--help"). A tool is named by its slug or its id.`,
		Example: `  uaol tools list
  uaol tools show everything
  uaol tools call everything get-sum --arg a=2 --arg b=3
  uaol tools approve everything
  uaol tools import claude_desktop_config.json`,
	}
	remote.add(cmd)
	cmd.AddCommand(newToolsList(remote), newToolsShow(remote), newToolsApprove(remote), newToolsReject(remote), newToolsCall(remote), newToolsImport(remote))
	return cmd
}

func newToolsList(remote *remoteFlags) *cobra.Command {
	var mine, waiting, asJSON bool
	var limit int
	cmd := &cobra.Command{
		Use:   "list [WORD…]",
		Short: "List the tools that can be called, or those with the words in their texts",
		RunE: func(cmd *cobra.Command, words []string) error {
			if limit < 1 {
				return errors.New("--limit must be 1 or more")
			}
			return remote.with(cmd, func(ctx context.Context, c *client) (err error) {
				var tools []tool
				switch {
				case waiting:
					tools, err = c.waiting(ctx)
				case mine:
					tools, err = c.tools(ctx, "/tools/my/tools", nil, limit)
				default:
					query := url.Values{}
					if len(words) > 0 {
						query.Set("q", strings.Join(words, " "))
					}
					tools, err = c.tools(ctx, "/tools", query, limit)
				}
				if err != nil {
					return err
				}
				t := newTerminal(cmd)
				if asJSON {
					return t.json(append([]tool{}, tools...))
				}
				if len(tools) == 0 {
					t.say("There are none. `uaol connect URL` makes one.")
					return nil
				}
				var rows [][]string
				for _, one := range tools {
					rows = append(rows, []string{one.Slug, strings.ToLower(one.Status), one.Health.Status, fmt.Sprint(one.Price), one.Visibility, one.Name})
				}
				t.table([]string{"TOOL", "STATUS", "SERVER", "CREDITS", "FOR", "NAME"}, rows)
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&mine, "mine", false, "those of one's own organisation, in any status")
	cmd.Flags().BoolVar(&waiting, "waiting", false, "those that wait for an admin")
	cmd.Flags().IntVar(&limit, "limit", 1000, "at most so many")
	cmd.Flags().BoolVar(&asJSON, "json", false, "for machines")
	return cmd
}

func newToolsShow(remote *remoteFlags) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "show TOOL", Short: "Show a tool with its methods", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return remote.with(cmd, func(ctx context.Context, c *client) error {
				found, err := c.find(ctx, args[0])
				if err != nil {
					return err
				}
				t := newTerminal(cmd)
				if asJSON {
					var whole json.RawMessage
					if err := c.do(ctx, http.MethodGet, "/tools/"+found.ID, nil, &whole); err != nil {
						return err
					}
					return t.json(whole)
				}
				t.tool(found)
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "for machines")
	return cmd
}

func (t terminal) tool(found tool) {
	where := found.URL
	if found.Command != nil {
		where = printed(*found.Command)
	}
	rows := [][]string{
		{"tool", found.Slug + "  " + found.ID}, {"name", found.Name}, {"about", found.Description}, {"tags", strings.Join(found.Tags, ", ")},
		{"more", found.Docs}, {"status", fmt.Sprintf("%s, version %d, for %s", strings.ToLower(found.Status), found.Version, found.Visibility)},
		{"server", found.Protocol + " at " + where}, {"health", health(found)}, {"credits", fmt.Sprintf("%d a call", found.Price)},
		{"may reach", strings.Join(found.Egress, ", ")},
	}
	if found.Pending != nil && *found.Pending != found.Version {
		rows = append(rows, []string{"waiting", fmt.Sprintf("version %d, for an admin", *found.Pending)})
	}
	var filled [][]string
	for _, row := range rows[1:] {
		if strings.TrimSpace(row[1]) != "" {
			filled = append(filled, row)
		}
	}
	t.table(rows[0], filled)
	if len(found.Methods) > 0 {
		t.say("")
		t.methods(found.Methods)
	}
}

func health(found tool) string {
	h := found.Health
	switch {
	case h.LastError != "":
		return h.Status + ": " + h.LastError
	case h.LatencyMS > 0:
		return fmt.Sprintf("%s, answers within %d ms", h.Status, h.LatencyMS)
	}
	return h.Status
}

// inspection is what a tool's server lists now.
type inspection struct {
	Version int64    `json:"version"`
	Pinned  bool     `json:"pinned"`
	Digest  string   `json:"digest"`
	Methods []method `json:"methods"`
}

// decision approves what was shown, and nothing else.
func (i inspection) decision(reason string) map[string]any {
	return map[string]any{"version": i.Version, "digest": i.Digest, "reason": reason, "unpinned": !i.Pinned}
}

func (c *client) inspect(ctx context.Context, id string) (seen inspection, err error) {
	return seen, c.do(ctx, http.MethodPost, "/tools/"+id+"/inspect", map[string]any{}, &seen)
}

// member is a part of a definition that changes.
type member struct {
	Name string          `json:"member"`
	Old  json.RawMessage `json:"old"`
	New  json.RawMessage `json:"new"`
}

// review shows what differs from what was approved, asks, and approves just what
// it showed.
func review(ctx context.Context, t terminal, c *client, found tool, yes bool, reason string) error {
	seen, err := c.inspect(ctx, found.ID)
	if err != nil {
		return fmt.Errorf("the methods of %s can't be read: %w", found.Slug, err)
	}
	var diff struct {
		Definition []member `json:"definition"`
	}
	if err := c.do(ctx, http.MethodGet, "/tools/"+found.ID+"/diff", nil, &diff); err != nil {
		return err
	}
	if found.Status == "Approved" {
		changes := differences(found.Methods, seen.Methods)
		if len(diff.Definition)+len(changes) == 0 {
			t.say("Nothing has changed since it was approved. Call it:\n  uaol tools call %s %s", found.Slug, example(seen.Methods))
			return nil
		}
		t.changes(diff.Definition, changes)
	} else {
		t.methods(seen.Methods)
	}
	ok, err := t.confirm(yes, "Approve %s of %s, version %d?", count(len(seen.Methods), "method"), found.Slug, seen.Version)
	if err != nil || !ok {
		return err
	}
	if err := c.do(ctx, http.MethodPost, "/tools/"+found.ID+"/approve", seen.decision(reason), nil); err != nil {
		return err
	}
	t.say("Approved. Call it:\n  uaol tools call %s %s", found.Slug, example(seen.Methods))
	return nil
}

// change is a method that a server lists otherwise than it was approved.
type change struct {
	name     string
	old, now *method
}

func differences(pinned, seen []method) (changes []change) {
	before := map[string]*method{}
	for i := range pinned {
		before[pinned[i].Name] = &pinned[i]
	}
	for i := range seen {
		m := &seen[i]
		if old := before[m.Name]; old == nil || old.Digest != m.Digest {
			changes = append(changes, change{m.Name, old, m})
		}
		delete(before, m.Name)
	}
	for i := range pinned {
		if old := before[pinned[i].Name]; old != nil {
			changes = append(changes, change{old.Name, old, nil})
		}
	}
	return changes
}

func (t terminal) changes(members []member, methods []change) {
	for _, m := range members {
		t.say("  %s: %s → %s", m.Name, orNothing(m.Old), orNothing(m.New))
	}
	for _, m := range methods {
		switch name := plain(m.name, 80); {
		case m.old == nil:
			t.say("  added %s: %s", name, plain(m.now.Description, 300))
		case m.now == nil:
			t.say("  removed %s", name)
			continue
		default:
			t.say("  changed %s", name)
			t.change("description", m.old.Description, m.now.Description)
			t.change("arguments", string(m.old.InputSchema), string(m.now.InputSchema))
			if m.old.Description == m.now.Description && string(m.old.InputSchema) == string(m.now.InputSchema) {
				t.say("    in its title, its annotations or its output schema")
			}
		}
		if marks := m.now.marks(); marks != "" {
			t.say("    %s", plain(marks, 300))
		}
	}
}

func (t terminal) change(what, old, now string) {
	if old != now {
		t.say("    %s was: %s\n    %s now: %s", what, plain(old, 300), what, plain(now, 300))
	}
}

func orNothing(value json.RawMessage) string {
	if len(value) == 0 {
		return "nothing"
	}
	return plain(string(value), 200)
}

func newToolsApprove(remote *remoteFlags) *cobra.Command {
	var yes, unpinned bool
	var reason string
	cmd := &cobra.Command{
		Use: "approve TOOL", Short: "Show what differs from what was approved, ask, and approve just that", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return remote.with(cmd, func(ctx context.Context, c *client) error {
				found, err := c.find(ctx, args[0])
				if err != nil {
					return err
				}
				if unpinned {
					return approveUnpinned(ctx, newTerminal(cmd), c, found, yes, reason)
				}
				return review(ctx, newTerminal(cmd), c, found, yes, reason)
			})
		},
	}
	cmd.Flags().BoolVar(&unpinned, "unpinned", false, "without reading its methods: any may be called, with any arguments")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "approve without asking")
	cmd.Flags().StringVar(&reason, "reason", "", "for the tool's history")
	return cmd
}

// approveUnpinned is for servers that can't be looked at beforehand.
func approveUnpinned(ctx context.Context, t terminal, c *client, found tool, yes bool, reason string) error {
	ok, err := t.confirm(yes, "Approve %s without having seen its methods? Any may be called, with any arguments.", found.Slug)
	if err != nil || !ok {
		return err
	}
	if err := c.do(ctx, http.MethodPost, "/tools/"+found.ID+"/approve", map[string]any{"unpinned": true, "reason": reason}, nil); err != nil {
		return err
	}
	t.say("Approved.")
	return nil
}

func newToolsReject(remote *remoteFlags) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "reject TOOL --reason WHY", Short: "Refuse the version that waits; the one in force goes on", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if reason == "" {
				return errors.New("say why: --reason WHY")
			}
			return remote.with(cmd, func(ctx context.Context, c *client) error {
				found, err := c.find(ctx, args[0])
				if err != nil {
					return err
				}
				if err := c.do(ctx, http.MethodPost, "/tools/"+found.ID+"/reject", map[string]any{"reason": reason}, nil); err != nil {
					return err
				}
				newTerminal(cmd).say("Rejected.")
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "for its owner and its history")
	return cmd
}
