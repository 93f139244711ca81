package cron

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"uaol/services"
)

func TestFaults(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		expression, zone string
		paths            []string
	}{
		"good":             {"*/5 * * * *", "UTC", nil},
		"names":            {"0 9 1-15 jan,JUL mon-fri", "Europe/Berlin", nil},
		"sunday is 7 too":  {"0 9 * * 7", "UTC", nil},
		"leap day":         {"0 0 29 2 *", "UTC", nil},
		"hourly":           {"@hourly", "Asia/Kolkata", nil},
		"nothing":          {"", "UTC", []string{"body.cron"}},
		"four fields":      {"* * * *", "UTC", []string{"body.cron"}},
		"six fields":       {"0 * * * * *", "UTC", []string{"body.cron"}},
		"minute 60":        {"60 * * * *", "UTC", []string{"body.cron"}},
		"no step":          {"*/0 * * * *", "UTC", []string{"body.cron"}},
		"over midnight":    {"0 22-2 * * *", "UTC", nil},
		"unknown word":     {"@sometimes", "UTC", []string{"body.cron"}},
		"every":            {"@every 1h", "UTC", []string{"body.cron"}},
		"a zone in it":     {"TZ=Europe/Berlin 0 9 * * *", "UTC", []string{"body.cron"}},
		"never":            {"0 0 30 2 *", "UTC", []string{"body.cron"}},
		"no zone":          {"@daily", "", []string{"body.time_zone"}},
		"unknown zone":     {"@daily", "Europe/Atlantis", []string{"body.time_zone"}},
		"the machine's":    {"@daily", "Local", []string{"body.time_zone"}},
		"a path":           {"@daily", "../../etc/passwd", []string{"body.time_zone"}},
		"everything wrong": {"x", "x", []string{"body.time_zone", "body.cron"}},
	} {
		_, err := Parse(test.expression, test.zone)
		var paths []string
		var e *services.Error
		if errors.As(err, &e) {
			require.Equal(t, services.Invalid, e.Kind)
			for _, f := range e.Details.([]services.Fault) {
				paths = append(paths, f.Path)
			}
		}
		require.Equal(t, test.paths, paths, "%s: %v", name, err)
	}
}

// TestClockChanges: what an hour that does not exist and one that comes twice mean.
func TestClockChanges(t *testing.T) {
	t.Parallel()
	const spring, autumn = "2026-03-29T00:00:00+01:00", "2026-10-25T00:00:00+02:00" // Berlin: 2:00 is 3:00, 3:00 is 2:00
	for name, test := range map[string]struct {
		expression, zone, after string
		want                    []string
	}{
		"put forward over it":        {"30 2 * * *", "Europe/Berlin", spring, []string{"2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"}},
		"several of them are one":    {"*/20 2 * * *", "Europe/Berlin", spring, []string{"2026-03-29T03:00:00+02:00", "2026-03-30T02:00:00+02:00"}},
		"and one with the next":      {"0,30 2-3 * * *", "Europe/Berlin", spring, []string{"2026-03-29T03:00:00+02:00", "2026-03-29T03:30:00+02:00", "2026-03-30T02:00:00+02:00"}},
		"just before":                {"59 1 * * *", "Europe/Berlin", spring, []string{"2026-03-29T01:59:00+01:00", "2026-03-30T01:59:00+02:00"}},
		"every hour, over the gap":   {"30 * * * *", "Europe/Berlin", "2026-03-29T01:00:00+01:00", []string{"2026-03-29T01:30:00+01:00", "2026-03-29T03:30:00+02:00"}},
		"at the change itself":       {"@hourly", "Europe/Berlin", "2026-03-29T01:30:00+01:00", []string{"2026-03-29T03:00:00+02:00", "2026-03-29T04:00:00+02:00"}},
		"every quarter":              {"*/15 * * * *", "Europe/Berlin", "2026-03-29T01:40:00+01:00", []string{"2026-03-29T01:45:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-29T03:15:00+02:00"}},
		"twice is once":              {"30 2 * * *", "Europe/Berlin", autumn, []string{"2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"}},
		"asked in between":           {"30 2 * * *", "Europe/Berlin", "2026-10-25T02:10:00+01:00", []string{"2026-10-26T02:30:00+01:00"}},
		"the hour after":             {"0 3 * * *", "Europe/Berlin", autumn, []string{"2026-10-25T03:00:00+01:00"}},
		"some hours":                 {"0 1-3 * * *", "Europe/Berlin", autumn, []string{"2026-10-25T01:00:00+02:00", "2026-10-25T02:00:00+02:00", "2026-10-25T03:00:00+01:00"}},
		"every hour, both":           {"30 * * * *", "Europe/Berlin", "2026-10-25T02:00:00+02:00", []string{"2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00", "2026-10-25T03:30:00+01:00"}},
		"every hour, said otherwise": {"30 0-23 * * *", "Europe/Berlin", "2026-10-25T02:00:00+02:00", []string{"2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00"}},
		"New York, forward":          {"30 2 * * *", "America/New_York", "2026-03-08T00:00:00-05:00", []string{"2026-03-08T03:00:00-04:00", "2026-03-09T02:30:00-04:00"}},
		"New York, back":             {"30 1 * * *", "America/New_York", "2026-11-01T00:00:00-04:00", []string{"2026-11-01T01:30:00-04:00", "2026-11-02T01:30:00-05:00"}},
		"no midnight":                {"@daily", "America/Sao_Paulo", "2018-11-03T12:00:00-03:00", []string{"2018-11-04T01:00:00-02:00", "2018-11-05T00:00:00-02:00"}},
		"half an hour, forward":      {"10 2 * * *", "Australia/Lord_Howe", "2026-10-04T00:00:00+10:30", []string{"2026-10-04T02:30:00+11:00", "2026-10-05T02:10:00+11:00"}},
		"half an hour, back":         {"*/20 * * * *", "Australia/Lord_Howe", "2026-04-05T01:30:00+11:00", []string{"2026-04-05T01:40:00+11:00", "2026-04-05T01:40:00+10:30", "2026-04-05T02:00:00+10:30"}},
		"a day that does not exist":  {"0 12 30 12 *", "Pacific/Apia", "2011-12-29T12:00:00-10:00", []string{"2011-12-31T00:00:00+14:00", "2012-12-30T12:00:00+14:00"}},
		"no changes":                 {"30 2 * * *", "UTC", "2026-03-29T00:00:00Z", []string{"2026-03-29T02:30:00Z", "2026-03-30T02:30:00Z"}},
		"days of month or of week":   {"0 0 13 * 5", "UTC", "2026-03-01T00:00:00Z", []string{"2026-03-06T00:00:00Z", "2026-03-13T00:00:00Z", "2026-03-20T00:00:00Z"}},
		"over a century":             {"0 0 29 2 *", "UTC", "2096-03-01T00:00:00Z", []string{"2104-02-29T00:00:00Z"}},
	} {
		table, err := Parse(test.expression, test.zone)
		require.NoError(t, err, name)
		at, err := time.Parse(time.RFC3339, test.after)
		require.NoError(t, err)
		var got []string
		for range test.want {
			at = table.Next(at)
			got = append(got, at.In(table.zone).Format(time.RFC3339))
		}
		require.Equal(t, test.want, got, name)
	}
}

// TestNext over a year of every zone's changes: moments grow, show a time that the
// timetable has or are one of a change, and none is left out or comes anew.
func TestNext(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		expression := rapid.SampledFrom([]string{"* * * * *", "*/7 * * * *", "30 * * * *", "0 */2 * * *", "15,45 1-3 * * *", "30 2 * * *", "@daily", "0 0 * * 0"}).Draw(t, "expression")
		zone := rapid.SampledFrom([]string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Kolkata", "Africa/Casablanca", "Pacific/Apia"}).Draw(t, "zone")
		table, err := Parse(expression, zone)
		if err != nil {
			t.Fatal(err)
		}
		at := time.Unix(rapid.Int64Range(1_290_000_000, 1_900_000_000).Draw(t, "at"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds"))
		if rapid.Bool().Draw(t, "near a change") {
			if _, end := at.In(table.zone).ZoneBounds(); !end.IsZero() {
				at = end.Add(time.Duration(rapid.Int64Range(-7200, 7200).Draw(t, "off")) * time.Second)
			}
		}
		next := table.Next(at)
		if !next.After(at) {
			t.Fatalf("%s is not after %s", next, at)
		}
		wall := onTheWall(next.In(table.zone))
		start, _ := next.In(table.zone).ZoneBounds()
		if !table.walls.Next(wall.Add(-time.Second)).Equal(wall) && !start.Equal(next) {
			t.Fatalf("%s is no time of %s", next, expression)
		}
		// From anywhere in between it is the same one.
		between := at.Add(time.Duration(rapid.Int64Range(0, int64(next.Sub(at))-1).Draw(t, "between")))
		if again := table.Next(between); !again.Equal(next) {
			t.Fatalf("after %s it is %s, after %s it is %s", at, next, between, again)
		}
	})
}

func TestDue(t *testing.T) {
	t.Parallel()
	table, err := Parse("*/10 * * * *", "UTC")
	require.NoError(t, err)
	last := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	require.Equal(t, []time.Time{last.Add(-10 * time.Minute), last}, table.Due(last.Add(-10*time.Minute), last.Add(9*time.Minute), 10), "both ends are in")
	require.Empty(t, table.Due(last.Add(time.Second), last.Add(9*time.Minute), 10))
	require.Equal(t, []time.Time{last}, table.Due(last.Add(-time.Hour), last, 1), "the newest")
	begun := time.Now()
	due := table.Due(last.AddDate(-50, 0, 0), last, 1000)
	require.Less(t, time.Since(begun), time.Second)
	require.Len(t, due, 1000)
	require.Equal(t, last, due[999])
	require.Equal(t, last.Add(-9990*time.Minute), due[0])
	rare, err := Parse("@yearly", "UTC")
	require.NoError(t, err)
	require.Len(t, rare.Due(last.AddDate(-50, 0, 0), last, 1000), 50)
}
