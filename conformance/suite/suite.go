// Package suite runs scenarios of MCP's own conformance suite, which it gets from npm.
package suite

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"uaol/providers/npmproject"
)

// lock pins the suite, with all it needs, and a Node.js that can run it.
//
//go:embed package.json package-lock.json
var lock embed.FS

// Edition is a revision of the protocol and the version of the suite that asks for it.
type Edition struct{ Revision, Version string }

// Editions are all that there are.
var Editions = []Edition{{"2025-11-25", "0.1.16"}, {"2026-07-28", "0.2.0-alpha.12"}}

// Latest is the edition whose suite says what each revision requires, and which alone
// has scenarios for authorization servers.
var Latest = Editions[len(Editions)-1]

// Suite runs an edition.
type Suite struct {
	Edition
	Node string // the program
	dir  string
}

// oldestNode is the oldest Node.js that runs the suite.
const oldestNode = 22

// Install gets an edition's suite, once for a user.
func Install(ctx context.Context, e Edition) (Suite, error) {
	s := Suite{Edition: e, Node: "node"}
	var options []string
	own := nodeVersion(ctx, "node") >= oldestNode
	if own {
		options = []string{"--omit=optional"}
	}
	var err error
	if s.dir, err = npmproject.Install(ctx, "conformance", lock, options...); err != nil || own {
		return s, err
	}
	found, err := filepath.Glob(filepath.Join(s.dir, "node_modules", "node-*", "bin", "node"))
	if err != nil || len(found) == 0 {
		return Suite{}, fmt.Errorf("the suite needs Node.js %d or newer: %w", oldestNode, fs.ErrNotExist)
	}
	s.Node = found[0]
	return s, nil
}

// nodeVersion is the major version of a Node.js; 0 where there is none.
func nodeVersion(ctx context.Context, program string) int {
	out, err := exec.CommandContext(ctx, program, "--version").Output()
	if err != nil {
		return 0
	}
	major, _, _ := strings.Cut(strings.TrimPrefix(string(out), "v"), ".")
	n, _ := strconv.Atoi(major) // 0 for what is no version
	return n
}

func (s Suite) home(revision string) string {
	return filepath.Join(s.dir, "node_modules", "conformance-"+revision)
}

// requirements are what a revision requires, as the suite has it.
type requirements struct {
	Server []string `yaml:"server"`
	Client []string `yaml:"client"`
	Others []struct {
		Scenario string `yaml:"scenario"`
		Leg      string `yaml:"leg"`
		Reason   string `yaml:"reason"`
	} `yaml:"not_scored"`
}

// Wanted is a scenario, and why it does not count; "" for one that does.
type Wanted struct{ Scenario, Reason string }

// Wants are the scenarios of one side: those that a revision requires, and then those of
// the suite that it does not.
func (s Suite) Wants(ctx context.Context, leg string) ([]Wanted, error) {
	text, err := os.ReadFile(filepath.Join(s.home(Latest.Revision), "requirements", s.Revision+".yaml"))
	if err != nil {
		return nil, err
	}
	var required requirements
	if err := yaml.Unmarshal(text, &required); err != nil {
		return nil, err
	}
	var all []Wanted
	for _, scenario := range map[string][]string{"server": required.Server, "client": required.Client}[leg] {
		all = append(all, Wanted{scenario, ""})
	}
	known, err := s.Lists(ctx, leg)
	if err != nil {
		return nil, err
	}
	for _, other := range required.Others {
		if other.Leg == leg && slices.Contains(known, other.Scenario) {
			all = append(all, Wanted{other.Scenario, other.Reason})
		}
	}
	return all, nil
}

var listed = regexp.MustCompile(`(?m)^  - (\S+)`)

// Lists are all scenarios of one side that this version of the suite has.
func (s Suite) Lists(ctx context.Context, leg string) (names []string, err error) {
	out, err := s.Command(ctx, "list", "--"+leg).Output()
	if err != nil {
		return nil, err
	}
	for _, found := range listed.FindAllSubmatch(out, -1) {
		names = append(names, string(found[1]))
	}
	if names == nil {
		return nil, fmt.Errorf("the suite lists no scenarios: %s", out)
	}
	return names, nil
}

// Command is the suite's own command with these arguments.
func (s Suite) Command(ctx context.Context, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, s.Node, append([]string{filepath.Join(s.home(s.Revision), "dist", "index.js")}, args...)...)
	command.Env = append(command.Environ(), "NODE_COMPILE_CACHE="+filepath.Join(s.dir, "compiled")) // it is started again and again
	command.WaitDelay = 5 * time.Second                                                             // what it has started may hold its output
	return command
}

// Run runs one scenario, which leaves what it has seen in a directory, and gives what the
// suite printed besides.
func (s Suite) Run(ctx context.Context, dir, leg string, w Wanted, env []string, args ...string) (Result, []byte) {
	args = append([]string{leg, "--scenario", w.Scenario, "-o", dir}, args...)
	if s.Edition == Latest {
		args = append(args, "--spec-version", s.Revision, "--force") // extensions belong to no revision
	}
	command := s.Command(ctx, args...)
	command.Env = append(command.Env, env...)
	out, err := command.CombinedOutput()
	return s.Read(dir, leg, w, err), out
}

// Result is what came of a scenario.
type Result struct {
	Revision string   `json:"revision"`
	Suite    string   `json:"suite"`
	Side     string   `json:"side"` // server, client or authorization
	Scenario string   `json:"scenario"`
	Reason   string   `json:"notCounted,omitempty"` // why the revision does not require it
	Good     bool     `json:"passed"`
	Passed   int      `json:"checksPassed"`
	Failed   int      `json:"checksFailed"`
	Warnings int      `json:"warnings"`
	Skipped  int      `json:"skipped"`
	Faults   []string `json:"faults,omitempty"`
}

// check is what the suite says of one thing that it looked at.
type check struct {
	ID          string `json:"id"`
	Description string `json:"description"`
	Status      string `json:"status"`
	Message     string `json:"errorMessage"`
}

// Read makes a result of what the suite has left in a directory, and of how it ended.
func (s Suite) Read(dir, leg string, w Wanted, ended error) Result {
	var files []string
	_ = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error { // what can't be read says nothing
		if err == nil && filepath.Base(path) == "checks.json" {
			files = append(files, path)
		}
		return nil
	})
	var checks []check
	for _, path := range files {
		var found []check
		if text, err := os.ReadFile(path); err == nil && json.Unmarshal(text, &found) == nil {
			checks = append(checks, found...)
		}
	}
	r := Result{Revision: s.Revision, Suite: s.Version, Side: leg, Scenario: w.Scenario, Reason: w.Reason}
	r.judge(checks, ended)
	return r
}

// judge counts the checks. A scenario has passed if the suite ended well, and nothing of
// what it looked at was wrong.
func (r *Result) judge(checks []check, ended error) {
	for _, c := range checks {
		said := c.Message
		if said == "" {
			said = c.Description
		}
		switch c.Status {
		case "SUCCESS":
			r.Passed++
		case "FAILURE":
			r.Failed++
			r.Faults = append(r.Faults, c.ID+": "+said)
		case "WARNING":
			r.Warnings++
			r.Faults = append(r.Faults, c.ID+" (warning): "+said)
		case "SKIPPED":
			r.Skipped++
		}
	}
	r.Good = ended == nil && r.Failed == 0 && r.Passed > 0
	var exit *exec.ExitError
	if ended != nil && !errors.As(ended, &exit) {
		r.Faults = append(r.Faults, ended.Error())
	}
}
