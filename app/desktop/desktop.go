// Package desktop writes UAOL into the configuration of clients that start MCP servers
// themselves.
package desktop

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Client is a client that has a file with the MCP servers that it starts.
type Client struct {
	Name  string // as people name it to us
	Title string
	key   string // of the servers in its file
	typed bool   // its servers have a type
	place func(home, config string) string
}

// Clients are those that are known.
var Clients = []Client{
	{"claude", "Claude Desktop", "mcpServers", false, func(_, config string) string {
		return filepath.Join(config, "Claude", "claude_desktop_config.json")
	}},
	{"cursor", "Cursor", "mcpServers", false, func(home, _ string) string { return filepath.Join(home, ".cursor", "mcp.json") }},
	{"vscode", "VS Code", "servers", true, func(_, config string) string { return filepath.Join(config, "Code", "User", "mcp.json") }},
}

// Find gives a client by its name.
func Find(name string) (Client, error) {
	i := slices.IndexFunc(Clients, func(c Client) bool { return c.Name == strings.ToLower(name) })
	if i < 0 {
		var names []string
		for _, c := range Clients {
			names = append(names, c.Name)
		}
		return Client{}, fmt.Errorf("there is no client %q; the clients are %s", name, strings.Join(names, ", "))
	}
	return Clients[i], nil
}

// Entry is a server in a client's configuration.
type Entry struct {
	Name    string
	Command string
	Args    []string
	Env     map[string]string
}

// key is the variable of an entry that people set themselves as well.
const key = "UAOL_API_KEY"

// ours are the variables of an entry that its writing sets, and takes away but for the key;
// others in it are somebody's own.
var ours = []string{"UAOL_DATA_DIR", "UAOL_ENV_FILE", "UAOL_URL", key}

// File is a client's configuration, as it is and as it will be.
type File struct {
	Path string // as the client finds it
	Now  []byte

	is   []byte
	mode fs.FileMode // 0 where there is no file yet
	real string      // where it leads to
}

// Open reads a client's configuration.
func (c Client) Open() (*File, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return nil, err
	}
	config, err := os.UserConfigDir()
	if err != nil {
		return nil, err
	}
	f := &File{Path: c.place(home, config)}
	if f.real, err = followed(f.Path); err != nil {
		return nil, err
	}
	info, err := os.Stat(f.real)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return nil, err
	}
	f.mode = info.Mode().Perm()
	f.is, err = os.ReadFile(f.real)
	f.Now = f.is
	return f, err
}

const mostLinks = 40

// followed is where links lead to, though nothing may be there yet.
func followed(path string) (string, error) {
	for range mostLinks {
		to, err := os.Readlink(path)
		if err != nil {
			return path, nil // it is none
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(path), to)
		}
		path = to
	}
	return "", fmt.Errorf("%s is a link that leads in a circle", path)
}

// Env gives what the environment of an entry says, "" for what it does not.
func (c Client) Env(f *File, entry, variable string) string {
	d, err := parse(f.Now)
	if err != nil {
		return ""
	}
	value, _ := d.get(c.key, entry, "env", variable)
	text, _ := value.(string)
	return text
}

// Put writes an entry into the configuration. What else an entry of that name has stays,
// and so does its key where no other is given: without one it would act as somebody else.
func (c Client) Put(f *File, entry Entry) error {
	return c.edit(f, func(d *document) error {
		env := members{}
		for _, name := range ours {
			if value := entry.Env[name]; value != "" {
				env = append(env, member{name, value})
			}
		}
		var whole members
		if c.typed {
			whole = append(whole, member{"type", "stdio"})
		}
		whole = append(whole, member{"command", entry.Command}, member{"args", append([]string{}, entry.Args...)}, member{"env", env})
		if _, known := d.get(c.key, entry.Name); !known {
			return d.set(whole, c.key, entry.Name)
		}
		for _, each := range whole[:len(whole)-1] {
			if err := d.set(each.value, c.key, entry.Name, each.name); err != nil {
				return err
			}
		}
		for _, name := range ours {
			if entry.Env[name] == "" {
				if name != key {
					d.remove(c.key, entry.Name, "env", name)
				}
				continue
			}
			if err := d.set(entry.Env[name], c.key, entry.Name, "env", name); err != nil {
				return err
			}
		}
		return nil
	})
}

// Remove takes an entry out of the configuration.
func (c Client) Remove(f *File, name string) error {
	return c.edit(f, func(d *document) error {
		d.remove(c.key, name)
		return nil
	})
}

func (c Client) edit(f *File, change func(*document) error) error {
	d, err := parse(f.is)
	if err == nil {
		err = change(d)
	}
	if err != nil {
		return fmt.Errorf("%s is left as it is: %w", f.Path, err)
	}
	f.Now = d.text()
	return nil
}

// Changed reports whether something is to be written.
func (f *File) Changed() bool { return !bytes.Equal(f.is, f.Now) }

// Write puts the configuration into its place, whole or not at all, after what was there
// was kept beside it. It gives the copy's path, "" where there was nothing.
func (f *File) Write(now time.Time) (backup string, err error) {
	if err := os.MkdirAll(filepath.Dir(f.real), 0o700); err != nil {
		return "", err
	}
	mode := f.mode
	if mode == 0 {
		mode = 0o600
	} else if backup, err = f.keep(now, mode); err != nil {
		return "", err
	}
	aside, err := os.CreateTemp(filepath.Dir(f.real), ".uaol-")
	if err != nil {
		return backup, err
	}
	_, err = aside.Write(f.Now)
	if err = errors.Join(err, aside.Chmod(mode), aside.Sync(), aside.Close()); err == nil {
		likeBefore(f.real, aside.Name())
		err = f.unchanged()
	}
	if err == nil {
		err = os.Rename(aside.Name(), f.real)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(aside.Name()))
	}
	return backup, err
}

// unchanged refuses to undo what somebody else has written meanwhile.
func (f *File) unchanged() error {
	is, err := os.ReadFile(f.real)
	if errors.Is(err, fs.ErrNotExist) && f.mode == 0 {
		return nil
	}
	if err == nil && (f.mode == 0 || !bytes.Equal(is, f.is)) {
		err = fmt.Errorf("%s has changed meanwhile; try again", f.Path)
	}
	return err
}

// keep copies the configuration to a name that nothing has.
func (f *File) keep(now time.Time, mode fs.FileMode) (string, error) {
	stem := f.real + "." + now.UTC().Format("20060102T150405Z")
	for n := 1; ; n++ {
		path := stem + ".bak"
		if n > 1 {
			path = fmt.Sprintf("%s-%d.bak", stem, n)
		}
		file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		_, err = file.Write(f.is)
		likeBefore(f.real, path)
		return path, errors.Join(err, file.Chmod(mode), file.Sync(), file.Close())
	}
}
