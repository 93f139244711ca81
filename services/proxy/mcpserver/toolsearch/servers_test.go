package toolsearch_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"uaol/providers/npmproject"
)

// listed is a method as its server lists it.
type listed struct {
	Server string    `json:"server"`
	Tool   *mcp.Tool `json:"tool"`
}

// server is one of testdata/servers/servers.json, where the key is its name: how a
// package of npm is started. Credentials are made up: no server needs real ones to say
// what it has.
type server struct {
	Main string            `json:"main"` // below node_modules
	Args []string          `json:"args"`
	Env  map[string]string `json:"env"`
}

const listTimeout = time.Minute

// listAll gives the methods of all servers, by server and name. They are listed once
// for what package-lock.json and servers.json say. Where there is no npm the test is
// skipped; in CI it fails.
func listAll(t testing.TB) []listed {
	t.Helper()
	for _, program := range []string{"npm", "node"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatalf("install %s: CI runs this test", program)
			}
			t.Skipf("%s is not installed, so npm's MCP servers can't run", program)
		}
	}
	dir, err := npmproject.Install(t.Context(), "toolsearch", os.DirFS("testdata/servers"))
	require.NoError(t, err)
	kept := filepath.Join(dir, "methods.json")
	var all []listed
	if text, err := os.ReadFile(kept); err == nil {
		require.NoError(t, json.Unmarshal(text, &all))
		return all
	}
	text, err := os.ReadFile("testdata/servers/servers.json")
	require.NoError(t, err)
	var servers map[string]server
	require.NoError(t, json.Unmarshal(text, &servers))
	var mu sync.Mutex
	var lists errgroup.Group
	lists.SetLimit(2)
	for name, s := range servers {
		lists.Go(func() error {
			began := time.Now()
			tools, err := s.list(t.Context(), dir)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			t.Logf("%-12s %3d methods in %.1f s", name, len(tools), time.Since(began).Seconds())
			mu.Lock()
			defer mu.Unlock()
			for _, tool := range tools {
				all = append(all, listed{name, tool})
			}
			return nil
		})
	}
	require.NoError(t, lists.Wait())
	slices.SortFunc(all, func(a, b listed) int {
		return cmp.Or(cmp.Compare(a.Server, b.Server), cmp.Compare(a.Tool.Name, b.Tool.Name))
	})
	text, err = json.Marshal(all)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(kept, text, 0o600))
	return all
}

// list starts a server, with a home of its own and nothing of our environment but the
// path, and asks for its methods.
func (s server) list(ctx context.Context, dir string) (tools []*mcp.Tool, err error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	home, err := os.MkdirTemp("", "uaol-server-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(home)
	said, err := os.Create(filepath.Join(home, "stderr"))
	if err != nil {
		return nil, err
	}
	defer said.Close()
	defer func() {
		if err != nil {
			text, _ := os.ReadFile(said.Name())
			err = fmt.Errorf("%w: %.2000s", err, text)
		}
	}()
	inHome := func(text string) string { return strings.ReplaceAll(text, "{home}", home) }
	args := []string{filepath.Join(dir, "node_modules", filepath.FromSlash(s.Main))}
	for _, arg := range s.Args {
		args = append(args, inHome(arg))
	}
	command := exec.CommandContext(ctx, "node", args...)
	command.Dir, command.Stderr = home, said
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "DO_NOT_TRACK=1"}
	for name, value := range s.Env {
		command.Env = append(command.Env, name+"="+inHome(value))
	}
	session, err := mcp.NewClient(&mcp.Implementation{Name: "uaol", Version: "test"}, nil).
		Connect(ctx, &mcp.CommandTransport{Command: command, TerminateDuration: time.Second}, nil)
	if err != nil {
		return nil, err
	}
	defer session.Close()
	for tool, err := range session.Tools(ctx, nil) {
		if err != nil {
			return nil, err
		}
		tools = append(tools, tool)
	}
	return tools, nil
}
