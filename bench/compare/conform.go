package compare

import (
	"context"
	"testing"
	"time"

	"uaol/conformance/suite"
)

// scenarioTakes is how long a scenario may take, most of which end within two seconds.
const scenarioTakes = time.Minute

// Conformance is what came of the suite's scenarios through a side.
type Conformance struct {
	Name      string         `json:"name"`
	Version   string         `json:"version"`
	Revision  string         `json:"revision"`
	Suite     string         `json:"suite"`
	Renamed   names          `json:"renamed"` // what the test takes from names, as the suite asks for bare ones
	Scenarios []suite.Result `json:"scenarios"`
}

// conform runs the scenarios that a revision requires of servers.
func conform(t testing.TB, u suite.Suite, s side, upstream string) (Conformance, error) {
	t.Helper()
	r, err := s.start(t, upstream)
	if err != nil {
		return Conformance{}, err
	}
	c := Conformance{Name: s.name, Version: s.version, Revision: u.Revision, Suite: u.Version}
	address := r.endpoint
	if r.bare != "" {
		address = r.bare
	}
	n, err := learnNames(t.Context(), address, r.header)
	if err != nil {
		t.Logf("%s lists nothing: %v", s.name, err)
	}
	c.Renamed = n
	if n != (names{}) || r.header != nil {
		address = forward(t, address, r.header, n)
	}
	wants, err := u.Wants(t.Context(), "server")
	if err != nil {
		return c, err
	}
	for _, w := range wants {
		if w.Reason != "" {
			continue // the revision does not require it
		}
		c.Scenarios = append(c.Scenarios, scenario(t, u, w, address))
	}
	return c, nil
}

// scenario runs one, which has failed if it does not end.
func scenario(t testing.TB, u suite.Suite, w suite.Wanted, address string) suite.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), scenarioTakes)
	defer cancel()
	begun := time.Now()
	result, _ := u.Run(ctx, t.TempDir(), "server", w, nil, "--url", address)
	if ctx.Err() != nil {
		result.Faults = append(result.Faults, "it does not end")
	}
	if !result.Good {
		t.Logf("%s did not pass, in %.1f s: %.500q", w.Scenario, time.Since(begun).Seconds(), result.Faults)
	}
	return result
}

// count is how many scenarios passed, of how many.
func (c Conformance) count() (passed, all int) {
	for _, s := range c.Scenarios {
		if s.Good {
			passed++
		}
	}
	return passed, len(c.Scenarios)
}
