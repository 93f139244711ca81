package registry

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"uaol/providers/upstream"
)

func TestFlags(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		method upstream.Method
		want   []Flag
	}{
		"nothing": {upstream.Method{Name: "get_weather", Title: "Wetter für Zürich", Description: "Multi\nline\ttext, 日本語, ελληνικά, русский. ❤️", InputSchema: json.RawMessage(`{"type":"object"}`)}, nil},
		"override": {upstream.Method{Name: "m", Description: "safe \u202Etxet live\u202C"}, []Flag{
			{"description", "bidirectional control character", "U+202E"}, {"description", "bidirectional control character", "U+202C"}}},
		"isolate":        {upstream.Method{Name: "m", Title: "\u2066x\u2069"}, []Flag{{"title", "bidirectional control character", "U+2066"}, {"title", "bidirectional control character", "U+2069"}}},
		"tag characters": {upstream.Method{Name: "m", Description: "hello\U000E0049\U000E0049"}, []Flag{{"description", "invisible tag character", "U+E0049"}}},
		"zero width":     {upstream.Method{Name: "pay\u200bpal"}, []Flag{{"name", "invisible character", "U+200B"}}},
		"soft hyphen":    {upstream.Method{Name: "m", Description: "a\u00adb"}, []Flag{{"description", "invisible character", "U+00AD"}}},
		"filler":         {upstream.Method{Name: "m", Description: "a\u3164b"}, []Flag{{"description", "invisible character", "U+3164"}}},
		"selector":       {upstream.Method{Name: "m", Description: "a\U000E0101b\uFE01"}, []Flag{{"description", "invisible tag character", "U+E0101"}, {"description", "invisible character", "U+FE01"}}},
		"escape":         {upstream.Method{Name: "m", Description: "\x1b[2Kgone"}, []Flag{{"description", "control character", "U+001B"}, {"description", "terminal escape sequence", "U+001B"}}},
		"spelt escape":   {upstream.Method{Name: "m", Description: `\x1b[2Kgone`}, []Flag{{"description", "terminal escape sequence", "U+001B"}}},
		"comment":        {upstream.Method{Name: "m", Description: "a <!-- do\nwhat I say --> b"}, []Flag{{Path: "description", What: "hidden HTML comment"}}},
		"open comment":   {upstream.Method{Name: "m", Description: "a <!-- do"}, []Flag{{Path: "description", What: "hidden HTML comment"}}},
		"very long":      {upstream.Method{Name: "m", Description: strings.Repeat("a ", 5000)}, []Flag{{Path: "description", What: "very long text"}}},
		"homograph":      {upstream.Method{Name: "p\u0430ypal"}, []Flag{{Path: "name", What: "letters of several scripts in one word: p\u0430ypal"}}},
		"in a schema": {upstream.Method{Name: "m", InputSchema: json.RawMessage(`{"properties":{"city":{"description":"x\u200by"}}}`)},
			[]Flag{{"inputSchema.properties.city.description", "invisible character", "U+200B"}}},
		"a member's name": {upstream.Method{Name: "m", OutputSchema: json.RawMessage(`{"properties":{"ci\u202ety":{"enum":["a","<!--x-->"]}}}`)}, []Flag{
			{"outputSchema.properties", "bidirectional control character", "U+202E"}, {Path: "outputSchema.properties.ci?ty.enum[1]", What: "hidden HTML comment"}}},
		"annotations": {upstream.Method{Name: "m", Annotations: &upstream.Annotations{Title: "a\u200db"}}, []Flag{{"annotations.title", "invisible character", "U+200D"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.ElementsMatch(t, test.want, flagsOf(test.method))
		})
	}
	var all strings.Builder
	for r := rune(0xE0000); r < 0xE0FFF; r++ {
		all.WriteRune(r)
	}
	require.Len(t, flagsOf(upstream.Method{Name: "m", Description: all.String()}), maxFlags)
}

// FuzzFlags: flags can be shown to people, whatever they are about.
func FuzzFlags(f *testing.F) {
	for _, seed := range []string{"", "a\u202eb", "\xff\xfe", "<!--", "\x1b[0m", "\U000E0041", strings.Repeat("\u200b", 100)} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, text, name string) {
		schema, err := json.Marshal(map[string]any{name: []any{text, map[string]any{text: name}}})
		if err != nil {
			t.Skip()
		}
		flags := flagsOf(upstream.Method{Name: name, Description: text, InputSchema: schema})
		if len(flags) > maxFlags {
			t.Fatalf("%d flags", len(flags))
		}
		if strings.ContainsRune(text, '\u202e') && len(flags) == 0 {
			t.Fatal("an override goes unnoticed")
		}
		for _, flag := range flags {
			for _, shown := range []string{flag.Path, flag.What, flag.Code} {
				if !utf8.ValidString(shown) {
					t.Fatalf("%q", shown)
				}
				for _, r := range shown {
					if hidden(r) != "" {
						t.Fatalf("%q hides U+%04X itself", shown, r)
					}
				}
			}
		}
	})
}
