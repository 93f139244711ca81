package fleet

import (
	"fmt"
	"os"
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
