package tools

import (
	"os"
	"regexp"
	"testing"
)

// settings are those of .env.example, which a test of the program holds to what is read.
func settings(t *testing.T) map[string]bool {
	t.Helper()
	text, err := os.ReadFile("../.env.example")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, line := range regexp.MustCompile(`(?m)^(?:# )?([A-Z][A-Z0-9_]+)=`).FindAllStringSubmatch(string(text), -1) {
		known[line[1]] = true
	}
	if len(known) < 50 {
		t.Fatalf("only %d settings were found", len(known))
	}
	return known
}
