package workflow_test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"

	"uaol/services/jobs/workflow"
)

// The definition is the one in the package's documentation.
func ExampleParse() {
	documentation, err := os.ReadFile("doc.go")
	if err != nil {
		panic(err)
	}
	text := strings.Join(regexp.MustCompile(`(?m)^//\t.*$`).FindAllString(string(documentation), -1), "\n")
	d, err := workflow.Parse(json.RawMessage(strings.ReplaceAll(text, "//", "")))
	if err != nil {
		panic(err)
	}
	for _, s := range d.Steps {
		var needs []string
		for _, i := range s.Needs {
			needs = append(needs, d.Steps[i].ID)
		}
		fmt.Printf("%s (%s) waits for %v\n", s.ID, s.Kind, needs)
	}
	// Output:
	// orders (tool) waits for []
	// check (tool) waits for [orders]
	// pay (tool) waits for [orders check look]
	// look (approval) waits for [orders check]
	// refund (tool) waits for [pay]
	// rest (sleep) waits for [pay]
	// write (llm) waits for [pay rest]
	// send (workflow) waits for [write]
}
