package jobs

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"uaol/providers/postgres"
	"uaol/providers/postgres/pgtest"
)

func TestUnstorable(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"a":[1,-0,1.5e3,1E-300,"\\u0000","\"\\ud800","\ud83d\ude00","é"],"\n":{}}`: "",
		`""`:                     "",
		`"\u0000"`:               "holds the character",
		`{"a\u0000":1}`:          "holds the character",
		`["x","\\\u0000"]`:       "holds the character",
		`"\ud800"`:               "holds half",
		`"\uDFFF"`:               "holds half",
		`"\ud83d\ud83d\ude00"`:   "holds half",
		`"\ud83dx"`:              "holds half",
		`[1e401]`:                "holds a number",
		`{"a":1E-401}`:           "holds a number",
		`1e99999999999999999999`: "holds a number",
		`[` + strings.Repeat("1e400,", 30_000) + `1]`: "holds numbers",
		`1` + strings.Repeat("0", 801):                "holds numbers",
		"\"\xff\"":                                    "is not UTF-8",
	} {
		got := unstorable([]byte(text))
		if want == "" {
			require.Empty(t, got, text)
		} else {
			require.True(t, strings.HasPrefix(got, want), "%.40s: %s", text, got)
		}
	}
}

// What unstorable lets through, the database takes and gives back, at no more
// than a bounded length.
func TestUnstorableAgreesWithTheDatabase(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	numbers := rapid.Custom(func(t *rapid.T) string {
		return fmt.Sprintf("%d%s%s", rapid.Int32().Draw(t, "n"),
			rapid.SampledFrom([]string{"", ".0", ".25"}).Draw(t, "f"), rapid.SampledFrom([]string{"", "e1", "E+20", "e-400", "e400", "e401", "e131071"}).Draw(t, "e"))
	})
	pieces := rapid.SampledFrom([]string{"a", `\u0000`, `\ud800`, `\ude00`, `\ud83d\ude00`, `\\`, `\"`, `\n`, "é", "\x7f", `\u0041`, `\\u0000`})
	texts := rapid.Map(rapid.SliceOfN(pieces, 0, 4), func(p []string) string { return `"` + strings.Join(p, "") + `"` })
	rapid.Check(t, func(t *rapid.T) {
		items := rapid.SliceOfN(rapid.OneOf(numbers, texts), 1, 4).Draw(t, "items")
		text := `{"x":[` + strings.Join(items, ",") + `]}`
		if !json.Valid([]byte(text)) {
			return
		}
		length, err := postgres.Value[int](tContext, pool, `SELECT length(($1::text)::jsonb::text)`, text)
		if unstorable([]byte(text)) != "" {
			return // some of it could be stored, at a price
		}
		require.NoError(t, err, text)
		require.Less(t, length, 10_000)
	})
}

func TestPlain(t *testing.T) {
	t.Parallel()
	require.Equal(t, "a\ufffdb\ufffd", plain("a\x00b\xff"))
	require.Equal(t, strings.Repeat("é", maxMessage)+"…", plain(strings.Repeat("é", maxMessage+1)))
}
