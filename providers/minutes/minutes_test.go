package minutes

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"uaol/services"
)

func at(text string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		panic(err)
	}
	return t
}

// pathOf is where the only fault of an error is; "" when it has none.
func pathOf(t *testing.T, err error) string {
	var e *services.Error
	require.ErrorAs(t, err, &e)
	faults, _ := e.Details.([]services.Fault)
	if len(faults) == 0 {
		return ""
	}
	require.Len(t, faults, 1)
	return faults[0].Path
}

func TestWhatMayBeAsked(t *testing.T) {
	t.Parallel()
	now := at("2026-03-29T01:30:20.5Z")
	member := services.Caller{Account: uuid.New(), Organization: uuid.New(), Role: services.RoleUser, OrgRole: services.OrgOwner}
	admin := services.Caller{Account: uuid.New(), Organization: uuid.New(), Role: services.RoleAdmin, OrgRole: services.OrgOwner}
	for name, test := range map[string]struct {
		caller   services.Caller
		query    Query
		from, to string
		buckets  int
		kind     services.Kind
		path     string
	}{
		"the last hour":                {caller: member, query: Query{Step: 60}, from: "2026-03-29T00:30:00Z", to: "2026-03-29T01:31:00Z", buckets: 61},
		"an hour before a moment":      {caller: member, query: Query{Step: 60, To: at("2026-03-28T12:00:00Z")}, from: "2026-03-28T11:00:00Z", to: "2026-03-28T12:00:00Z", buckets: 60},
		"since a moment":               {caller: member, query: Query{Step: 300, From: at("2026-03-29T01:00:00Z")}, from: "2026-03-29T01:00:00Z", to: "2026-03-29T01:35:00Z", buckets: 7},
		"buckets begin in UTC":         {caller: member, query: Query{Step: 21600, From: at("2026-03-28T03:00:00+02:00"), To: at("2026-03-28T08:30:00+02:00")}, from: "2026-03-28T00:00:00Z", to: "2026-03-28T12:00:00Z", buckets: 2},
		"a fraction is in its bucket":  {caller: member, query: Query{Step: 60, From: at("2026-03-29T01:00:59.9Z"), To: at("2026-03-29T01:01:00.1Z")}, from: "2026-03-29T01:00:00Z", to: "2026-03-29T01:02:00Z", buckets: 2},
		"a week of days":               {caller: member, query: Query{Step: 86400, From: now.Add(-7 * 24 * time.Hour)}, from: "2026-03-22T00:00:00Z", to: "2026-03-30T00:00:00Z", buckets: 8},
		"all that there may be":        {caller: member, query: Query{Step: 60, To: at("2026-03-29T01:00:00Z"), From: at("2026-03-29T01:00:00Z").Add(-500 * time.Minute)}, from: "2026-03-28T16:40:00Z", to: "2026-03-29T01:00:00Z", buckets: 500},
		"one more":                     {caller: member, query: Query{Step: 60, To: at("2026-03-29T01:00:00Z"), From: at("2026-03-29T01:00:00Z").Add(-501 * time.Minute)}, kind: services.Invalid, path: "query.step"},
		"thousands of years":           {caller: member, query: Query{Step: 86400, From: at("0001-01-02T00:00:00Z"), To: at("9999-12-31T00:00:00Z")}, kind: services.Invalid, path: "query.step"},
		"not kept any more":            {caller: member, query: Query{Step: 86400, From: now.Add(-9 * 24 * time.Hour)}, kind: services.Invalid, path: "query.from"},
		"nothing":                      {caller: member, query: Query{Step: 60, From: now, To: now}, kind: services.Invalid, path: "query.to"},
		"backwards":                    {caller: member, query: Query{Step: 60, From: now, To: now.Add(-time.Minute)}, kind: services.Invalid, path: "query.to"},
		"nobody else's platform":       {caller: member, query: Query{Step: 60, Scope: Platform}, kind: services.Forbidden},
		"whoever is in none sees none": {caller: services.Caller{Account: uuid.New(), Role: services.RoleUser}, query: Query{Step: 3600}, from: "2026-03-29T00:00:00Z", to: "2026-03-29T02:00:00Z", buckets: 2},
		"an admin's platform":          {caller: admin, query: Query{Step: 3600, Scope: Platform}, from: "2026-03-29T00:00:00Z", to: "2026-03-29T02:00:00Z", buckets: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, err := test.query.Window(test.caller, now)
			require.Equal(t, test.kind, services.KindOf(err), "%v", err)
			if err != nil {
				require.Equal(t, test.path, pathOf(t, err))
				return
			}
			require.Equal(t, at(test.from), w.From)
			require.Equal(t, at(test.to), w.To)
			require.Len(t, w.Starts(), test.buckets)
			require.Equal(t, test.query.Scope == Platform, w.All)
			require.Equal(t, test.caller.Organization, w.Organization)
		})
	}
}

// TestBucketsHaveNoGaps, and every moment that was asked for lies in its own.
func TestBucketsHaveNoGaps(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(rapid.Int64Range(1_700_000_000, 2_000_000_000).Draw(t, "now"), rapid.Int64Range(0, 999_999_999).Draw(t, "fraction"))
		step := rapid.SampledFrom(steps).Draw(t, "step").(int64)
		to := now.Add(-time.Duration(rapid.Int64Range(0, int64(3*24*time.Hour)).Draw(t, "ago")))
		from := to.Add(-time.Duration(rapid.Int64Range(1, min((Most-1)*step, 4*86400)).Draw(t, "seconds")) * time.Second)
		w, err := Query{From: from, To: to, Step: Step(step)}.Window(services.Caller{}, now)
		if err != nil {
			t.Fatal(err)
		}
		starts := w.Starts()
		for i, start := range starts {
			if start.Unix()%step != 0 || i > 0 && start.Sub(starts[i-1].Time) != w.Step {
				t.Fatalf("bucket %d begins at %s", i, start)
			}
			if w.Place(start.Time) != i || w.Place(start.Add(w.Step-time.Nanosecond)) != i {
				t.Fatalf("bucket %d is not in its place", i)
			}
		}
		if last := to.Add(-time.Nanosecond); w.Place(from) != 0 || w.Place(last) != len(starts)-1 || from.Before(w.From) || to.After(w.To) {
			t.Fatalf("from %s to %s are %d buckets from %s to %s", from, to, len(starts), w.From, w.To)
		}
	})
}

func TestShardsDifferWhileTheyAreUsed(t *testing.T) {
	t.Parallel()
	s := NewShards()
	first := s.Take()
	s.Give(first)
	require.Equal(t, first, s.Take(), "one after the other is the same")
	seen := map[int16]bool{first: true}
	for range shards - 1 {
		seen[s.Take()] = true
	}
	require.Len(t, seen, shards)
	for n := range seen {
		require.True(t, n >= 0 && n < shards)
	}
	shared := s.Take() // somebody has to be met
	s.Give(shared)
	s.Give(shared)
	require.Equal(t, shared, s.Take(), "it is the one that nobody uses")
}
