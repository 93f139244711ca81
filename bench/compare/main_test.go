package compare

import (
	"fmt"
	"os"
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
