package console

import (
	"encoding/json"
	"net/http"
	"time"
)

func jobRoutes() []route {
	return []route{
		see("/jobs", jobsPage).forGuests(),
		see("/jobs/waiting", waitingPage).forGuests(),
		see("/jobs/dead", deadPage).forGuests(),
		do("/jobs/dead", redrive).forGuests(),
		see("/jobs/{job}", jobPage).forGuests(),
		do("/jobs/{job}/cancel", cancelJob).forGuests(),
		do("/jobs/{job}/retry", retryJob).forGuests(),
		do("/jobs/{job}/decision", decide).forGuests(),
	}
}

// job is a job as the API shows it.
type job struct {
	ID         string          `json:"job_id"`
	Definition json.RawMessage `json:"workflow_definition"`
	Workflow   string          `json:"workflow_id"`
	Version    int64           `json:"workflow_version"`
	Status     string          `json:"status"`
	Start      *time.Time      `json:"start_time"`
	End        *time.Time      `json:"end_time"`
	Output     json.RawMessage `json:"final_output"`
	Error      *string         `json:"error_message"`
	Retries    int             `json:"retry_count"`
	Created    time.Time       `json:"created_at"`
	Input      json.RawMessage `json:"input"` // of one job, not in lists
}

// Ended reports whether nothing of it will change by itself.
func (j job) Ended() bool {
	return j.Status == "Success" || j.Status == "Failed" || j.Status == "Cancelled"
}

// Says is what the job does, by its first steps.
func (j job) Says() string {
	var definition struct {
		Steps []struct {
			ID     string `json:"id"`
			Action string `json:"action"`
		} `json:"steps"`
	}
	if json.Unmarshal(j.Definition, &definition) != nil {
		return ""
	}
	said := ""
	for i, s := range definition.Steps {
		if i == 3 {
			return said + " and " + plural(len(definition.Steps)-3, "more step")
		}
		if i > 0 {
			said += " → "
		}
		if s.Action != "" {
			said += s.Action
		} else {
			said += s.ID
		}
	}
	return said
}

type jobsData struct {
	Status   string
	Statuses []string
	Jobs     []job
	More     string
	First    bool // it is the newest that are shown
}

// statuses are those that jobs can be filtered by.
var statuses = []string{"Queued", "Running", "Retrying", "Success", "Failed", "Cancelled"}

const (
	jobsEvery = 2 * time.Second
	pageSize  = "50"
)

func jobsPage(v *visit) (view, error) {
	data := jobsData{Status: v.asked("status"), Statuses: statuses, First: v.asked("cursor") == ""}
	next, err := v.list(path(some("status", data.Status, "cursor", v.asked("cursor"), "limit", pageSize), "jobs"), &data.Jobs)
	if err != nil {
		return view{}, err
	}
	if next != "" {
		data.More = Prefix + path(some("status", data.Status, "cursor", next), "jobs")
	}
	return view{Template: "jobs", Title: "Jobs", Section: "jobs", Data: data, Every: jobsEvery, Over: !data.First, Follows: true}, nil
}

// waitingStep is a step that waits for somebody.
type waitingStep struct {
	Job      string    `json:"job_id"`
	Workflow string    `json:"workflow_id"`
	Created  time.Time `json:"created_at"`
	step
}

type waitingData struct {
	Steps []waitingStep
	More  string
}

func waitingPage(v *visit) (view, error) {
	var data waitingData
	next, err := v.list(path(some("cursor", v.asked("cursor"), "limit", pageSize), "jobs", "waiting"), &data.Steps)
	if next != "" {
		data.More = Prefix + path(some("cursor", next), "jobs", "waiting")
	}
	return view{Template: "waiting", Title: "Waiting for somebody", Section: "jobs", Data: data, Every: jobsEvery, Over: v.asked("cursor") != "", Follows: true}, err
}

func deadPage(v *visit) (view, error) {
	var data jobsData
	next, err := v.list(path(some("cursor", v.asked("cursor"), "limit", pageSize), "jobs", "dead"), &data.Jobs)
	if next != "" {
		data.More = Prefix + path(some("cursor", next), "jobs", "dead")
	}
	return view{Template: "dead", Title: "Failed for good", Section: "jobs", Data: data}, err
}

// redriven says which job was made of which.
type redriven struct {
	From string `json:"from"`
	Job  string `json:"job_id"`
}

func redrive(v *visit) error {
	body := map[string]any{"job_ids": v.r.PostForm["job"]}
	if input, err := v.json("input"); err != nil {
		return err
	} else if input != nil {
		body["input"] = input
	}
	var made []redriven
	if err := v.send(http.MethodPost, "/jobs/dead/redrive", body, &made); err != nil {
		return err
	}
	if len(made) == 1 {
		return v.to(Prefix+path(nil, "jobs", made[0].Job), "This job was made of the one that had failed.")
	}
	return v.to(Prefix+"/jobs", plural(len(made), "job")+" were made of those that had failed.")
}

func cancelJob(v *visit) error {
	id := v.r.PathValue("job")
	if err := v.send(http.MethodPost, path(nil, "jobs", id, "cancel"), nil, nil); err != nil {
		return err
	}
	return v.to(Prefix+path(nil, "jobs", id), "The job was told to stop. What its finished steps cost stays paid, the rest comes back.")
}

func retryJob(v *visit) error {
	id := v.r.PathValue("job")
	if err := v.send(http.MethodPost, path(nil, "jobs", id, "retry"), nil, nil); err != nil {
		return err
	}
	return v.to(Prefix+path(nil, "jobs", id), "The job goes on where it had failed.")
}

// decide takes a decision about a step: one that waits for an approval, or one of which
// nobody knows whether its tool was called.
func decide(v *visit) error {
	id := v.r.PathValue("job")
	body := map[string]any{"decision": v.form("decision")}
	if digest := v.form("digest"); digest != "" { // of the very call that was shown
		body["digest"] = digest
	}
	if v.form("item") != "" {
		item, err := v.number("item")
		if err != nil {
			return err
		}
		body["item"] = item
	}
	if err := v.send(http.MethodPost, path(nil, "jobs", id, "steps", v.form("step"), "decision"), body, nil); err != nil {
		return err
	}
	back := Prefix + path(nil, "jobs", id)
	if v.form("back") == "waiting" {
		back = Prefix + "/jobs/waiting"
	}
	return v.to(back, decided[v.form("decision")])
}

var decided = map[string]string{
	"approve": "Approved: the job goes on.", "reject": "Rejected: what waited for it is not done.",
	"retry": "The step calls its tool again.", "skip": "The step is left out, and the job goes on.", "fail": "The step counts as failed.",
}
