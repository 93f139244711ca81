package compare

import (
	"fmt"
	"os"
	"strconv"
	"testing"

	"uaol/bench/fleet"
)

func TestMain(m *testing.M) {
	if as := os.Getenv(serveAs); as != "" {
		fmt.Fprintln(os.Stderr, serve(as, os.Getenv(serveAt), os.Getenv(serveFrom)))
		os.Exit(1)
	}
	code := m.Run()
	if kept.Race != nil || kept.Suite != nil {
		if err := kept.keep(); err != nil {
			fmt.Fprintln(os.Stderr, "compare:", err)
			code = max(code, 1)
		}
		kept.tell(os.Stdout)
	}
	if err := fleet.Discard(); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
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
