package compare

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"uaol/bench/fleet"
	"uaol/conformance/suite"
	"uaol/providers/goprogram"
	"uaol/providers/npmproject"
)

// peer is another gateway for MCP servers.
type peer struct {
	name, version string
	from          string // the package that it is had from
	get           func(ctx context.Context, p peer) (program, error)
	settle        func(testing.TB, place) launch
}

// program is how a peer's command begins, and what it needs besides.
type program struct {
	command  []string
	path     string // of programs that it runs
	packages string // directory that npm's are in
}

// place is what a peer is given: a directory and an address of its own, and whose tools it
// is to serve.
type place struct{ dir, at, upstream, packages string }

// launch is how a peer is started there, and where it then answers.
type launch struct {
	args, env []string
	endpoint  string
}

// upstreamName is what peers are told to call the upstream.
const upstreamName = "up"

// peers are in the newest versions that could be had and built in November 2026.
var peers = []peer{
	{
		name: "ToolHive proxy", version: "v0.47.0", from: "github.com/stacklok/toolhive/cmd/thv", get: goProgram,
		settle: func(t testing.TB, p place) launch {
			host, port, _ := net.SplitHostPort(p.at)
			upstream, path := origin(t, p.upstream) // paths are the client's there
			return launch{
				args:     []string{"proxy", upstreamName, "--host", host, "--port", port, "--target-uri", upstream},
				env:      slices.Concat(quiet, []string{"TOOLHIVE_DOCKER_SOCKET=" + noContainers(t)}),
				endpoint: "http://" + p.at + path,
			}
		},
	},
	{
		name: "ToolHive vMCP", version: "v0.47.0", from: "github.com/stacklok/toolhive/cmd/vmcp", get: goProgram,
		settle: func(t testing.TB, p place) launch {
			host, port, _ := net.SplitHostPort(p.at)
			file := p.write(t, "vmcp.json", object{ // JSON is YAML
				"name": "compare", "groupRef": "compare",
				"incomingAuth": object{"type": "anonymous"},
				"outgoingAuth": object{"source": "inline", "default": object{"type": "unauthenticated"}},
				"backends":     []object{{"name": upstreamName, "url": p.upstream, "transport": "streamable-http"}},
				"aggregation":  object{"conflictResolution": "priority", "conflictResolutionConfig": object{"priorityOrder": []string{upstreamName}}},
			})
			return launch{args: []string{"serve", "--config", file, "--host", host, "--port", port}, env: quiet, endpoint: "http://" + p.at + "/mcp"}
		},
	},
	{
		name: "TBXark mcp-proxy", version: "v0.43.2", from: "github.com/TBXark/mcp-proxy", get: goModule,
		settle: func(t testing.TB, p place) launch {
			file := p.write(t, "config.json", object{
				"mcpProxy":   object{"baseURL": "http://" + p.at, "addr": p.at, "name": "proxy", "version": "1", "type": "streamable-http"},
				"mcpServers": object{upstreamName: object{"transportType": "streamable-http", "url": p.upstream}},
			})
			return launch{args: []string{"--config", file}, endpoint: "http://" + p.at + "/" + upstreamName + "/mcp"}
		},
	},
	{
		name: "Civic passthrough", version: "0.12.1", from: "@civic/passthrough-mcp-server", get: npmPackage("dist/cli.js"),
		settle: func(_ testing.TB, p place) launch {
			_, port, _ := net.SplitHostPort(p.at)
			return launch{
				env:      []string{"PORT=" + port, "TARGET_SERVER_URL=" + p.upstream, "TARGET_SERVER_TRANSPORT=httpStream"},
				endpoint: "http://" + p.at + "/mcp",
			}
		},
	},
	{
		// It serves what speaks over stdio alone; supergateway, of the same lock, speaks so for the upstream.
		name: "mcp-proxy over supergateway", version: "6.7.19, 4.0.0", from: "mcp-proxy", get: npmPackage("dist/bin/mcp-proxy.mjs"),
		settle: func(_ testing.TB, p place) launch {
			host, port, _ := net.SplitHostPort(p.at)
			return launch{
				args: []string{"--host", host, "--port", port, "--server", "stream", "--streamEndpoint", "/mcp", "--",
					"node", filepath.Join(p.packages, "supergateway", "dist", "index.js"), "--streamableHttp", p.upstream, "--logLevel", "none"},
				endpoint: "http://" + p.at + "/mcp",
			}
		},
	},
}

// quiet keeps ToolHive from asking for updates and telling of its use.
var quiet = []string{"TOOLHIVE_SKIP_UPDATE_CHECK=true", "TOOLHIVE_USAGE_METRICS_ENABLED=false"}

// origin divides an endpoint.
func origin(t testing.TB, endpoint string) (origin, path string) {
	t.Helper()
	u, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	return u.Scheme + "://" + u.Host, u.Path
}

// side gets the peer, and says why where it can't be had.
func (p peer) side(t testing.TB) side {
	t.Helper()
	s := side{name: p.name, version: p.version, from: p.from}
	had, err := p.get(t.Context(), p)
	if err != nil {
		s.why = err.Error()
		return s
	}
	s.start = func(t testing.TB, upstream string) (running, error) { return p.start(t, had, upstream) }
	return s
}

// start runs the peer until the test ends, and waits until it serves the upstream's tools.
func (p peer) start(t testing.TB, had program, upstream string) (running, error) {
	t.Helper()
	here := place{dir: t.TempDir(), at: fleet.FreeAddress(t), upstream: upstream, packages: had.packages}
	l := p.settle(t, here)
	path := os.Getenv("PATH")
	if had.path != "" {
		path = had.path + string(os.PathListSeparator) + path
	}
	process, err := fleet.Other{
		Name: p.name, Program: had.command[0], Args: slices.Concat(had.command[1:], l.args),
		Env: append(l.env, "PATH="+path, "HOME="+here.dir, "DO_NOT_TRACK=1"), Dir: here.dir, Ready: here.at,
	}.Start(t.Context())
	t.Cleanup(func() { _ = process.Kill() })
	if err == nil {
		err = serves(t.Context(), l.endpoint)
	}
	if err != nil {
		text, _ := os.ReadFile(filepath.Join(here.dir, "output.log")) // what it printed, if anything
		return running{}, fmt.Errorf("%w: %s", err, text[max(0, len(text)-1000):])
	}
	return running{endpoint: l.endpoint, used: func(testing.TB) time.Duration { return process.Used() }}, nil
}

// servesWithin is how long a peer may take until it has the upstream's tools.
const servesWithin = time.Minute

func serves(ctx context.Context, endpoint string) error {
	ctx, cancel := context.WithTimeout(ctx, servesWithin)
	defer cancel()
	h := &http.Client{Timeout: patience}
	defer h.CloseIdleConnections()
	for {
		c := newClient(endpoint, nil, h)
		err := c.agree(ctx, "")
		var names []string
		if err == nil {
			names, err = c.list(ctx, "tools")
			c.end(ctx)
		}
		if err == nil && len(names) > 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("it serves no tools: %w", errors.Join(err, ctx.Err()))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// write writes a settings file.
func (p place) write(t testing.TB, name string, settings any) (path string) {
	t.Helper()
	text, err := json.MarshalIndent(settings, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(p.dir, name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// goProgram gets a peer as `go install` does, once for a user and a version.
func goProgram(ctx context.Context, p peer) (program, error) {
	path, err := goprogram.Install(ctx, p.from, p.version)
	return program{command: []string{path}}, err
}

// goModule gets one of whose module there is no list of versions, which `go install` asks
// for: from a module that needs it in the one version.
func goModule(ctx context.Context, p peer) (program, error) {
	path, err := goprogram.Required(ctx, p.from, p.version)
	return program{command: []string{path}}, err
}

// packages pins those that are had from npm, with all they need.
//
//go:embed npm/package.json npm/package-lock.json
var packages embed.FS

// npmPackage gets a peer from npm, whose main file that is. It is run by the Node.js that
// runs the suite.
func npmPackage(main string) func(context.Context, peer) (program, error) {
	return func(ctx context.Context, p peer) (program, error) {
		s, err := suite.Install(ctx, suite.Latest)
		if err != nil {
			return program{}, err
		}
		files, err := fs.Sub(packages, "npm")
		if err != nil {
			return program{}, err
		}
		dir, err := npmproject.Install(ctx, "compare", files)
		if err != nil {
			return program{}, err
		}
		node, err := exec.LookPath(s.Node)
		if err != nil {
			return program{}, err
		}
		modules := filepath.Join(dir, "node_modules")
		return program{command: []string{node, filepath.Join(modules, filepath.FromSlash(p.from), filepath.FromSlash(main))}, path: filepath.Dir(node), packages: modules}, nil
	}
}

// noContainers answers what ToolHive asks a container engine before it does anything,
// although its proxy needs none.
func noContainers(t testing.TB) (socket string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "thv") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket = filepath.Join(dir, "s")
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", "1.44")
		if r.Method != http.MethodHead {
			_, _ = w.Write([]byte("[]"))
		}
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return socket
}
