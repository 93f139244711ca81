package fleet

import (
	"os"
	"strconv"
	"testing"
)

// Size is what a variable says, or what is enough to see that all works.
func Size(t testing.TB, variable string, small float64) float64 {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return small
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || n <= 0 {
		t.Fatalf("%s=%q is no number above 0", variable, text)
	}
	return n
}
