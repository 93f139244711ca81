package workflow

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Whatever loops over large lists, or is large itself, ends by its cost.
func TestConditionsAreBounded(t *testing.T) {
	t.Parallel()
	for name, text := range unbounded() {
		t.Run(name, func(t *testing.T) { tooMuch(t, text) })
	}
}

// BenchmarkBoundedConditions tells how long what is refused takes until then: half
// a second, where nobody else uses the processors.
func BenchmarkBoundedConditions(b *testing.B) {
	for name, text := range unbounded() {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				tooMuch(b, text)
			}
		})
	}
}

func tooMuch(t testing.TB, text string) {
	t.Helper()
	scope := Scope{Input: json.RawMessage(`{"list":[` + strings.Repeat(`"x",`, 100_000) + `"x"],"text":"` + strings.Repeat("x", maxCompared+1) + `"}`)}
	_, err := condition(t, text).within(context.Background(), scope, time.Hour) // so that it is the cost that ends it
	require.EqualError(t, err, "the condition takes too many operations", text)
}

func unbounded() map[string]string {
	doubled := `[input.list]` + strings.Repeat(`.map(x, [x, x])`, 25)
	return map[string]string{
		"loops in loops":    `input.list.all(x, input.list.all(y, input.list.all(z, true)))`,
		"lists of lists":    `input.list.map(x, input.list.map(y, input.list)).size() > 0`,
		"other macros":      `input.list.filter(x, input.list.exists_one(y, y == x)).size() == 0`,
		"equality":          `input.list.all(x, input.list == input.list)`,
		"in":                `input.list.all(x, x in input.list || !("y" in input.list))`,
		"search":            `input.list.all(x, input.text.contains("y") == false)`,
		"texts that grow":   `input.list.all(x, input.text + input.text != x)`,
		"and double":        `[input.text + input.text].map(a, a + a).map(b, b + b).map(c, c + c).size() == 1`,
		"string functions":  `input.list.all(x, input.text.lowerAscii().substring(3).charAt(2).trim() == "")`,
		"order":             `input.list.all(x, input.text < input.text + "y")`,
		"size":              `input.list.all(x, size(input.text) > 1)`,
		"conversions":       `input.list.all(x, string(bytes(input.text)) == "x")`,
		"those that fail":   `input.list.all(x, bool(input.text) || true)`,
		"prefixes":          `input.list.all(x, input.text.startsWith(input.text))`,
		"a large text":      `input.text == input.text`,
		"a large value":     `input != input`,
		"a pattern":         `input.text.matches("(x+x+)+y")`,
		"values in values":  doubled + ` == ` + doubled,
		"or not equal":      doubled + ` != ` + doubled,
		"or one in another": `[] in ` + doubled,
	}
}

// What is within the limits is what CEL says, also where our own code stands
// before it.
func TestComparisons(t *testing.T) {
	t.Parallel()
	scope := Scope{Input: json.RawMessage(`{"deep":` + strings.Repeat(`{"a":[`, 40) + strings.Repeat(`]}`, 40) + `,"list":[` + strings.Repeat(`{"x":1},`, 20_000) + `2],"text":"` + strings.Repeat("x", 50_000) + `"}`)}
	for text, want := range map[string]bool{
		`input.deep == input.deep && !(input.deep != input.deep)`: true,
		`input.list == input.list + []`:                           true,
		`input.list != input.list`:                                false,
		`2.0 in input.list && {"x": 1.0} in input.list`:           true,
		`"list" in input && !("x" in input)`:                      true,
		`input == {} || input == null`:                            false,
		`input.text.matches("^x+$") && !matches(input.text, "y")`: true,
		`input.text.upperAscii().contains("XX")`:                  true,
		`size(input.text) == 50000 && size(input.list) == 20001`:  true,
		`input.list.exists(x, x == 2)`:                            true,
		`[1, 2].map(x, [x, x]) == [[1, 1], [2, 2]]`:               true,
	} {
		got, err := condition(t, text).True(context.Background(), scope)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for text, want := range map[string]string{
		`(input.text + input.text).matches("y")`: "the text is longer than 65536 bytes, too long for matches",
		`input.list.matches("x")`:                "no such overload",
		`1 in input.text`:                        "no such overload",
	} {
		_, err := condition(t, text).True(context.Background(), scope)
		require.EqualError(t, err, "the condition cannot be evaluated: "+want)
	}
}
