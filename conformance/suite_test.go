package conformance

import (
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/conformance/suite"
)

// TestMain lets the test's program be what the suite starts as a client.
func TestMain(m *testing.M) {
	if scenario := os.Getenv("MCP_CONFORMANCE_SCENARIO"); scenario != "" {
		if err := drive(scenario, os.Args[len(os.Args)-1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	code := m.Run()
	if err := tell(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// get gives an edition's suite. Without UAOL_TEST_CONFORMANCE the test is skipped, and
// without npm, except where CI is set.
func get(t *testing.T, e suite.Edition) suite.Suite {
	t.Helper()
	if os.Getenv("UAOL_TEST_CONFORMANCE") == "" {
		t.Skip("make conformance runs this")
	}
	s, err := suite.Install(t.Context(), e)
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("CI runs this test: %v", err)
		}
		t.Skipf("the suite can't be had: %v", err)
	}
	return s
}

// each runs all scenarios of one side, each a test, with what args gives the suite.
func each(t *testing.T, s suite.Suite, leg string, env []string, args func(scenario string) []string) {
	t.Helper()
	wants, err := s.Wants(t.Context(), leg)
	require.NoError(t, err)
	for _, w := range wants {
		t.Run(w.Scenario, func(t *testing.T) {
			r, out := s.Run(t.Context(), t.TempDir(), leg, w, env, args(w.Scenario)...)
			note(t, r, out)
		})
	}
}
