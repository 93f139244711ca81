package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"uaol/services/storage/documents"
)

// TestMain lets the test binary be uaol itself, for scripts and for tests that
// kill it.
func TestMain(m *testing.M) {
	if os.Getenv(asGreeter) != "" {
		serveGreeter()
		os.Exit(0)
	}
	if os.Getenv(asUAOL) != "" || documents.IsWork(os.Args[1:]) {
		os.Exit(run(os.Args[1:]))
	}
	testscript.Main(m, map[string]func(){"uaol": func() { os.Exit(run(os.Args[1:])) }, "greeter": serveGreeter})
}

// asUAOL makes the test binary behave as the program.
const asUAOL = "UAOL_TEST_AS_PROGRAM"

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			// The data directory's PostgreSQL may run as another user, who must get there.
			for dir := env.WorkDir; len(dir) > len(os.TempDir()); dir = parent(dir) {
				if err := os.Chmod(dir, 0o755); err != nil {
					return err
				}
			}
			env.Setenv("HOME", env.WorkDir)
			withGreeter(env)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"oneline":  oneLine,
			"greeters": startGreeter,
			"registry": startRegistry,
			"remote":   startRemote,
			"onlyme":   onlyMine,
			"capture":  capture,
			"fill":     fill,
			"asked":    waitAsked,
			"send":     send,
			"receiver": startReceiver,
			"told":     waitTold,
			"program":  findProgram,
			"takeport": func(ts *testscript.TestScript, _ bool, _ []string) {
				listener, err := net.Listen("tcp", ":0")
				ts.Check(err)
				ts.Defer(func() { listener.Close() })
				_, port, err := net.SplitHostPort(listener.Addr().String())
				ts.Check(err)
				ts.Setenv("PORT", port)
			},
		},
	})
}

// findProgram sets PROGRAM to where the script finds uaol.
func findProgram(ts *testscript.TestScript, _ bool, _ []string) {
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if path := filepath.Join(dir, "uaol"); fileExists(path) {
			ts.Setenv("PROGRAM", path)
			return
		}
	}
	ts.Fatalf("uaol is not in PATH")
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func parent(dir string) string {
	for i := len(dir) - 1; i > 0; i-- {
		if os.IsPathSeparator(dir[i]) {
			return dir[:i]
		}
	}
	return ""
}

// oneLine checks that standard error's last line is the only one that is not
// from the log, and begins as an operator expects.
func oneLine(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile("stderr")
	lines := 0
	for start, i := 0, 0; i <= len(text); i++ {
		if i == len(text) || text[i] == '\n' {
			if line := text[start:i]; line != "" && line[0] != '{' {
				lines++
			}
			start = i + 1
		}
	}
	if lines != 1 {
		ts.Fatalf("%s: %d lines on standard error, one is right:\n%s", fmt.Sprint(args), lines, text)
	}
}
