package bench

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"testing"

	"uaol/providers/memory"
)

func TestMain(m *testing.M) {
	memory.Use(os.LookupEnv) // as the program does; the others have it too
	if url := os.Getenv(workerOf); url != "" {
		if err := work(url); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	code := m.Run()
	if err := errors.Join(server.stop(), restate.stop()); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// size is what a variable says, or what is enough to see that all works.
func size(t testing.TB, variable string, small int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return small
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q is no number of 1 or more", variable, text)
	}
	return n
}

func rounds(t testing.TB) int { return size(t, "UAOL_BENCH_ROUNDS", 1) }

// alone leaves the others out.
func alone() bool { return os.Getenv("UAOL_BENCH_ONLY") == "uaol" }

// tellsStatements prints what PostgreSQL was busy with.
func tellsStatements() bool { return os.Getenv("UAOL_BENCH_STATEMENTS") != "" }
