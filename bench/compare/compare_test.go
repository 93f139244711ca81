package compare

import (
	"os"
	"testing"
	"time"

	"uaol/bench/fleet"
	"uaol/conformance/suite"
	"uaol/providers/upstream/everything"
)

// TestRace lets calls of a fast tool go through everybody.
func TestRace(t *testing.T) {
	all := takePart(t)
	upstream, _ := self(t, "fast", "")
	var entrants []entrant
	for i, s := range all {
		if s.why != "" {
			continue
		}
		if err := everyWay(t, s, upstream, &entrants); err != nil {
			kept.Sides[i].Why = err.Error()
			failed(t, s, err)
		}
	}
	turn := time.Duration(fleet.Size(t, "UAOL_COMPARE_TURN", 0.2) * float64(time.Second))
	for _, connections := range []int{1, 32} {
		kept.Race = append(kept.Race, race(t, entrants, connections, int(fleet.Size(t, "UAOL_COMPARE_ROUNDS", 1)), turn)...)
	}
	for _, lane := range kept.Race {
		if f := lane.figures(); lane.ours && (f.Errors > 0 || f.Calls == 0) {
			t.Errorf("%s in %s at %d connections: %d calls, %d errors: %v", lane.Name, lane.Protocol, lane.Connections, f.Calls, f.Errors, lane.Turns[0].Faults)
		}
	}
}

// everyWay starts a side and enters it in the race, in all revisions that it races in.
func everyWay(t *testing.T, s side, upstream string, entrants *[]entrant) error {
	r, err := s.start(t, upstream)
	if err != nil {
		return err
	}
	revisions := s.revisions
	if revisions == nil {
		revisions = []string{""}
	}
	for _, revision := range revisions {
		e, err := enter(t.Context(), s, r, revision)
		if err != nil {
			return err
		}
		*entrants = append(*entrants, e)
	}
	return nil
}

// failed tells that a side can't take part.
func failed(t *testing.T, s side, err error) {
	t.Helper()
	if s.ours {
		t.Errorf("%s: %v", s.name, err)
	} else {
		t.Logf("%s does not take part: %v", s.name, err)
	}
}

// TestSuite runs MCP's conformance suite through everybody, with the server by which the
// Go SDK shows that it conforms behind each.
func TestSuite(t *testing.T) {
	if os.Getenv("UAOL_COMPARE_SUITE") == "" {
		t.Skip("make compare runs this")
	}
	all := takePart(t)
	for _, e := range suite.Editions {
		u, err := suite.Install(t.Context(), e)
		if err != nil {
			t.Fatalf("the suite can't be had: %v", err)
		}
		upstream := everything.StartConformance(t, e.Revision == stateless)
		for _, s := range all {
			if s.why != "" || s.onlyRaces {
				continue
			}
			t.Run(s.name+" "+e.Revision, func(t *testing.T) {
				t.Parallel()
				c, err := conform(t, u, s, upstream)
				if err != nil {
					failed(t, s, err)
					return
				}
				if err := kept.add(c); err != nil {
					t.Error(err)
				}
				passed, all := c.count()
				t.Logf("%d of %d", passed, all)
			})
		}
	}
}

// takePart gets everybody, before anything is measured.
func takePart(t testing.TB) []side {
	t.Helper()
	all := sides(t)
	kept.Machine, kept.Sides = machine(), nil
	for _, s := range all {
		kept.Sides = append(kept.Sides, Side{Name: s.name, Version: s.version, From: s.from, Why: s.why})
		if s.why != "" {
			t.Logf("%s does not take part: %s", s.name, s.why)
		}
	}
	return all
}
