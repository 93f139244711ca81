package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	sdk "github.com/restatedev/sdk-go"
	"github.com/restatedev/sdk-go/ingress"
	restateserver "github.com/restatedev/sdk-go/server"
	"github.com/stretchr/testify/require"
)

const restateVersion = "1.7.12"

// restateServer is Restate's own server: its log is its database, and it waits
// for the disk by default (log-server.rocksdb-disable-wal-fsync is false).
type restateServer struct {
	cmd            *exec.Cmd
	dir            string
	admin, ingress string
}

var restate restateServer

// restateFlow is a workflow of Restate's, whose steps run in this process and
// which is asked for over HTTP, as there is no other way; or why there is none.
func restateFlow(t *testing.T) (f *flow, why string) {
	t.Helper()
	program, err := restateProgram()
	if err != nil {
		return nil, err.Error()
	}
	if err := restate.start(program); err != nil {
		return nil, err.Error()
	}
	three := sdk.NewServiceHandler(func(ctx sdk.Context, in string) (out string, err error) {
		for range 3 {
			if out, err = sdk.Run(ctx, func(sdk.RunContext) (string, error) { return `{"content":[]}`, nil }); err != nil {
				return "", err
			}
		}
		return out, nil
	})
	endpoint := restateserver.NewRestate().WithLogger(quiet.Handler(), true).Bind(sdk.NewService("Bench").Handler("Three", three))
	handler, err := endpoint.Handler()
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	steps := &http.Server{Handler: handler, Protocols: &protocols, ReadHeaderTimeout: time.Minute}
	go func() { _ = steps.Serve(listener) }()
	t.Cleanup(func() { _ = steps.Close() })
	if err := restate.register("http://" + listener.Addr().String()); err != nil {
		return nil, err.Error()
	}
	call := ingress.Service[string, string](ingress.NewClient(restate.ingress), "Bench", "Three")
	return &flow{name: "Restate " + restateVersion, run: func(t testing.TB) {
		if _, err := call.Request(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
	}}, ""
}

// restateProgram is in npm's package for this machine, which is fetched once.
func restateProgram() (string, error) {
	if os.Getenv("UAOL_BENCH_RESTATE") == "" {
		return "", errors.New("UAOL_BENCH_RESTATE=1 takes its server from npm")
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		return "", errors.New("there is no npm to take its server from")
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	machine := runtime.GOOS + "-" + strings.Replace(runtime.GOARCH, "amd64", "x64", 1)
	name := "@restatedev/restate-server-" + machine
	dir := filepath.Join(cache, "uaol-bench", "restate-"+restateVersion)
	program := filepath.Join(dir, "node_modules", name, "bin", "restate-server")
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, npm, "install", "--prefix", dir, "--no-save", "--no-audit", "--no-fund", name+"@"+restateVersion).CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm install %s: %w: %s", name, err, out)
	}
	_, err = os.Stat(program)
	return program, err
}

func (r *restateServer) start(program string) (err error) {
	if r.cmd != nil {
		return nil
	}
	if r.dir, err = os.MkdirTemp(os.Getenv("UAOL_BENCH_DIR"), "uaol-restate-"); err != nil {
		return err
	}
	var ports [3]string
	for i := range ports {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		_, ports[i], _ = net.SplitHostPort(listener.Addr().String())
		defer listener.Close() // not before all are known, so that they differ
	}
	r.admin, r.ingress = "http://127.0.0.1:"+ports[1], "http://127.0.0.1:"+ports[2]
	r.cmd = exec.Command(program, "--no-logo")
	r.cmd.Dir = r.dir
	r.cmd.Env = append(os.Environ(), "RESTATE_BASE_DIR="+r.dir, "RESTATE_LISTEN_MODE=tcp", "RESTATE_BIND_IP=127.0.0.1", "RESTATE_BIND_PORT="+ports[0],
		"RESTATE_ADMIN__BIND_PORT="+ports[1], "RESTATE_INGRESS__BIND_PORT="+ports[2], "RESTATE_DISABLE_TELEMETRY=true", "RESTATE_LOG_FILTER=error")
	return nil
}

// register tells Restate where the steps run, once it answers.
func (r *restateServer) register(uri string) error {
	if r.cmd.Process == nil {
		if err := r.cmd.Start(); err != nil {
			return err
		}
	}
	var last error
	for begun := time.Now(); time.Since(begun) < time.Minute; time.Sleep(100 * time.Millisecond) {
		out, err := http.Post(r.admin+"/deployments", "application/json", bytes.NewBufferString(`{"uri":"`+uri+`"}`))
		if err != nil {
			last = err
			continue
		}
		_ = out.Body.Close()
		if out.StatusCode < 300 {
			return nil
		}
		last = errors.New("registering: " + out.Status)
	}
	return last
}

func (r *restateServer) stop() error {
	if r.cmd != nil && r.cmd.Process != nil {
		_ = r.cmd.Process.Signal(syscall.SIGTERM)
		timer := time.AfterFunc(20*time.Second, func() { _ = r.cmd.Process.Kill() })
		_ = r.cmd.Wait()
		timer.Stop()
	}
	if r.dir == "" {
		return nil
	}
	return os.RemoveAll(r.dir)
}
