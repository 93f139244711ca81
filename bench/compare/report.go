package compare

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// Results are all that is kept.
type Results struct {
	Machine string        `json:"machine"`
	Sides   []Side        `json:"sides"`
	Race    []Lane        `json:"race"`
	Suite   []Conformance `json:"suite"`
}

// Side is who took part, or did not.
type Side struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	From    string `json:"from"`
	Why     string `json:"why,omitempty"` // it did not
}

// kept is what the tests of this run found out.
var kept Results

const resultsFile = "results.json"

// adding is done by several sides at once.
var adding sync.Mutex

// add takes in what came of the suite through a side, and keeps it at once: the suite
// takes long.
func (r *Results) add(c Conformance) error {
	adding.Lock()
	defer adding.Unlock()
	r.Suite = append(r.Suite, c)
	return r.keep()
}

// keep puts all into the directory for results, with what earlier runs have left there:
// their race, if there was none in this one, and what they know of the suite.
func (r *Results) keep() error {
	dir := os.Getenv("UAOL_COMPARE_RESULTS")
	if dir == "" {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	path := filepath.Join(dir, resultsFile)
	text, err := os.ReadFile(path)
	var before Results
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	default:
		if err := json.Unmarshal(text, &before); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	if r.Race == nil {
		r.Race = before.Race
	}
	for _, c := range before.Suite {
		if r.passed(c.Name, c.Revision) == "" {
			r.Suite = append(r.Suite, c)
		}
	}
	slices.SortStableFunc(r.Suite, func(a, b Conformance) int {
		if a.Revision != b.Revision {
			return strings.Compare(a.Revision, b.Revision)
		}
		return r.place(a.Name) - r.place(b.Name)
	})
	if text, err = json.Marshal(r); err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644)
}

// tell prints everything as one table, and below it what did not pass and who did not run.
func (r *Results) tell(to io.Writer) {
	fmt.Fprintf(to, "\n%s\n\n", r.Machine)
	fmt.Fprintln(to, "| | version | 2025-11-25 passed | 2026-07-28 passed | raced in | 1 connection: calls/s | by direct | p50 ms | p99 ms | processors a call | 32 connections: calls/s | by direct | p50 ms | p99 ms | processors a call | errors |")
	fmt.Fprintln(to, "|"+strings.Repeat("---|", 16))
	for _, s := range r.Sides {
		protocols := r.protocols(s.Name)
		if len(protocols) == 0 {
			protocols = []string{""}
		}
		for i, protocol := range protocols {
			row := []string{s.Name, s.Version, "", "", protocol}
			if i == 0 {
				row[2], row[3] = r.passed(s.Name, sessions), r.passed(s.Name, stateless)
			}
			errs := 0
			for _, connections := range []int{1, 32} {
				lane, ran := r.lane(s.Name, protocol, connections)
				if !ran {
					row = append(row, "", "", "", "", "")
					continue
				}
				f := lane.figures()
				errs += f.Errors
				if f.Calls == 0 {
					row = append(row, "0", "", "", "", "")
					continue
				}
				ratio, each := "", ""
				if direct, ran := r.lane(direct, stateless, connections); ran {
					ratio = fmt.Sprintf("%.3f", lane.beside(direct))
				}
				if f.Each > 0 {
					each = milliseconds(f.Each)
				}
				row = append(row, fmt.Sprintf("%.0f", f.Rate), ratio, milliseconds(f.P50), milliseconds(f.P99), each)
			}
			if protocol == "" {
				row = append(row, "")
			} else {
				row = append(row, fmt.Sprint(errs))
			}
			fmt.Fprintln(to, "| "+strings.Join(row, " | ")+" |")
		}
	}
	r.tellFailed(to)
	for _, s := range r.Sides {
		if s.Why != "" {
			fmt.Fprintf(to, "\n%s %s did not take part: %s\n", s.Name, s.Version, s.Why)
		}
	}
}

func (r *Results) tellFailed(to io.Writer) {
	for _, c := range r.Suite {
		var failed []string
		for _, s := range c.Scenarios {
			if !s.Good {
				failed = append(failed, s.Scenario)
			}
		}
		text := "nothing"
		if len(failed) > 0 {
			text = strings.Join(failed, ", ")
		}
		fmt.Fprintf(to, "\n%s, %s (suite %s), did not pass: %s.", c.Name, c.Revision, c.Suite, text)
		if c.Renamed != (names{}) {
			fmt.Fprintf(to, " Names were made bare by the test: tools had %q, prompts %q, resources %q before them.", c.Renamed.Tools, c.Renamed.Prompts, c.Renamed.Resources)
		}
		fmt.Fprintln(to)
	}
}

func (r *Results) place(name string) int {
	return slices.IndexFunc(r.Sides, func(s Side) bool { return s.Name == name })
}

func (r *Results) protocols(name string) (all []string) {
	for _, lane := range r.Race {
		if lane.Name == name && !slices.Contains(all, lane.Protocol) {
			all = append(all, lane.Protocol)
		}
	}
	return all
}

func (r *Results) lane(name, protocol string, connections int) (Lane, bool) {
	i := slices.IndexFunc(r.Race, func(l Lane) bool {
		return l.Name == name && l.Protocol == protocol && l.Connections == connections
	})
	if i < 0 {
		return Lane{}, false
	}
	return r.Race[i], true
}

func (r *Results) passed(name, revision string) string {
	i := slices.IndexFunc(r.Suite, func(c Conformance) bool { return c.Name == name && c.Revision == revision })
	if i < 0 {
		return ""
	}
	passed, all := r.Suite[i].count()
	return fmt.Sprintf("%d of %d", passed, all)
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.2f", float64(d.Microseconds())/1000)
}

// machine tells what all this ran on.
func machine() string {
	model := runtime.GOOS + " " + runtime.GOARCH
	if file, err := os.Open("/proc/cpuinfo"); err == nil {
		defer file.Close()
		for lines := bufio.NewScanner(file); lines.Scan(); {
			if name, value, is := strings.Cut(lines.Text(), ":"); is && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	return fmt.Sprintf("%s, %d processors, %s, %s", model, runtime.NumCPU(), runtime.Version(), time.Now().UTC().Format(time.DateOnly))
}
