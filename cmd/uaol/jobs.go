package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func newJobs() *cobra.Command {
	remote := &remoteFlags{}
	cmd := &cobra.Command{
		Use:   "jobs",
		Short: "Run workflows, watch them, and decide what they ask",
		Long: `Works with the jobs of a server: the one that UAOL_URL names, with the key in
UAOL_API_KEY, or else the one of this machine's data directory (see "uaol connect
--help"). A job is named by its id, which "uaol jobs run" prints.`,
		Example: `  uaol jobs run workflow.yaml --input '{"city":"Paris"}' --watch
  uaol jobs list --status Failed
  uaol jobs show 90c3b5a2-…
  uaol jobs waiting
  uaol jobs decide 90c3b5a2-… ask approve`,
	}
	remote.add(cmd)
	cmd.AddCommand(newJobsList(remote), newJobsShow(remote), newJobsRun(remote), newJobsWatch(remote), newJobsCancel(remote),
		newJobsRetry(remote), newJobsRedrive(remote), newJobsDead(remote), newJobsWaiting(remote), newJobsDecide(remote))
	return cmd
}

// job is a job as the server shows it.
type job struct {
	ID         string `json:"job_id"`
	Definition struct {
		Steps []json.RawMessage `json:"steps"`
	} `json:"workflow_definition"`
	Status  string          `json:"status"`
	Created *time.Time      `json:"created_at"`
	Start   *time.Time      `json:"start_time"`
	End     *time.Time      `json:"end_time"`
	Output  json.RawMessage `json:"final_output"`
	Error   string          `json:"error_message"`
	Retries int             `json:"retry_count"`
}

// step is a step of a job, or one item of it.
type step struct {
	ID      string     `json:"id"`
	Kind    string     `json:"kind"`
	Item    *int       `json:"item"`
	Action  string     `json:"action"`
	Price   int64      `json:"credits"`
	Status  string     `json:"status"`
	Attempt int        `json:"attempt"`
	Error   string     `json:"error"`
	Start   *time.Time `json:"start_time"`
	End     *time.Time `json:"end_time"`
	Until   *time.Time `json:"waits_until"`
	Asks    *struct {
		Job     string `json:"job_id"` // that it waits for, instead of for somebody
		Message string `json:"message"`
		Digest  string `json:"digest"`
		Call    *struct {
			Step      string          `json:"step"`
			Tool      string          `json:"tool_id"`
			Version   int64           `json:"tool_version"`
			Action    string          `json:"action"`
			Arguments json.RawMessage `json:"parameters"`
			Price     int64           `json:"credits"`
		} `json:"call"`
	} `json:"asks"`
}

// name is what a person calls a step, or an item of it.
func (s step) name() string {
	if s.Item != nil {
		return fmt.Sprintf("%s[%d]", s.ID, *s.Item)
	}
	return s.ID
}

// ended reports whether a job or a step stays as it is.
func ended(status string) bool {
	return status == "Success" || status == "Failed" || status == "Cancelled" || status == "Skipped"
}

func (c *client) job(ctx context.Context, id string) (found job, err error) {
	return found, c.do(ctx, http.MethodGet, jobPath(id), nil, &found)
}

func (c *client) steps(ctx context.Context, id string) (steps []step, err error) {
	return steps, c.do(ctx, http.MethodGet, jobPath(id)+"/steps", nil, &steps)
}

// jobPath keeps what somebody types in its place.
func jobPath(id string) string { return "/jobs/" + url.PathEscape(id) }

func newJobsList(remote *remoteFlags) *cobra.Command {
	var status string
	var limit int
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "List the organisation's jobs, newest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := url.Values{}
			if status != "" {
				query.Set("status", titled(status))
			}
			return listJobs(cmd, remote, "/jobs", query, limit, asJSON, "There are none. `uaol jobs run FILE` makes one.")
		},
	}
	cmd.Flags().StringVar(&status, "status", "", "only those that are Queued, Running, Retrying, Success, Failed or Cancelled")
	cmd.Flags().IntVar(&limit, "limit", 50, "at most so many")
	cmd.Flags().BoolVar(&asJSON, "json", false, "for machines")
	return cmd
}

func newJobsDead(remote *remoteFlags) *cobra.Command {
	var limit int
	var asJSON bool
	cmd := &cobra.Command{
		Use: "dead", Short: "List the jobs that have failed for good, newest first", Args: cobra.NoArgs,
		Long: `Lists the jobs that have failed for good: neither retried nor driven again since.
"uaol jobs retry" takes one up where it failed; "uaol jobs redrive" makes new ones
of them, from their beginning.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return listJobs(cmd, remote, "/jobs/dead", url.Values{}, limit, asJSON, "There are none.")
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 50, "at most so many")
	cmd.Flags().BoolVar(&asJSON, "json", false, "for machines")
	return cmd
}

func listJobs(cmd *cobra.Command, remote *remoteFlags, path string, query url.Values, limit int, asJSON bool, none string) error {
	if limit < 1 {
		return errors.New("--limit must be 1 or more")
	}
	return remote.with(cmd, func(ctx context.Context, c *client) error {
		raw, all, err := several[job](ctx, c, path, query, limit)
		if err != nil {
			return err
		}
		t := newTerminal(cmd)
		switch {
		case asJSON:
			return t.json(append([]json.RawMessage{}, raw...))
		case len(all) == 0:
			t.say("%s", none)
			return nil
		}
		var rows [][]string
		for _, one := range all {
			rows = append(rows, []string{one.ID, one.Status, moment(one.Created), took(one.Start, one.End), strconv.Itoa(len(one.Definition.Steps)), one.Error})
		}
		t.table([]string{"JOB", "STATUS", "CREATED", "TOOK", "STEPS", "ERROR"}, rows)
		return nil
	})
}

// titled writes a status as the server does.
func titled(status string) string {
	if status == "" {
		return ""
	}
	return strings.ToUpper(status[:1]) + strings.ToLower(status[1:])
}
