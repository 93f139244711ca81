package main

import (
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// capture sets a variable to what standard output has at a pattern.
func capture(ts *testscript.TestScript, _ bool, args []string) {
	found := regexp.MustCompile(`(?m)` + args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if found == nil {
		ts.Fatalf("%s is not in\n%s", args[1], ts.ReadFile("stdout"))
	}
	ts.Setenv(args[0], found[1])
}

// fill puts variables into a file.
func fill(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[0])
	ts.Check(os.WriteFile(path, []byte(os.Expand(ts.ReadFile(args[0]), ts.Getenv)), 0o600))
}

// waitAsked waits until a job's step waits for somebody.
func waitAsked(ts *testscript.TestScript, _ bool, args []string) {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		request, err := http.NewRequest(http.MethodGet, ts.Getenv("UAOL_URL")+"/jobs/"+args[0]+"/steps", nil)
		ts.Check(err)
		request.Header.Set("X-API-Key", ts.Getenv("UAOL_API_KEY"))
		response, err := http.DefaultClient.Do(request)
		ts.Check(err)
		var said struct{ Data []step }
		err = json.NewDecoder(response.Body).Decode(&said)
		response.Body.Close()
		ts.Check(err)
		for _, s := range said.Data {
			if s.ID == args[1] && s.Status == "Waiting" {
				return
			}
		}
	}
	ts.Fatalf("it does not wait")
}
