package fleet

import (
	"fmt"
	"os"
	"strconv"
	"testing"
)

func TestMain(m *testing.M) {
	if address := os.Getenv(bareOf); address != "" {
		fmt.Fprintln(os.Stderr, serveBare(address))
		os.Exit(1)
	}
	code := m.Run()
	if dir, err := work(); err == nil {
		if code == 0 {
			_ = os.RemoveAll(dir)
		} else {
			complain(os.Stderr, dir)
			fmt.Fprintln(os.Stderr, "fleet: what the processes logged is in", dir)
		}
	}
	os.Exit(code)
}

// size is what a variable says, or what is enough to see that all works.
func size(t testing.TB, variable string, small float64) float64 {
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
