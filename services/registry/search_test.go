package registry

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"uaol/services"
)

func TestSearch(t *testing.T) {
	t.Parallel()
	b, owner := setup(t), user()
	add := func(name, description string, tags ...string) uuid.UUID {
		url := toolURL
		tool, err := b.service.Register(t.Context(), owner, Change{Name: &name, Description: &description, Tags: &tags, GatewayURL: &url})
		require.NoError(t, err)
		require.NoError(t, b.service.Approve(t.Context(), admin(), tool.ID, Decision{Unpinned: true}))
		return tool.ID
	}
	weather := add("Weather", "Forecasts for tools.example.com and Zürich's lakes", "forecast", "open-data")
	git := add("Git & Co", "Reads repositories; it's 'quoted' \\ and :* too", "code")
	japan := add("日本語 tool", "हिन्दी text", "open-data")
	find := func(query string) []uuid.UUID {
		t.Helper()
		var found []Tool
		got := b.do(t, services.Caller{}, "GET", "/tools?"+query, "", &found)
		require.Equal(t, http.StatusOK, got.Status, got.Text)
		ids := []uuid.UUID{}
		for _, tool := range found {
			ids = append(ids, tool.ID)
		}
		return ids
	}
	all := []uuid.UUID{weather, git, japan}
	for query, want := range map[string][]uuid.UUID{
		"":                                all,
		"q=":                              all,
		"q=%20":                           all,
		"q=weath":                         {weather},
		"q=WEATHER+fore":                  {weather},
		"q=fore+weath":                    {weather},
		"q=weather+git":                   {},
		"q=example":                       {weather},
		"q=tools.example.com":             {weather},
		"q=z%C3%BCr":                      {weather},
		"q=lakes":                         {weather},
		"q=%E6%97%A5%E6%9C%AC":            {japan},
		"q=%E0%A4%B9%E0%A4%BF":            {japan},
		"q=eather":                        {},
		"q=git%20%26%20co":                {git},
		"q=!!!":                           {},
		"q=%27":                           {},
		"q=a%27%20%7C%20%27b":             {},
		"q=%5C":                           {},
		"q=" + strings.Repeat("x", 200):   {},
		"q=quoted":                        {git},
		"q=forecast":                      {weather},
		"tag=open-data":                   {weather, japan},
		"tag=Open%20Data":                 {weather, japan},
		"tag=open-data&tag=forecast":      {weather},
		"tag=open-data,forecast":          {weather},
		"tag=open":                        {},
		"tag=%27":                         {},
		"tag=open-data&q=weather":         {weather},
		"tag=code&q=weather":              {},
		"owner=" + owner.Account.String(): all,
		"owner=" + uuid.NewString():       {},
		"status=approved":                 all, // the original takes no notice of it
		"status=pending":                  all,
		"owner=" + owner.Organization.String() + "&q=weather": {weather},
	} {
		require.ElementsMatch(t, want, find(query), query)
	}
	for _, query := range []string{"owner=nobody", "owner=me", "status=great", "q=" + strings.Repeat("x", 201)} {
		require.Equal(t, http.StatusBadRequest, b.do(t, services.Caller{}, "GET", "/tools?"+query, "", nil).Status, query)
	}
	var mine []Tool
	b.do(t, owner, "GET", "/tools?owner=me", "", &mine)
	require.Len(t, mine, 3)
	b.do(t, owner, "GET", "/tools?status=Pending", "", &mine)
	require.Empty(t, mine)

	// What changes is found anew.
	got := b.do(t, owner, "PUT", "/tools/"+git.String(), `{"name":"Mercurial","description":"","tags":["vcs"]}`, nil)
	require.Equal(t, http.StatusOK, got.Status, got.Text)
	require.Empty(t, find("q=repositories"))
	require.Equal(t, []uuid.UUID{git}, find("q=mercur&tag=vcs"))
	require.Equal(t, []uuid.UUID{git}, find("q=git"), "its slug stays")
}

// TestLongDescriptionsAreCutInLists between characters, and shown in whole alone.
func TestLongDescriptionsAreCutInLists(t *testing.T) {
	t.Parallel()
	b, owner, name, url := setup(t), user(), "Long", toolURL
	description := strings.Repeat("ü€", 3000)
	tool, err := b.service.Register(t.Context(), owner, Change{Name: &name, Description: &description, GatewayURL: &url})
	require.NoError(t, err)
	require.Equal(t, description, tool.Description)
	own, err := b.service.Own(t.Context(), owner, time.Now().Add(time.Hour), uuid.Max, 10)
	require.NoError(t, err)
	require.LessOrEqual(t, len(own[0].Description), listedDescription)
	require.True(t, strings.HasPrefix(description, strings.TrimSuffix(own[0].Description, "…")))
	require.False(t, strings.ContainsRune(own[0].Description, unicode.ReplacementChar))
}

// FuzzSearch: whatever is asked is a question that the index understands.
func FuzzSearch(f *testing.F) {
	for _, seed := range []string{"", "a b", "'", `\`, "a:*&!(", "\x00", "\xff", "ﬁ İ ß", "日本 हिन्दी", strings.Repeat("a ", 50)} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, text, tag string) {
		question, _ := questionOf(text, []string{tag})
		index := indexOf(text, "", "", nil)
		for _, lexemes := range []string{question, index} {
			plain := strings.NewReplacer("':* & '", " ", "' & '", " ", "' '", " ", "':*", "", "'", "").Replace(lexemes)
			for _, r := range plain {
				if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.Is(unicode.Mark, r) && !slices.Contains([]rune{' ', '#', '-'}, r) {
					t.Fatalf("%q holds %q", lexemes, r)
				}
			}
		}
		for _, word := range wordsOf(text, maxAsked) {
			if !strings.Contains(index, "'"+word+"'") {
				t.Fatalf("%q is asked for and not in %q", word, index)
			}
		}
	})
}

// fill puts n approved tools into the database, with words as tools have them:
// a few in most and many in few.
func fill(t testing.TB, pool *pgxpool.Pool, n int) (words []string) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		word := make([]byte, 4+r.IntN(8))
		for i := range word {
			word[i] = "etaoinshrdlu"[r.IntN(12)]
		}
		words = append(words, string(word))
	}
	pick := func() string { return words[min(int(r.ExpFloat64()*float64(len(words))/10), len(words)-1)] }
	var ids, names, slugs, descriptions, indices []string
	for i := range n {
		name := pick() + " " + pick() + " " + fmt.Sprint(i)
		var description strings.Builder
		for range 30 {
			description.WriteString(pick() + " ")
		}
		tags := []string{pick(), pick()}
		ids, names, slugs = append(ids, uuid.Must(uuid.NewV7()).String()), append(names, name), append(slugs, fmt.Sprint("s", i))
		descriptions, indices = append(descriptions, description.String()), append(indices, indexOf(name, slugs[i], description.String(), tags))
	}
	ctx := t.Context()
	for _, sql := range []string{
		`INSERT INTO uaol_registry.tools (tool_id, organization_id, developer_id, slug, name, description, gateway_url, protocol, credit_cost_per_call, status, approved_version, search)
			SELECT x.id::uuid, gen_random_uuid(), gen_random_uuid(), x.slug, x.name, x.description, 'https://example.com/mcp', 'mcp', 1, 'Approved', 1, x.index::tsvector
			FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) AS x (id, name, slug, description, index)`,
	} {
		_, err := pool.Exec(ctx, sql, ids, names, slugs, descriptions, indices)
		require.NoError(t, err)
	}
	for _, sql := range []string{
		`INSERT INTO uaol_registry.versions (tool_id, version, status, definition, created_by, decided_at)
			SELECT tool_id, 1, 'Approved', jsonb_build_object('gateway_url', gateway_url, 'protocol', protocol, 'credit_cost_per_call', 1, 'visibility', 'public'), developer_id, now() FROM uaol_registry.tools`,
		`INSERT INTO uaol_registry.health (tool_id) SELECT tool_id FROM uaol_registry.tools`,
		`ANALYZE uaol_registry.tools`, `ANALYZE uaol_registry.health`,
	} {
		_, err := pool.Exec(ctx, sql)
		require.NoError(t, err)
	}
	return words
}

// BenchmarkSearch looks among 25,000 tools for words that are in many, in few
// and in none of them, and pages through all.
func BenchmarkSearch(b *testing.B) {
	bench := setup(b)
	words := fill(b, bench.pool, 25_000)
	r := rand.New(rand.NewPCG(3, 4))
	var took []time.Duration
	for b.Loop() {
		word := words[min(int(r.ExpFloat64()*300), len(words)-1)]
		search := Search{Caller: user(), Status: Approved, Limit: 51}
		switch r.IntN(6) {
		case 0: // the beginning of all
		case 1:
			search.After, search.AfterID = word, uuid.Max
		case 2:
			search.Question, _ = questionOf(word[:1+r.IntN(3)], nil) // somebody is typing
		case 3:
			search.Question, _ = questionOf(word, nil)
		case 4:
			search.Question, _ = questionOf(word+" "+words[r.IntN(len(words))][:2], nil)
		case 5:
			search.Question, _ = questionOf("", []string{word})
		}
		begun := time.Now()
		_, err := bench.service.Find(b.Context(), search)
		require.NoError(b, err)
		took = append(took, time.Since(begun))
	}
	slices.Sort(took)
	at := func(share float64) float64 {
		return float64(took[int(float64(len(took)-1)*share)]) / float64(time.Millisecond)
	}
	b.ReportMetric(at(0.5), "p50-ms")
	b.ReportMetric(at(0.95), "p95-ms")
	b.ReportMetric(at(1), "max-ms")
}
