package world

import (
	"os"

	"uaol/services/storage/documents"
)

// A server has files read by a process of its own program, which here is the test's.
func init() {
	if documents.IsWork(os.Args[1:]) {
		os.Exit(documents.Work(os.Args[1:], os.Stdin, os.Stdout))
	}
}
