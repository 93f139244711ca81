package lines

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func written(lines []Line) string {
	var out strings.Builder
	for _, line := range lines {
		out.WriteString(string(line.Sign) + line.Text + "\n")
	}
	return out.String()
}

func TestDiff(t *testing.T) {
	t.Parallel()
	many := make([]string, 20)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	long := strings.Join(many, "\n")
	for name, test := range map[string]struct{ old, now, want string }{
		"the same":  {"a\nb", "a\nb", ""},
		"all new":   {"", "a\nb", "+a\n+b\n"},
		"all gone":  {"a", "", "-a\n"},
		"in order":  {"a\nb\nc", "a\nx\nc\nd", " a\n-b\n+x\n c\n+d\n"},
		"moved":     {"a\nb\nc", "c\na\nb", "+c\n a\n b\n-c\n"},
		"far away":  {long, strings.Replace(long, "\n10\n", "\nten\n", 1), "…7 lines are the same\n 7\n 8\n 9\n-10\n+ten\n 11\n 12\n 13\n…6 lines are the same\n"},
		"one aside": {"a\n1\n2\n3\nb", "a\n1\n2\n3\nc", " a\n 1\n 2\n 3\n-b\n+c\n"},
	} {
		require.Equal(t, test.want, written(Diff(test.old, test.now)), name)
	}
	huge := strings.Repeat("x\n", 3000)
	require.Len(t, Diff("a\n"+huge, "b\n"+strings.ReplaceAll(huge, "x", "y")), 6002, "texts that are too long to match are shown whole")
}

func TestReveal(t *testing.T) {
	t.Parallel()
	require.Equal(t, []Piece{{Text: "pay "}, {"U+202E", true}, {Text: "em\tnow\n"}}, Reveal("pay \u202eem\tnow\n"))
	require.Equal(t, []Piece{{"U+200B", true}, {"U+E0041", true}, {Text: "é ❤️"}}, Reveal("\u200b\U000E0041é ❤️"))
	require.Equal(t, []Piece{{Text: "a"}, {"U+FFFD", true}, {Text: "b"}, {"U+FFFD", true}}, Reveal("a\xffb\ufffd"))
	require.Empty(t, Reveal(""))
}

// FuzzLines: a difference holds all of both texts that is not left out, and revealing
// loses nothing that can be read.
func FuzzLines(f *testing.F) {
	f.Add("a\nb\nc", "a\nc\nd")
	f.Add("", "\u202e\xff")
	f.Fuzz(func(t *testing.T, old, now string) {
		removed, added, same, skipped := 0, 0, 0, 0
		for _, line := range Diff(old, now) {
			switch line.Sign {
			case Removed:
				removed++
			case Added:
				added++
			case Same:
				same++
			case Skipped:
				var n int
				if _, err := fmt.Sscanf(line.Text, "%d", &n); err != nil {
					t.Fatal(err)
				}
				skipped += n
			}
		}
		if old != now && (removed+same+skipped != len(split(old)) || added+same+skipped != len(split(now))) {
			t.Fatalf("%d old, %d new: -%d +%d =%d …%d", len(split(old)), len(split(now)), removed, added, same, skipped)
		}
		length := 0
		for _, piece := range Reveal(old) {
			if piece.Text == "" {
				t.Fatal("an empty piece")
			}
			if !piece.Hidden {
				length += len(piece.Text)
			}
		}
		if length > len(old) {
			t.Fatal("more than there was")
		}
	})
}
