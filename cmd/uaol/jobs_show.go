package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func newJobsShow(remote *remoteFlags) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "show JOB", Short: "Show a job with its steps", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return remote.with(cmd, func(ctx context.Context, c *client) error {
				t := newTerminal(cmd)
				if asJSON {
					var whole struct {
						Job      json.RawMessage `json:"job"`
						Steps    json.RawMessage `json:"steps"`
						Callback json.RawMessage `json:"callback,omitempty"`
					}
					err := c.do(ctx, http.MethodGet, jobPath(args[0]), nil, &whole.Job)
					if err == nil {
						err = c.do(ctx, http.MethodGet, jobPath(args[0])+"/steps", nil, &whole.Steps)
					}
					if err == nil {
						err = c.callback(ctx, args[0], &whole.Callback)
					}
					if err != nil {
						return err
					}
					return t.json(whole)
				}
				found, err := c.job(ctx, args[0])
				if err != nil {
					return err
				}
				steps, err := c.steps(ctx, args[0])
				if err != nil {
					return err
				}
				var told callback
				if err := c.callback(ctx, args[0], &told); err != nil {
					return err
				}
				t.job(found, steps, told)
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "for machines")
	return cmd
}

// callback is how it went to tell somebody of a job's end.
type callback struct {
	URL       string     `json:"url"`
	Status    string     `json:"status"` // that is told; "" until the job has ended
	Attempts  int        `json:"attempts"`
	Due       *time.Time `json:"due_at"`
	Delivered *time.Time `json:"delivered_at"`
	Error     string     `json:"last_error"`
}

// callback reads what there is about a job's callback into out, if it has one.
func (c *client) callback(ctx context.Context, id string, out any) error {
	err := c.do(ctx, http.MethodGet, jobPath(id)+"/callback", nil, out)
	if statusOf(err) == http.StatusNotFound {
		return nil
	}
	return err
}

// says is how far the telling has come.
func (c callback) says() string {
	switch {
	case c.URL == "":
		return ""
	case c.Status == "":
		return "waits for the job's end"
	case c.Delivered != nil:
		return "delivered " + moment(c.Delivered) + ", " + count(c.Attempts, "attempt")
	case c.Due == nil:
		return "given up after " + count(c.Attempts, "attempt")
	}
	return "due " + moment(c.Due) + ", " + count(c.Attempts, "attempt") + " so far"
}

func (t terminal) job(found job, steps []step, told callback) {
	var spent int64
	var rows [][]string
	for _, s := range steps {
		credits := ""
		if s.Status == "Success" && (s.Item != nil || !hasItems(steps, s.ID)) {
			spent += s.Price
			credits = strconv.FormatInt(s.Price, 10)
		}
		attempts := ""
		if s.Attempt > 0 {
			attempts = strconv.Itoa(s.Attempt)
		}
		rows = append(rows, []string{s.name(), s.Status, s.Action, attempts, moment(s.Start), took(s.Start, s.End), credits, s.says()})
	}
	facts := [][]string{{"status", found.Status}, {"created", moment(found.Created)}, {"took", took(found.Start, found.End)},
		{"credits", strconv.FormatInt(spent, 10)}, {"error", found.Error},
		{"callback", told.URL}, {"delivery", told.says()}, {"last error", told.Error}}
	var filled [][]string
	for _, row := range facts {
		if row[1] != "" {
			filled = append(filled, row)
		}
	}
	t.table([]string{"job", found.ID}, filled)
	if len(rows) > 0 {
		t.say("")
		t.table([]string{"STEP", "STATUS", "ACTION", "ATTEMPTS", "BEGUN", "TOOK", "CREDITS", "NOTE"}, rows)
	}
	if out := found.Output; len(out) > 0 && !bytes.Equal(out, []byte("null")) {
		t.say("")
		t.output(out, mostOutput)
	}
}

// mostOutput is how much of a job's output a person is shown, in characters.
const mostOutput = 2000

// output prints what a job came to, as far as a terminal shall show it.
func (t terminal) output(out json.RawMessage, most int) {
	var pretty bytes.Buffer
	if json.Indent(&pretty, out, "", "  ") != nil {
		return
	}
	text := []rune(printable(pretty.String()))
	if len(text) > most {
		t.say("%s…\n(--json shows all of it)", string(text[:most]))
		return
	}
	t.say("%s", string(text))
}

// hasItems reports whether a step ran once for each of a list: then its items cost.
func hasItems(steps []step, id string) bool {
	for _, s := range steps {
		if s.ID == id && s.Item != nil {
			return true
		}
	}
	return false
}

// says is what else somebody should know of a step.
func (s step) says() string {
	switch {
	case s.Error != "":
		return s.Error
	case s.Asks != nil && s.Asks.Job != "":
		return "waits for job " + s.Asks.Job
	case s.Asks != nil:
		return strings.TrimSpace("waits for approval: " + s.Asks.Message)
	case s.Until != nil:
		return "waits until " + moment(s.Until)
	case s.Status == "Unknown":
		return "waits for a decision: retry, skip or fail"
	}
	return ""
}

// moment is a time as people here write it.
func moment(at *time.Time) string {
	if at == nil {
		return ""
	}
	return at.Local().Format("2006-01-02 15:04:05")
}

// took is how long something went on, until now if it still does.
func took(start, end *time.Time) string {
	if start == nil {
		return ""
	}
	until := time.Now()
	if end != nil {
		until = *end
	}
	return short(until.Sub(*start))
}

func short(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
