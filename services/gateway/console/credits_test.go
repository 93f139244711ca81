package console

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestEveryDay: each day has a row, the newest first, whether anything was spent or not.
func TestEveryDay(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 23, 30, 0, 0, time.FixedZone("UTC+5", 5*3600)) // 18:30 in UTC
	back := lookback{"7 days", 7}
	require.Equal(t, time.Date(2026, 2, 24, 0, 0, 0, 0, time.UTC), back.from(now))
	days := everyDay([]usageRow{{Key: "2026-02-28", Credits: 5, Charges: 2}, {Key: "2026-03-02", Credits: -1, Charges: 0}, {Key: "2025-03-01", Credits: 9, Charges: 9}}, back, now)
	require.Len(t, days, 7)
	require.Equal(t, daySpent{time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC), -1, 0}, days[0])
	require.Equal(t, daySpent{time.Date(2026, 2, 28, 0, 0, 0, 0, time.UTC), 5, 2}, days[2])
	require.Equal(t, daySpent{At: time.Date(2026, 2, 24, 0, 0, 0, 0, time.UTC)}, days[6])
}

func TestLookbackOf(t *testing.T) {
	t.Parallel()
	for asked, want := range map[string]int{"7": 7, "30": 30, "90": 90, "": 30, "8": 30, "-1": 30, "x": 30} {
		require.Equal(t, want, lookbackOf(asked).Days, asked)
	}
}

func TestMoneyText(t *testing.T) {
	t.Parallel()
	for want, pack := range map[string]pack{
		"5.00 USD": {Amount: 500, Currency: "usd"}, "0.07 EUR": {Amount: 7, Currency: "eur"}, "1,234.56 GBP": {Amount: 123456, Currency: "gbp"},
		"500 JPY": {Amount: 500, Currency: "jpy"}, "": {Amount: 500},
	} {
		require.Equal(t, want, pack.Costs())
	}
}

// TestHistoryFilter: days are UTC's, and the last one counts whole.
func TestHistoryFilter(t *testing.T) {
	t.Parallel()
	require.False(t, historyFilter{}.Any())
	require.Empty(t, historyFilter{}.query())
	f := historyFilter{Kind: "settle", From: "2026-02-27", To: "2026-02-28", Tool: "t", Job: "j"}
	require.True(t, f.Any())
	require.Equal(t, "from=2026-02-27T00%3A00%3A00Z&jobId=j&kind=settle&to=2026-03-01T00%3A00%3A00Z&toolId=t", f.query().Encode())
	require.Equal(t, "kind=settle", historyFilter{Kind: "settle", From: "yesterday", To: "31.12."}.query().Encode())
}

// TestReceipt: an entry of a job is on the job's receipt, one of a call on the call's; others
// are on none.
func TestReceipt(t *testing.T) {
	t.Parallel()
	const call, job = "0199c0de-0000-7000-8000-000000000001", "0199c0de-0000-7000-8000-000000000002"
	for want, entries := range map[string][]creditEntry{
		job:  {{Kind: "settle", Job: job, Operation: call}, {Kind: "hold", Job: job}, {Kind: "refund", Job: job}},
		call: {{Kind: "settle", Operation: call}, {Kind: "hold", Operation: call}, {Kind: "release", Operation: call}},
		"":   {{Kind: "grant", Operation: call}, {Kind: "settle", Operation: "step/1"}, {Kind: "send", Operation: job + "/" + call}},
	} {
		for _, e := range entries {
			require.Equal(t, want, e.Receipt(), e)
		}
	}
}

func TestWhy(t *testing.T) {
	t.Parallel()
	for facts, want := range map[string]string{
		`{"reason":"a good idea"}`: "a good idea", `{"version":3,"method":"echo"}`: "echo", `{"pack":"starter","payment":"x"}`: "starter",
		`{}`: "", ``: "", `null`: "", `[1]`: "",
	} {
		require.Equal(t, want, creditEntry{Facts: json.RawMessage(facts)}.Why(), facts)
	}
	require.Equal(t, "Charged", creditEntry{Kind: "settle"}.Says())
	require.Equal(t, "new kind", creditEntry{Kind: "new kind"}.Says())
}

// TestNaming: what is not known is told by the end of its id.
func TestNaming(t *testing.T) {
	t.Parallel()
	n := &naming{}
	n.set("0199c0de-0000-7000-8000-000000000001", "Greeter")
	n.set("0199c0de-0000-7000-8000-00000000beef", "")
	require.Equal(t, "Greeter", n.Of("0199c0de-0000-7000-8000-000000000001"))
	require.Equal(t, "…0000beef", n.Of("0199c0de-0000-7000-8000-00000000beef"))
	require.False(t, n.Known("0199c0de-0000-7000-8000-00000000beef"))
	rows := spending{By: "tool", Rows: []spentBy{{Key: "0199c0de-0000-7000-8000-000000000001"}, {}}}.named(n).Rows
	require.Equal(t, []string{"Greeter", "Models and corrections"}, []string{rows[0].Name, rows[1].Name})
}
