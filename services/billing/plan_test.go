package billing

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"uaol/providers/config"
)

func TestParsePlan(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Plan{
		"":                                    {},
		"credits=0":                           {},
		"credits=10000 storage=1GB":           {Credits: 10_000, Storage: 1 << 30},
		"\t storage=3KB \n rate=7 ":           {Storage: 3 << 10, Rate: 7},
		"storage=500MB calls=5 history=90":    {Storage: 500 << 20, Calls: 5, HistoryDays: 90},
		"storage=12":                          {Storage: 12},
		"credits=1000000000000":               {Credits: mostCredits},
		"credits=1 credits=2":                 {Credits: 2},
		"history=1 rate=2 calls=3 credits=04": {HistoryDays: 1, Rate: 2, Calls: 3, Credits: 4},
	} {
		got, err := parsePlan(text)
		require.NoError(t, err, "%q", text)
		require.Equal(t, want, got, "%q", text)
	}
	for text, want := range map[string]string{
		"credit=5":                     `"credit" is none of credits, storage, calls, rate, history and files`,
		"=5":                           `"" is none of`,
		"Credits=5":                    `"Credits" is none of`,
		"credits":                      "credits is no number",
		"credits=":                     "credits is no number",
		"credits=-1":                   "credits is no number",
		"credits=1.5":                  "credits is no number",
		"credits=1e3":                  "credits is no number",
		"credits=1GB":                  "credits is no number",
		"credits=1000000000001":        "credits is no number",
		"credits=99999999999999999999": "credits is no number",
		"credits = 5":                  "credits is no number",
		"rate=0x10":                    "rate is no number",
		"storage=GB":                   "storage is no number",
		"storage=-1GB":                 "storage is no number",
		"storage=1gb":                  "storage is no number",
		"storage=1.5GB":                "storage is no number",
		"storage=9223372036854775807B": "storage is no number",
		"storage=9223372036854775KB":   "storage is no number",
		"calls=,":                      "calls is no number",
		"history=forever":              "history is no number",
		"credits=5 storage":            "storage is no number",
	} {
		_, err := parsePlan(text)
		require.ErrorContains(t, err, want, "%q", text)
	}
}

// TestAPlanMayHaveTerabytes: a unit that is understood is good for something.
func TestAPlanMayHaveTerabytes(t *testing.T) {
	t.Parallel()
	got, err := parsePlan("storage=2TB")
	require.NoError(t, err)
	require.EqualValues(t, 2<<40, got.Storage)
}

func TestPlansConfig(t *testing.T) {
	t.Parallel()
	require.Equal(t, Plans{
		Free:       {Tier: Free, Credits: 10_000, Storage: 1 << 30},
		Pro:        {Tier: Pro, Credits: 100_000, Storage: 100 << 30},
		Enterprise: {Tier: Enterprise, Credits: 1_000_000},
	}, plans(t).plans)
	for variable, tier := range map[string]Tier{"UAOL_PLAN_FREE": Free, "UAOL_PLAN_PRO": Pro, "UAOL_PLAN_ENTERPRISE": Enterprise} {
		cfg, err := config.Parse[PlansConfig](config.Of(map[string]string{variable: "calls=3"}))
		require.NoError(t, err)
		require.Equal(t, Plan{Tier: tier, Calls: 3}, cfg.plans[tier], "what is not named is not what it is by default")
		_, err = config.Parse[PlansConfig](config.Of(map[string]string{variable: "credits=many"}))
		var fault *config.Fault
		require.True(t, errors.As(err, &fault), err)
		require.Equal(t, variable, fault.Variable)
		require.Equal(t, "credits=many", fault.Value)
		require.Contains(t, fault.Want, planForm)
	}
}

// FuzzPlan: whatever is read is a plan, and reading what it says gives it again.
func FuzzPlan(f *testing.F) {
	for _, seed := range []string{"", "credits=10000 storage=1GB", "credits=-1", "storage=9007199254740993TB", "rate=1 calls=2 history=3", "a=b", "credits=1\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		plan, err := parsePlan(text)
		if err != nil {
			if plan != (Plan{}) {
				t.Fatalf("half a plan beside an error: %+v", plan)
			}
			return
		}
		for _, n := range []int64{plan.Credits, plan.Storage, plan.Calls, plan.Rate, plan.HistoryDays} {
			if n < 0 {
				t.Fatalf("%q: %+v", text, plan)
			}
		}
		if plan.Credits > mostCredits {
			t.Fatalf("%q brings more credits than a sum could hold: %+v", text, plan)
		}
		again, err := parsePlan(fmt.Sprintf("credits=%d storage=%d calls=%d rate=%d history=%d", plan.Credits, plan.Storage, plan.Calls, plan.Rate, plan.HistoryDays))
		if err != nil || again != plan {
			t.Fatalf("%q: %+v, again %+v: %v", text, plan, again, err)
		}
	})
}

// on is a moment of UTC, as RFC 3339 or as a day.
func on(t testing.TB, text string) time.Time {
	t.Helper()
	if !strings.Contains(text, "T") {
		text += "T00:00:00Z"
	}
	at, err := time.Parse(time.RFC3339, text)
	require.NoError(t, err)
	return at.UTC()
}

func TestAddMonths(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		from string
		n    int
		want string
	}{
		{"2026-01-15", 1, "2026-02-15"},
		{"2026-01-31", 1, "2026-02-28"},
		{"2024-01-31", 1, "2024-02-29"},
		{"2100-01-31", 1, "2100-02-28"}, // no leap year
		{"2000-01-30", 1, "2000-02-29"},
		{"2026-01-31", 2, "2026-03-31"}, // not from February's last
		{"2026-01-31", 3, "2026-04-30"},
		{"2026-01-31", 12, "2027-01-31"},
		{"2026-01-31", 13, "2027-02-28"},
		{"2024-02-29", 12, "2025-02-28"},
		{"2024-02-29", 48, "2028-02-29"},
		{"2026-12-31", 2, "2027-02-28"},
		{"2026-10-31", 1, "2026-11-30"},
		{"2026-05-31T23:59:59Z", 1, "2026-06-30T23:59:59Z"},
		{"2026-05-01", 0, "2026-05-01"},
	} {
		require.Equal(t, on(t, test.want), addMonths(on(t, test.from), test.n), "%s and %d months", test.from, test.n)
	}
}

func TestMonth(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ from, at, start, end string }{
		{"2026-01-31", "2026-01-31", "2026-01-31", "2026-02-28"},
		{"2026-01-31", "2026-02-27T23:59:59Z", "2026-01-31", "2026-02-28"},
		{"2026-01-31", "2026-02-28", "2026-02-28", "2026-03-31"},
		{"2026-01-31", "2026-03-30", "2026-02-28", "2026-03-31"},
		{"2026-01-31", "2026-03-31", "2026-03-31", "2026-04-30"},
		{"2024-02-29", "2025-03-01", "2025-02-28", "2025-03-29"},
		{"2024-02-29", "2028-02-29", "2028-02-29", "2028-03-29"},
		{"2026-01-10", "2027-06-09", "2027-05-10", "2027-06-10"}, // months skipped
		{"2026-01-10", "2026-01-09", "2026-01-10", "2026-02-10"}, // before it all: the first
	} {
		start, end := month(on(t, test.from), on(t, test.at))
		require.Equal(t, [2]time.Time{on(t, test.start), on(t, test.end)}, [2]time.Time{start, end}, "%s from %s", test.at, test.from)
	}
}

// TestMonthsContainTheirMoments: months from any first day follow each other
// without a gap, and each moment lies in its own.
func TestMonthsContainTheirMoments(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		from := time.Unix(rapid.Int64Range(946_684_800, 4_102_444_800).Draw(t, "from"), 0).UTC()
		at := from.Add(time.Duration(rapid.Int64Range(0, 40*366*24*3600).Draw(t, "seconds later")) * time.Second)
		start, end := month(from, at)
		require.False(t, at.Before(start), "%s begins with %s", at, start)
		require.True(t, at.Before(end), "%s ends with %s", at, end)
		length := end.Sub(start)
		require.True(t, length >= 28*24*time.Hour && length <= 31*24*time.Hour, "%s", length)
		require.Equal(t, from.Format("15:04:05"), start.Format("15:04:05"))
		require.LessOrEqual(t, start.Day(), from.Day())
		for _, inside := range []time.Time{start, end.Add(-1)} {
			s, e := month(from, inside)
			require.True(t, s.Equal(start) && e.Equal(end), "%s of the same month", inside)
		}
		if next, _ := month(from, end); !next.Equal(end) {
			t.Fatalf("%s is followed by %s", end, next)
		}
	})
}

func TestPlansNext(t *testing.T) {
	t.Parallel()
	p := plans(t).plans
	at := func(text string) *time.Time { moment := on(t, text); return &moment }
	for name, test := range map[string]struct {
		account account
		asks    Holder
		want    renewal
	}{
		"a new user": {account{Tier: Free, Now: on(t, "2026-11-28T06:00:00Z")}, HolderUser,
			renewal{Tier: Free, Holder: HolderUser, Operation: "month/2026-11", Monthly: 10_000, RenewsAt: on(t, "2026-12-01")}},
		"the calendar's, over the year": {account{Tier: Free, Holder: HolderUser, Now: on(t, "2026-12-31T23:59:59Z"), RenewsAt: on(t, "2026-12-01")}, HolderUser,
			renewal{Tier: Free, Holder: HolderUser, Operation: "month/2026-12", Monthly: 10_000, RenewsAt: on(t, "2027-01-01")}},
		"months skipped": {account{Tier: Free, Holder: HolderUser, Now: on(t, "2027-05-20"), RenewsAt: on(t, "2026-12-01")}, HolderUser,
			renewal{Tier: Free, Holder: HolderUser, Operation: "month/2027-05", Monthly: 10_000, RenewsAt: on(t, "2027-06-01")}},
		"a new guest": {account{Tier: Free, Now: on(t, "2026-11-28")}, HolderGuest,
			renewal{Tier: Free, Holder: HolderGuest, Operation: "opening/guest", Once: 1_000, RenewsAt: never}},
		"a guest that registered": {account{Tier: Free, Holder: HolderGuest, RenewsAt: never, Now: on(t, "2024-02-29")}, HolderUser,
			renewal{Tier: Free, Holder: HolderUser, Operation: "month/2024-02", Monthly: 10_000, RenewsAt: on(t, "2024-03-01")}},
		"a user never becomes a guest": {account{Tier: Free, Holder: HolderUser, Now: on(t, "2026-11-28")}, HolderGuest,
			renewal{Tier: Free, Holder: HolderUser, Operation: "month/2026-11", Monthly: 10_000, RenewsAt: on(t, "2026-12-01")}},
		"a new shared one gets none": {account{Tier: Free, Now: on(t, "2026-11-28")}, HolderShared,
			renewal{Tier: Free, Holder: HolderShared, Operation: "month/2026-11", RenewsAt: on(t, "2026-12-01")}},
		"a shared one with a tier that was given": {account{Tier: Pro, Holder: HolderShared, Now: on(t, "2026-11-28")}, HolderShared,
			renewal{Tier: Pro, Holder: HolderShared, Operation: "month/2026-11", Monthly: 100_000, RenewsAt: on(t, "2026-12-01")}},
		"a tier that was given": {account{Tier: Enterprise, Holder: HolderUser, Now: on(t, "2026-11-28")}, "",
			renewal{Tier: Enterprise, Holder: HolderUser, Operation: "month/2026-11", Monthly: 1_000_000, RenewsAt: on(t, "2026-12-01")}},
		"a subscription's last paid month waits for the next payment": {
			account{Tier: Pro, Holder: HolderUser, PaidFrom: at("2026-01-31"), PaidUntil: at("2026-02-28"), Now: on(t, "2026-02-01")}, "",
			renewal{Tier: Pro, Holder: HolderUser, Operation: "month/2026-01-31T00:00:00Z", Monthly: 100_000, RenewsAt: on(t, "2026-03-03"),
				PaidFrom: at("2026-01-31"), PaidUntil: at("2026-02-28")}},
		"a year's, month by month": {
			account{Tier: Pro, Holder: HolderShared, PaidFrom: at("2026-01-31"), PaidUntil: at("2027-01-31"), Now: on(t, "2026-03-30")}, HolderShared,
			renewal{Tier: Pro, Holder: HolderShared, Operation: "month/2026-02-28T00:00:00Z", Monthly: 100_000, RenewsAt: on(t, "2026-03-31"),
				PaidFrom: at("2026-01-31"), PaidUntil: at("2027-01-31")}},
		"a year's last month": {
			account{Tier: Pro, Holder: HolderUser, PaidFrom: at("2024-02-29"), PaidUntil: at("2025-02-28"), Now: on(t, "2025-02-10")}, HolderUser,
			renewal{Tier: Pro, Holder: HolderUser, Operation: "month/2025-01-29T00:00:00Z", Monthly: 100_000, RenewsAt: on(t, "2025-03-03"),
				PaidFrom: at("2024-02-29"), PaidUntil: at("2025-02-28")}},
		// Nobody asked in the last month: what it brings is still there to be had. The
		// month after has not been paid for.
		"a year's last month, asked for late": {
			account{Tier: Pro, Holder: HolderUser, PaidFrom: at("2026-01-31"), PaidUntil: at("2027-01-31"), Now: on(t, "2027-02-02")}, HolderUser,
			renewal{Tier: Pro, Holder: HolderUser, Operation: "month/2026-12-31T00:00:00Z", Monthly: 100_000, RenewsAt: on(t, "2027-02-03"),
				PaidFrom: at("2026-01-31"), PaidUntil: at("2027-01-31")}},
		"the grace's last moment": {
			account{Tier: Pro, Holder: HolderUser, PaidFrom: at("2026-02-28"), PaidUntil: at("2026-03-28"), Now: on(t, "2026-03-30T23:59:59Z")}, HolderUser,
			renewal{Tier: Pro, Holder: HolderUser, Operation: "month/2026-02-28T00:00:00Z", Monthly: 100_000, RenewsAt: on(t, "2026-03-31"),
				PaidFrom: at("2026-02-28"), PaidUntil: at("2026-03-28")}},
		"after the grace it is Free": {
			account{Tier: Pro, Holder: HolderUser, PaidFrom: at("2026-02-28"), PaidUntil: at("2026-03-28"), Now: on(t, "2026-03-31")}, HolderUser,
			renewal{Tier: Free, Holder: HolderUser, Operation: "month/2026-03", Monthly: 10_000, RenewsAt: on(t, "2026-04-01")}},
		"and shared ones have nothing": {
			account{Tier: Pro, Holder: HolderShared, PaidFrom: at("2026-02-28"), PaidUntil: at("2026-03-28"), Now: on(t, "2026-03-31")}, HolderShared,
			renewal{Tier: Free, Holder: HolderShared, Operation: "month/2026-03", RenewsAt: on(t, "2026-04-01")}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, p.next(test.account, test.asks))
		})
	}
}

// TestMonthsAreUTCs, wherever the process runs: replicas name a month alike.
func TestMonthsAreUTCs(t *testing.T) {
	t.Parallel()
	far := time.FixedZone("", 14*3600)
	from, until := on(t, "2026-01-31T20:00:00Z"), on(t, "2027-01-31T20:00:00Z")
	a := account{Tier: Pro, Holder: HolderUser, PaidFrom: &from, PaidUntil: &until, Now: on(t, "2026-03-10")}
	want := plans(t).plans.next(a, "")
	require.Equal(t, "month/2026-02-28T20:00:00Z", want.Operation)
	from, until, a.Now = from.In(far), until.In(far), a.Now.In(far)
	got := plans(t).plans.next(a, "")
	require.Equal(t, want.Operation, got.Operation)
	require.True(t, want.RenewsAt.Equal(got.RenewsAt), "%s, %s", want.RenewsAt, got.RenewsAt)
	a.PaidFrom, a.PaidUntil, a.Now = nil, nil, time.Date(2026, 4, 1, 3, 0, 0, 0, far) // still March
	require.Equal(t, "month/2026-03", plans(t).plans.next(a, "").Operation)
}
