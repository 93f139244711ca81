package desktop

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tailscale/hujson"
)

var entry = Entry{Name: "uaol", Command: "/usr/local/bin/uaol", Args: []string{"mcp"}, Env: map[string]string{"UAOL_DATA_DIR": "/home/ada/a & b/.uaol"}}

func client(t *testing.T, name string) Client {
	t.Helper()
	c, err := Find(name)
	require.NoError(t, err)
	return c
}

// edited is what a client's file is after a change, before anything is written.
func edited(t *testing.T, is string, change func(*File) error) string {
	t.Helper()
	f := &File{Path: "mcp.json", is: []byte(is), mode: 0o600}
	require.NoError(t, change(f))
	require.True(t, json.Valid(standard(t, f.Now)), "%s", f.Now)
	return string(f.Now)
}

func standard(t *testing.T, text []byte) []byte {
	t.Helper()
	plain, err := hujson.Standardize([]byte(strings.TrimPrefix(string(text), string(byteOrder))))
	require.NoError(t, err, "%s", text)
	return plain
}

// cases are files as people have them, with what becomes of them.
var cases = map[string]struct{ client, is, want string }{
	"nothing": {"claude", "", `{
  "mcpServers": {
    "uaol": {
      "command": "/usr/local/bin/uaol",
      "args": [
        "mcp"
      ],
      "env": {
        "UAOL_DATA_DIR": "/home/ada/a & b/.uaol"
      }
    }
  }
}
`},
	"other servers, four spaces": {"cursor", `{
    "mcpServers": {
        "fetch": {"command": "uvx", "args": ["mcp-server-fetch"], "n": 1.50}
    },
    "theme":   "dark"
}`, `{
    "mcpServers": {
        "fetch": {"command": "uvx", "args": ["mcp-server-fetch"], "n": 1.50},
        "uaol": {
            "command": "/usr/local/bin/uaol",
            "args": [
                "mcp"
            ],
            "env": {
                "UAOL_DATA_DIR": "/home/ada/a & b/.uaol"
            }
        }
    },
    "theme":   "dark"
}`},
	"comments, tabs, commas at the end": {"vscode", `// mine
{
	"inputs": [],
	"servers": {
		// by day
		"fetch": {"type": "http", "url": "https://example.com/mcp"}, // by night
		/* the end */
	},
}
`, `// mine
{
	"inputs": [],
	"servers": {
		// by day
		"fetch": {"type": "http", "url": "https://example.com/mcp"}, // by night
		/* the end */
		"uaol": {
			"type": "stdio",
			"command": "/usr/local/bin/uaol",
			"args": [
				"mcp"
			],
			"env": {
				"UAOL_DATA_DIR": "/home/ada/a & b/.uaol"
			}
		},
	},
}
`},
	"a comment after the last": {"claude", `{
  "mcpServers": {
    "a": {} // the only one
  }
}`, `{
  "mcpServers": {
    "a": {}, // the only one
    "uaol": {
      "command": "/usr/local/bin/uaol",
      "args": [
        "mcp"
      ],
      "env": {
        "UAOL_DATA_DIR": "/home/ada/a & b/.uaol"
      }
    }
  }
}`},
	"all on one line": {"claude", `{"mcpServers":{"a":{"command":"x"}}}`, `{"mcpServers":{"a":{"command":"x"}, "uaol": {"command":"/usr/local/bin/uaol","args":["mcp"],"env":{"UAOL_DATA_DIR":"/home/ada/a & b/.uaol"}}}}`},
	"an empty object": {"claude", "{\n  \"mcpServers\": {}\n}\n", `{
  "mcpServers": {
    "uaol": {
      "command": "/usr/local/bin/uaol",
      "args": [
        "mcp"
      ],
      "env": {
        "UAOL_DATA_DIR": "/home/ada/a & b/.uaol"
      }
    }
  }
}
`},
	"an entry of before, with more in it": {"cursor", `{
  "mcpServers": {
    "uaol": {
      "env": {"PATH": "/opt/bin", "UAOL_URL": "https://uaol.example.com", "UAOL_API_KEY": "uaol_x"},
      "disabled": true,
      "command": "/old/uaol",
      "args": ["mcp"]
    },
    "z": {}
  }
}`, `{
  "mcpServers": {
    "uaol": {
      "env": {"PATH": "/opt/bin", "UAOL_API_KEY": "uaol_x", "UAOL_DATA_DIR": "/home/ada/a & b/.uaol"},
      "disabled": true,
      "command": "/usr/local/bin/uaol",
      "args": ["mcp"]
    },
    "z": {}
  }
}`},
}

func TestEntriesAreMerged(t *testing.T) {
	t.Parallel()
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, newline := range []string{"\n", "\r\n"} {
				for _, mark := range []string{"", "\xef\xbb\xbf"} {
					is, want := mark+strings.ReplaceAll(c.is, "\n", newline), mark+strings.ReplaceAll(c.want, "\n", newline)
					if c.is == "" && newline == "\r\n" {
						continue
					}
					put := func(f *File) error { return client(t, c.client).Put(f, entry) }
					once := edited(t, is, put)
					require.Equal(t, want, once)
					require.Equal(t, once, edited(t, once, put), "a second time changes nothing")
				}
			}
		})
	}
}

// TestKeysStay that people have put into an entry, until another is given.
func TestKeysStay(t *testing.T) {
	t.Parallel()
	claude := client(t, "claude")
	const is = `{"mcpServers":{"uaol":{"command":"x","args":[],"env":{"UAOL_API_KEY":"old","TZ":"UTC"}}}}`
	for given, want := range map[string]string{"": "old", "new": "new"} {
		with := entry
		with.Env = map[string]string{"UAOL_URL": "https://uaol.example.com", "UAOL_API_KEY": given}
		f := &File{Now: []byte(edited(t, is, func(f *File) error { return claude.Put(f, with) }))}
		require.Equal(t, want, claude.Env(f, "uaol", "UAOL_API_KEY"))
		require.Equal(t, "UTC", claude.Env(f, "uaol", "TZ"))
		require.Equal(t, "https://uaol.example.com", claude.Env(f, "uaol", "UAOL_URL"))
	}
}

// TestRemovalUndoesIt: what remains is what there was, but for objects without members.
func TestRemovalUndoesIt(t *testing.T) {
	t.Parallel()
	for name, c := range cases {
		if strings.Contains(c.is, `"uaol"`) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			is := client(t, c.client)
			want := c.is
			if c.is == "" {
				want = "{\n  \"mcpServers\": {}\n}\n"
			}
			got := edited(t, c.want, func(f *File) error { return is.Remove(f, "uaol") })
			require.Equal(t, strings.ReplaceAll(want, "{} //", "{} //"), got)
			require.Equal(t, got, edited(t, got, func(f *File) error { return is.Remove(f, "uaol") }))
		})
	}
	claude := client(t, "claude")
	for is, want := range map[string]string{
		`{"mcpServers":{"uaol":{},"b":{}}}`:                          `{"mcpServers":{"b":{}}}`,
		"{\"mcpServers\":{\n// ours\n\"uaol\":{}, \"b\":{}}}":        "{\"mcpServers\":{\n// ours\n \"b\":{}}}",
		"{\"mcpServers\":{\"a\":{} // a's\n, // ours\n\"uaol\":{}}}": "{\"mcpServers\":{\"a\":{} // a's\n // ours\n}}",
		`{"mcpServers":7}`: `{"mcpServers":7}`,
	} {
		require.Equal(t, want, edited(t, is, func(f *File) error { return claude.Remove(f, "uaol") }), is)
	}
}

func TestBrokenFilesAreRefused(t *testing.T) {
	t.Parallel()
	for is, want := range map[string]string{
		`{"mcpServers": {`:              "mcp.json is left as it is: it is not JSON: line 1, column 17: ",
		"{\n \"a\": 1\n \"b\": 2}":      "it is not JSON: line 3, column 2: ",
		`[]`:                            "it holds no JSON object",
		`{"mcpServers": []}`:            "mcpServers in it is no object",
		`{"mcpServers": {"uaol": "x"}}`: "mcpServers.uaol in it is no object",
		`{} {}`:                         "it is not JSON: ",
	} {
		f := &File{Path: "mcp.json", is: []byte(is), mode: 0o600}
		err := client(t, "claude").Put(f, entry)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "\n")
	}
}

// home is a home with a client's file in it.
func home(t *testing.T, text string, mode os.FileMode) (c Client, path string) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	t.Setenv("XDG_CONFIG_HOME", "")
	c = client(t, "cursor")
	path = filepath.Join(dir, ".cursor", "mcp.json")
	if text != "" {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		require.NoError(t, os.Chmod(path, mode))
	}
	return c, path
}

func put(t *testing.T, c Client, now time.Time) (backup string, err error) {
	t.Helper()
	f, err := c.Open()
	require.NoError(t, err)
	require.NoError(t, c.Put(f, entry))
	return f.Write(now)
}

var noon = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

func TestFilesKeepTheirModeAndTheirLinks(t *testing.T) {
	c, path := home(t, `{"a":1}`, 0o644)
	real := filepath.Join(filepath.Dir(path), "real.json")
	require.NoError(t, os.Rename(path, real))
	require.NoError(t, os.Symlink("real.json", path))
	backup, err := put(t, c, noon)
	require.NoError(t, err)
	require.Equal(t, real+".20261130T120000Z.bak", backup)
	kept, err := os.ReadFile(backup)
	require.NoError(t, err)
	require.Equal(t, `{"a":1}`, string(kept))
	for _, name := range []string{real, backup} {
		info, err := os.Lstat(name)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o644), info.Mode(), name)
	}
	link, err := os.Readlink(path)
	require.NoError(t, err)
	require.Equal(t, "real.json", link)
	left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".uaol-*"))
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestNewFilesAreTheirOwnersAlone(t *testing.T) {
	c, path := home(t, "", 0)
	backup, err := put(t, c, noon)
	require.NoError(t, err)
	require.Empty(t, backup)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
}

func TestBackupsAreNeverOverwritten(t *testing.T) {
	c, path := home(t, `{"a":1}`, 0o600)
	for i, want := range []string{".bak", "-2.bak", "-3.bak"} {
		require.NoError(t, os.WriteFile(path, []byte(`{"a":`+string(rune('1'+i))+`}`), 0o600))
		backup, err := put(t, c, noon)
		require.NoError(t, err)
		require.Equal(t, path+".20261130T120000Z"+want, backup)
		kept, err := os.ReadFile(backup)
		require.NoError(t, err)
		require.Equal(t, `{"a":`+string(rune('1'+i))+`}`, string(kept))
	}
}

// TestOthersChangesAreNotUndone that came between reading and writing.
func TestOthersChangesAreNotUndone(t *testing.T) {
	c, path := home(t, `{"a":1}`, 0o600)
	f, err := c.Open()
	require.NoError(t, err)
	require.NoError(t, c.Put(f, entry))
	require.NoError(t, os.WriteFile(path, []byte(`{"a":2}`), 0o600))
	_, err = f.Write(noon)
	require.ErrorContains(t, err, "has changed meanwhile")
	is, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, `{"a":2}`, string(is))
}

// FuzzEdit: whatever stands in a file that can be read, it stays, and removing undoes
// putting as far as what is said goes.
func FuzzEdit(f *testing.F) {
	for _, c := range cases {
		f.Add([]byte(c.is))
		f.Add([]byte(c.want))
	}
	f.Add([]byte("{//\n\"mcpServers\":{\"uaol\":{\"env\":{\"UAOL_URL\":1//\n}}}}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		claude, file := Clients[0], &File{is: text}
		if claude.Put(file, entry) != nil {
			return
		}
		again := &File{is: file.Now}
		if err := claude.Put(again, entry); err != nil || again.Changed() {
			t.Fatalf("%q became %q, then %q: %v", text, file.Now, again.Now, err)
		}
		if err := claude.Remove(again, "uaol"); err != nil {
			t.Fatal(err)
		}
		d, err := parse(again.Now)
		if err != nil {
			t.Fatalf("%q became %q: %v", file.Now, again.Now, err)
		}
		if _, there := d.get("mcpServers", "uaol"); there && !twice(text) {
			t.Fatalf("%q is still there", again.Now)
		}
	})
}

// twice reports whether a name stands twice in one object, where the last counts.
func twice(text []byte) bool {
	return strings.Count(string(text), "uaol") > 1 || strings.Contains(string(text), `\`)
}
