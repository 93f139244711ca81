package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
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
	until(ts, "/jobs/"+args[0]+"/steps", func(steps []step) bool {
		return slices.ContainsFunc(steps, func(s step) bool { return s.ID == args[1] && s.Status == "Waiting" })
	})
}

// waitTold waits until somebody was told of a job's end, or could not be.
func waitTold(ts *testscript.TestScript, _ bool, args []string) {
	until(ts, "/jobs/"+args[0]+"/callback", func(c callback) bool { return c.Delivered != nil || c.Error != "" })
}

// until asks the script's server for something until it is so.
func until[T any](ts *testscript.TestScript, path string, so func(T) bool) {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if so(request[T](ts, http.MethodGet, path, nil)) {
			return
		}
	}
	ts.Fatalf("%s is not as it should be", path)
}

// send sends a file to the script's server, and sets a variable to a field of the
// answer: send JOB job_id POST /jobs job.json.
func send(ts *testscript.TestScript, _ bool, args []string) {
	answer := request[map[string]any](ts, args[2], args[3], strings.NewReader(ts.ReadFile(args[4])))
	value, ok := answer[args[1]].(string)
	if !ok {
		ts.Fatalf("%s is not in %v", args[1], answer)
	}
	ts.Setenv(args[0], value)
}

func request[T any](ts *testscript.TestScript, method, path string, body io.Reader) T {
	request, err := http.NewRequest(method, ts.Getenv("UAOL_URL")+path, body)
	ts.Check(err)
	request.Header.Set("X-API-Key", ts.Getenv("UAOL_API_KEY"))
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	ts.Check(err)
	defer response.Body.Close()
	var said struct{ Data T }
	ts.Check(json.NewDecoder(response.Body).Decode(&said))
	return said.Data
}

// startReceiver lets the script's server take callbacks at /fine, and no others.
func startReceiver(ts *testscript.TestScript, _ bool, _ []string) {
	running, ok := ts.Value(greeters).(*swapped)
	if !ok {
		ts.Fatalf("this script has no server")
	}
	running.set(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/fine" {
			w.WriteHeader(http.StatusTeapot)
		}
	}))
}
