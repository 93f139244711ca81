package main

import (
	"bytes"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/app/prove"
	"uaol/providers/config"
)

// TestProve is uaol prove in small; make prove is the whole.
func TestProve(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	require.NoError(t, err)
	o := prove.Options{Seed: 1, Jobs: 60, Kills: 6, Workers: 3, Restarts: 1}
	if text := os.Getenv("UAOL_TEST_SEED"); text != "" {
		o.Seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err, "UAOL_TEST_SEED")
	}
	var told bytes.Buffer
	o.Out, o.Program, o.Env = &told, []string{self}, []string{asUAOL + "=1"}
	env, err := config.Read()
	require.NoError(t, err)
	r, err := prove.Run(t.Context(), env, o)
	require.NoError(t, err, "%s", &told)
	require.True(t, r.Holds(), "%v", r.Faults)
	require.Equal(t, map[string]int{"at the tool": 3, "between answer and commit": 1, "anywhere": 2}, r.Kills)
	require.Equal(t, 1, r.Restarts)
	require.NotZero(t, r.Steps)
	require.Positive(t, r.Charged)
	require.GreaterOrEqual(t, sum(r.Jobs), o.Jobs)
}

func sum(of map[string]int) (all int) {
	for _, n := range of {
		all += n
	}
	return all
}
