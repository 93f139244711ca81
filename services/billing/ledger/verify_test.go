package ledger

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/services/billing/chain"
)

func TestValidBooksAreClean(t *testing.T) {
	t.Parallel()
	b := filled(t)
	head := b.head(t)
	report := b.clean(t, head)
	require.Equal(t, int64(5), report.Organizations)
	require.Equal(t, int64(len(b.library.entries)), report.Entries)
	require.Equal(t, int64(len(b.library.holds)), report.Holds)
	require.Equal(t, Spenders{All: int64(len(b.library.spenders)), Erased: b.library.erased()}, report.Spenders)
	require.Positive(t, report.Spenders.Erased)
	require.Contains(t, report.String(), " of them erased\n")
	require.Greater(t, report.Seals, int64(5))
	require.Equal(t, &head, report.Head)
	require.Equal(t, int64(1), report.Heads)
	require.Zero(t, report.Unsealed.Entries)
	require.Zero(t, report.Credits["transfers"])
	require.Contains(t, report.String(), "Nothing is wrong.")
	kinds := map[chain.Kind]int{}
	for _, e := range b.library.entries {
		kinds[e.Kind]++
	}
	require.Len(t, kinds, 13, "the books have entries of all kinds")
	text, err := json.Marshal(report)
	require.NoError(t, err)
	var back Report
	require.NoError(t, json.Unmarshal(text, &back))
	require.Equal(t, report.String(), back.String())
}
