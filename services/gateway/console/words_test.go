package console

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"uaol/services"
)

func TestOwnPage(t *testing.T) {
	t.Parallel()
	for asked, page := range map[string]string{
		"":                             "/console",
		"/console":                     "/console",
		"/console/jobs?status=Failed":  "/console/jobs?status=Failed",
		"/console/jobs/7#live":         "/console/jobs/7",
		"/consolepages":                "/console",
		"/":                            "/console",
		"/docs":                        "/console",
		"https://evil.example/console": "/console",
		"//evil.example/console":       "/console",
		"/\\evil.example":              "/console",
		"/console/\r\nSet-Cookie: a=b": "/console",
		"javascript:alert(1)":          "/console",
		"/console/sign-in?next=/x":     "/console",
		"/console/sign-out":            "/console",
		"%2f%2fevil.example":           "/console",
	} {
		require.Equal(t, page, ownPage(asked), asked)
	}
}

// FuzzOwnPage: whatever is asked for, browsers stay here.
func FuzzOwnPage(f *testing.F) {
	for _, seed := range []string{"/console/x", "//a", "/console//a", "/console/../x", "/console\\a", "\t//a"} {
		f.Add(seed)
	}
	here, _ := url.Parse("https://here.example/console/sign-in")
	f.Fuzz(func(t *testing.T, asked string) {
		page := ownPage(asked)
		to, err := here.Parse(page)
		require.NoError(t, err)
		require.Equal(t, "here.example", to.Host, page)
		require.True(t, to.Path == Prefix || strings.HasPrefix(to.Path, Prefix+"/") || strings.HasPrefix(page, Prefix+"/"), page)
		require.False(t, strings.ContainsAny(page, "\r\n\x00\\"), page)
	})
}

func TestJSONFault(t *testing.T) {
	t.Parallel()
	for text, fault := range map[string]string{
		`{"a": 1}`:       "",
		`7`:              "",
		`{"a": }`:        "line 1, column 7",
		"{\n  \"a\" 1\n": "line 2, column 7",
		`{`:              "line 1, column 1",
		`{} x`:           "line 1, column 4",
	} {
		got := jsonFault(text)
		if fault == "" {
			require.Empty(t, got, text)
			continue
		}
		require.Contains(t, got, fault, text)
	}
}

// FuzzJSONFault: the place that is told is one of the text.
func FuzzJSONFault(f *testing.F) {
	f.Add("{\n}")
	f.Add("[1,\n\n2")
	f.Fuzz(func(t *testing.T, text string) {
		require.NotContains(t, jsonFault(text), "column 0")
		require.NotContains(t, jsonFault(text), "column -")
	})
}

func TestWords(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"0", "999", "1,000", "−1,234,567", "12,345"}, []string{thousands(0), thousands(999), thousands(1000), thousands(-1234567), thousandsOf("12345")})
	require.Equal(t, []string{"1 credit", "0 credits", "2,000 credits"}, []string{creditsText(1), creditsText("0"), creditsText(int64(2000))})
	require.Equal(t, []string{"1 byte", "1.0 KB", "2.5 MB"}, []string{bytesText(1), bytesText(1024), bytesText(2.5 * 1024 * 1024)})
	for d, said := range map[time.Duration]string{
		-time.Second: "0 ms", 250 * time.Microsecond: "0.25 ms", 7 * time.Millisecond: "7 ms", 750 * time.Millisecond: "750 ms",
		1500 * time.Millisecond: "1.5 s", 90 * time.Second: "1 min 30 s", 3 * time.Hour: "3 h 0 min", 72 * time.Hour: "3 days",
	} {
		require.Equal(t, said, durationText(d))
	}
	require.Equal(t, "{\n  \"a\": [\n    1\n  ]\n}", indented(map[string]any{"a": []int{1}}))
}

func TestLifeOf(t *testing.T) {
	t.Parallel()
	require.InDelta(t, time.Until(time.Unix(1893456000, 0)), lifeOf("x.eyJleHAiOjE4OTM0NTYwMDB9.y"), float64(time.Second))
	for _, bad := range []string{"", "a.b", "a.!.c", "a.e30.c.d", "a.bm8.c"} {
		require.Zero(t, lifeOf(bad), bad)
	}
}

func TestBars(t *testing.T) {
	t.Parallel()
	at := func(ms int) *time.Time {
		moment := time.UnixMilli(int64(1_000_000 + ms))
		return &moment
	}
	j := job{Status: "Success", Start: at(100), End: at(1100)}
	got := bars(j, []step{{ID: "late", Start: at(600), End: at(1100)}, {ID: "early", Start: at(100), End: at(600)}, {ID: "never"}, {ID: "blink", Start: at(1100), End: at(1100)}})
	require.Len(t, got, 3)
	require.Equal(t, []bar{
		{Step: step{ID: "early", Start: at(100), End: at(600)}, From: 0, Width: 500, Took: "500 ms"},
		{Step: step{ID: "late", Start: at(600), End: at(1100)}, From: 500, Width: 500, Took: "500 ms"},
	}, got[:2])
	require.Equal(t, 4, got[2].Width, "it can be seen")
	require.Nil(t, bars(job{}, nil))
}

func TestFigures(t *testing.T) {
	t.Parallel()
	p95 := 12.34
	now := time.Now().Truncate(time.Minute)
	calls := []callMinutes{{From: now.Add(-time.Minute), Calls: 90, Failed: 5, Unknown: 1, Credits: 7, P95: &p95}, {From: now, Calls: 30, Refused: 3}}
	jobs := []jobMinutes{{From: now.Add(-time.Minute), Ended: 60, Failed: 2}, {From: now, Ended: 6}}
	rows, sum := figures(calls, jobs, spans[0])
	require.Equal(t, now, rows[0].From, "the newest first")
	require.Equal(t, figure{From: now.Add(-time.Minute), Jobs: 60, JobsBad: 2, Calls: 90, CallsBad: 6, Credits: 7, P95: "12.3"}, rows[1])
	require.Equal(t, "7.5 %", sum.Errors)
	require.Equal(t, "12.3", sum.P95, "of the last minute that had any")
	require.EqualValues(t, 7, sum.Credits)
	_, sum = figures(nil, nil, spans[0])
	require.Equal(t, tiles{JobsPerSecond: "0", CallsPerSecond: "0", Errors: "–"}, sum)
}

// TestTemplates: every page's template is there and none is left over, and none has what
// the policy would refuse.
func TestTemplates(t *testing.T) {
	t.Parallel()
	for name, one := range templates() {
		require.NotNil(t, one.Lookup("main"), name)
		for _, part := range one.Templates() {
			if part.Tree == nil {
				continue
			}
			text := part.Tree.Root.String()
			require.NotRegexp(t, `(?i)<[^>]*\son[a-z]+=|<[^>]*\sstyle=|javascript:|<script(?: [^>]*)?>[^<]`, text, "%s %s", name, part.Name())
			require.NotRegexp(t, `(?i)(src|href|action)="https?:`, text, "%s %s", name, part.Name())
		}
	}
	for _, script := range []string{"console.js", "plots.js", "graph.js"} {
		text := string(assets().contents[assets().at+script])
		require.NotEmpty(t, text, script)
		require.NotRegexp(t, `innerHTML\s*=|outerHTML|insertAdjacentHTML|document\.write|eval\(|https?://`, strings.ReplaceAll(text, "http://www.w3.org", ""), script)
	}
}

// TestTroubleInWords: what is wrong is told once, and a field is called by its name.
func TestTroubleInWords(t *testing.T) {
	t.Parallel()
	err := services.Faults(services.Fault{Path: "body.tags[1]", Message: "must be short"}, services.Fault{Path: "body.name", Message: "must not be empty"})
	require.Equal(t, "tags[1]: must be short", messageOf(err))
	require.Equal(t, map[string]string{"name": "must not be empty"}, besides(messageOf(err), faultsOf(err)))
	require.Empty(t, besides("Not found", nil))
	require.Contains(t, messageOf(services.ErrRepeated), "sent before, and done once")
	for said, want := range map[string]string{
		"expected length >= 1": "must not be empty", "expected length >= 12": "must have at least 12 characters", "expected length <= 100": "must have at most 100 characters",
		"expected number >= 0": "must be at least 0", "expected number <= 1e+09": "must be at most 1e+09", "expected integer": "must be a number", "is taken": "is taken",
	} {
		require.Equal(t, want, inWords(said))
	}
}
