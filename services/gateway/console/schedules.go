package console

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"uaol/providers/api"
)

func scheduleRoutes() []route {
	return []route{
		see("/schedules", schedulesPage),
		see("/schedules/new", newSchedule),
		do("/schedules/save", saveSchedule),
		see("/schedules/{schedule}", schedulePage),
		do("/schedules/{schedule}/run", runSchedule),
		do("/schedules/{schedule}/enabled", enableSchedule),
		do("/schedules/{schedule}/remove", removeSchedule),
	}
}

type schedule struct {
	ID         string          `json:"schedule_id"`
	Cron       string          `json:"cron"`
	TimeZone   string          `json:"time_zone"`
	Missed     string          `json:"missed"`
	Workflow   string          `json:"workflow_id"`
	Version    *int64          `json:"workflow_version"`
	Definition json.RawMessage `json:"workflow_definition"`
	Input      json.RawMessage `json:"input"`
	Enabled    bool            `json:"enabled"`
	NextAt     *time.Time      `json:"next_at"`
	Next       []time.Time     `json:"next_moments"`
	LastAt     *time.Time      `json:"last_at"`
	LastJob    *string         `json:"last_job"`
	LastError  *string         `json:"last_error"`
}

// State is a word for it.
func (s schedule) State() string {
	if s.Enabled {
		return "Active"
	}
	return "Off"
}

type schedulesData struct {
	Schedules []schedule
	Names     map[string]string // of workflows
	More      string
}

func schedulesPage(v *visit) (view, error) {
	data := schedulesData{Names: map[string]string{}}
	var workflows []workflow
	var next string
	err := together(
		func() (err error) {
			next, err = v.list(path(some("cursor", v.asked("cursor"), "limit", pageSize), "schedules"), &data.Schedules)
			return err
		},
		func() error { return v.get("/workflows?limit=200", &workflows) },
	)
	for _, w := range workflows {
		data.Names[w.ID] = w.Name
	}
	if next != "" {
		data.More = Prefix + path(some("cursor", next), "schedules")
	}
	return view{Template: "schedules", Title: "Schedules", Section: "schedules", Data: data}, err
}

// timetable is a schedule as a form has it.
type timetable struct {
	ID        string
	Cron      string
	TimeZone  string
	Missed    string
	Workflow  string
	Input     string
	Workflows []workflow
	Problem   string
	Faults    map[string]string
}

func newSchedule(v *visit) (view, error) {
	t := timetable{Cron: "0 9 * * 1-5", TimeZone: "UTC", Missed: "skip", Workflow: v.asked("workflow")}
	if id := v.asked("schedule"); id != "" {
		var s schedule
		if err := v.get(path(nil, "schedules", id), &s); err != nil {
			return view{}, err
		}
		t = timetable{ID: s.ID, Cron: s.Cron, TimeZone: s.TimeZone, Missed: s.Missed, Workflow: s.Workflow}
		if says(s.Input) {
			t.Input = indented(s.Input)
		}
	}
	return v.scheduleForm(t)
}

func (v *visit) scheduleForm(t timetable) (view, error) {
	err := v.get("/workflows?limit=200", &t.Workflows)
	title, status := "New schedule", 0
	if t.ID != "" {
		title = "Change a schedule"
	}
	if t.Problem != "" {
		status = http.StatusUnprocessableEntity
	}
	return view{Template: "schedule-form", Title: title, Section: "schedules", Data: t, Status: status}, err
}

func saveSchedule(v *visit) error {
	t := timetable{ID: v.form("id"), Cron: strings.TrimSpace(v.form("cron")), TimeZone: strings.TrimSpace(v.form("time_zone")), Missed: v.form("missed"), Workflow: v.form("workflow"), Input: v.form("input")}
	body := map[string]any{"cron": t.Cron, "time_zone": t.TimeZone, "missed": t.Missed}
	if t.Workflow != "" {
		body["workflow_id"] = t.Workflow
	}
	err := v.putInput(body)
	var saved schedule
	switch {
	case err != nil:
	case t.ID == "":
		err = v.send(http.MethodPost, "/schedules", body, &saved)
	default:
		err = v.send(http.MethodPut, path(nil, "schedules", t.ID), body, &saved)
	}
	if err == nil {
		return v.to(Prefix+path(nil, "schedules", saved.ID), "The schedule is saved.")
	}
	if api.StatusOf(err) >= http.StatusInternalServerError {
		return err
	}
	t.Problem, t.Faults = messageOf(err), faultsOf(err)
	v.standAt(Prefix + "/schedules/new")
	shown, viewErr := v.scheduleForm(t)
	if viewErr != nil {
		return viewErr
	}
	return v.render(shown)
}

type scheduleData struct {
	Schedule schedule
	Name     string // of its workflow
	Runs     []struct {
		At     time.Time `json:"scheduled_at"`
		Job    *string   `json:"job_id"`
		Status *string   `json:"status"`
		Error  *string   `json:"error"`
	}
	More string
}

func schedulePage(v *visit) (view, error) {
	var data scheduleData
	id := v.r.PathValue("schedule")
	var next string
	err := together(
		func() error { return v.get(path(nil, "schedules", id), &data.Schedule) },
		func() (err error) {
			next, err = v.list(path(some("cursor", v.asked("cursor"), "limit", pageSize), "schedules", id, "runs"), &data.Runs)
			return err
		},
	)
	if err != nil {
		return view{}, err
	}
	data.Name = "its own definition"
	if data.Schedule.Workflow != "" {
		var w workflow
		if err := v.get(path(nil, "workflows", data.Schedule.Workflow), &w); err != nil {
			return view{}, err
		}
		data.Name = w.Name
	}
	if next != "" {
		data.More = Prefix + path(some("cursor", next), "schedules", id)
	}
	return view{Template: "schedule", Title: "Schedule of " + data.Name, Section: "schedules", Data: data}, nil
}

func runSchedule(v *visit) error {
	var made job
	if err := v.send(http.MethodPost, path(nil, "schedules", v.r.PathValue("schedule"), "run"), nil, &made); err != nil {
		return err
	}
	return v.to(Prefix+path(nil, "jobs", made.ID), "The schedule's job has begun.")
}

func enableSchedule(v *visit) error {
	id, enabled := v.r.PathValue("schedule"), v.form("enabled") == strconv.FormatBool(true)
	if err := v.send(http.MethodPut, path(nil, "schedules", id), map[string]any{"enabled": enabled}, nil); err != nil {
		return err
	}
	said := "The schedule is off: it makes no jobs."
	if enabled {
		said = "The schedule is on again, and acts as you from now on."
	}
	return v.to(Prefix+path(nil, "schedules", id), said)
}

func removeSchedule(v *visit) error {
	if err := v.send(http.MethodDelete, path(nil, "schedules", v.r.PathValue("schedule")), nil, nil); err != nil {
		return err
	}
	return v.to(Prefix+"/schedules", "The schedule is removed; its jobs stay.")
}
