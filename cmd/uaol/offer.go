package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"uaol/app/desktop"
	"uaol/providers/config"
)

// offering is what `uaol connect --client` was asked for.
type offering struct {
	clients  []string
	profile  string
	tool     string
	search   bool
	withKey  bool
	print    bool
	takeAway bool
}

func (o *offering) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringSliceVar(&o.clients, "client", nil, "make UAOL an MCP server of a client: claude, cursor or vscode, or several of them")
	flags.StringVar(&o.profile, "profile", "", "for --client: only the tools of a profile")
	flags.StringVar(&o.tool, "tool", "", "for --client: only one tool, by its slug or id")
	flags.BoolVar(&o.search, "search", false, "for --client: search_tools and call_tool in the place of all tools")
	flags.BoolVar(&o.withKey, "with-key", false, "for --client: write the API key into the client's file too")
	flags.BoolVar(&o.print, "print", false, "for --client: show the file as it would be, and write nothing")
	flags.BoolVar(&o.takeAway, "remove", false, "for --client: take UAOL out of the client's file")
	cmd.MarkFlagsMutuallyExclusive("profile", "tool")
	cmd.MarkFlagsMutuallyExclusive("search", "tool")
}

// asked reports whether something was said that is for --client alone.
func (o *offering) asked() bool {
	return o.profile != "" || o.tool != "" || o.search || o.withKey || o.print || o.takeAway
}

// check refuses what is for connecting a server.
func (o *offering) check(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return errors.New("either --client, or a server to connect")
	}
	for _, name := range []string{"price", "visibility", "protocol", "env", "yes"} {
		if cmd.Flags().Changed(name) {
			return fmt.Errorf("--%s does not go with --client", name)
		}
	}
	return nil
}

// offer writes UAOL into the clients' files, or takes it out.
func (o *offering) offer(cmd *cobra.Command, remote remoteFlags, name string) error {
	entry, keyless, err := o.entry(remote, name)
	if err != nil {
		return err
	}
	var all []offered
	for _, name := range o.clients {
		one, err := o.prepare(name, entry)
		if err != nil {
			return err
		}
		all = append(all, one)
	}
	t := newTerminal(cmd)
	if !o.takeAway && !o.print && o.profile+o.tool != "" {
		for _, one := range all {
			if err := o.look(cmd, remote, one.key); isAbsent(err) {
				return err
			} else if err != nil {
				fmt.Fprintf(t.err, "%s: whether there is %s was not checked: %s.\n", one.client.Title, cmp.Or(o.profile, o.tool), err)
			}
		}
	}
	for _, one := range all {
		if err := o.offerTo(t, one, entry.Name); err != nil {
			return err
		}
	}
	if o.takeAway {
		return nil
	}
	for _, one := range all {
		switch {
		case one.key == "" && keyless:
			fmt.Fprintf(t.err, "%s: it has no key of %s yet: put UAOL_API_KEY into its env there, or do this again with --with-key.\n", one.client.Title, entry.Env["UAOL_URL"])
		case one.key != "" && one.moved && !o.withKey:
			fmt.Fprintf(t.err, "%s: the UAOL_API_KEY in its env stays, and goes to another server now; --with-key gives it another.\n", one.client.Title)
		}
	}
	return nil
}

// offered is a client's file as it will be.
type offered struct {
	client desktop.Client
	file   *desktop.File
	key    string // in the entry
	moved  bool   // the entry named another server
}

func (o *offering) prepare(name string, entry desktop.Entry) (one offered, err error) {
	if one.client, err = desktop.Find(name); err != nil {
		return one, err
	}
	if one.file, err = one.client.Open(); err != nil {
		return one, err
	}
	if o.takeAway {
		return one, one.client.Remove(one.file, entry.Name)
	}
	for _, variable := range []string{"UAOL_URL", "UAOL_DATA_DIR"} {
		one.moved = one.moved || one.client.Env(one.file, entry.Name, variable) != entry.Env[variable]
	}
	if err := one.client.Put(one.file, entry); err != nil {
		return one, err
	}
	one.key = one.client.Env(one.file, entry.Name, "UAOL_API_KEY")
	return one, nil
}

const looking = 5 * time.Second

// look asks the server that an entry with a key leads to, if it runs, for what was chosen.
func (o *offering) look(cmd *cobra.Command, flags remoteFlags, key string) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), looking)
	defer cancel()
	env, remote, err := flags.settings()
	if err != nil {
		return err
	}
	if env.Source("UAOL_API_KEY") == ".env" {
		key = cmp.Or(key, remote.Key)
	}
	var c *client
	if remote.Key = key; remote.URL != "" {
		c, err = named(remote)
	} else {
		here, failed := newLocal(cmd, env)
		if failed != nil {
			return failed
		}
		if c, err = here.running(ctx, key); err == nil && c == nil {
			err = errNoServer
		}
	}
	switch {
	case err != nil:
		return err
	case o.profile != "":
		return c.steady().hasProfile(ctx, o.profile)
	}
	_, err = c.steady().find(ctx, o.tool)
	return err
}

func (o *offering) offerTo(t terminal, one offered, name string) error {
	client, file := one.client, one.file
	if o.print {
		_, err := t.out.Write(file.Now)
		return err
	}
	if !file.Changed() {
		t.say("%s: nothing to change in %s.", client.Title, shown(file.Path))
		return nil
	}
	backup, err := file.Write(time.Now())
	if err != nil {
		return err
	}
	what := fmt.Sprintf("%s: %s is in %s now", client.Title, name, shown(file.Path))
	if o.takeAway {
		what = fmt.Sprintf("%s: %s is in %s no more", client.Title, name, shown(file.Path))
	}
	if backup != "" {
		what += "; what it was is in " + shown(backup)
	}
	t.say("%s. Start %s anew.", what, client.Title)
	return nil
}

// entry is how a client starts `uaol mcp` for this data directory, or for the server that
// is named; keyless says that it finds no key of that one.
func (o *offering) entry(flags remoteFlags, name string) (entry desktop.Entry, keyless bool, err error) {
	env, remote, err := flags.settings()
	if err != nil {
		return entry, false, err
	}
	process, err := config.Parse[config.Process](env)
	if err != nil {
		return entry, false, err
	}
	program, err := ownPath()
	if err != nil {
		return entry, false, err
	}
	entry = desktop.Entry{Name: "uaol", Command: program, Args: []string{"mcp"}, Env: map[string]string{}}
	switch {
	case o.profile != "":
		entry.Name, entry.Args = "uaol-"+o.profile, append(entry.Args, "--profile", o.profile)
	case o.tool != "":
		entry.Name, entry.Args = "uaol-"+o.tool, append(entry.Args, "--tool", o.tool)
	}
	if o.search {
		entry.Args = append(entry.Args, "--search")
	}
	entry.Name = cmp.Or(name, entry.Name)
	if entry.Env["UAOL_ENV_FILE"] = env.File; remote.URL != "" {
		entry.Env["UAOL_URL"] = remote.URL
		keyless = !o.withKey && env.Source("UAOL_API_KEY") != ".env"
	} else {
		entry.Env["UAOL_DATA_DIR"] = process.DataDir
	}
	if o.withKey {
		if remote.Key == "" {
			return entry, false, errors.New("there is no key to write: set UAOL_API_KEY")
		}
		entry.Env["UAOL_API_KEY"] = remote.Key
	}
	return entry, keyless, nil
}

// ownPath is where this program will be found later: under the name in PATH, if that leads
// to it, since what it leads to may have a version in its name.
func ownPath() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	if strings.Contains(self, string(filepath.Separator)+"go-build") && filepath.Base(filepath.Dir(self)) == "exe" {
		return "", errors.New("`go run` builds a program that is gone afterwards: `go build ./cmd/uaol` first, and connect with that")
	}
	named, err := exec.LookPath(filepath.Base(os.Args[0]))
	if err != nil {
		return self, nil
	}
	if named, err = filepath.Abs(named); err != nil {
		return self, nil
	}
	one, err := os.Stat(self)
	if err != nil {
		return "", err
	}
	if other, err := os.Stat(named); err == nil && os.SameFile(one, other) {
		return named, nil
	}
	return self, nil
}
