package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
)

func newJobsCancel(remote *remoteFlags) *cobra.Command {
	return &cobra.Command{
		Use: "cancel JOB", Short: "Stop a job", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return remote.with(cmd, func(ctx context.Context, c *client) error {
				before, err := c.job(ctx, args[0])
				if err != nil {
					return err
				}
				if ended(before.Status) {
					return fmt.Errorf("the job has ended already: %s", before.Status)
				}
				if err := c.do(ctx, http.MethodPost, jobPath(args[0])+"/cancel", map[string]any{}, nil); err != nil {
					return err
				}
				newTerminal(cmd).say("It was asked to stop; `uaol jobs watch %s` waits for its end.", before.ID)
				return nil
			})
		},
	}
}

func newJobsRetry(remote *remoteFlags) *cobra.Command {
	var watching watchFlags
	cmd := &cobra.Command{
		Use: "retry JOB", Short: "Take a job up again where it failed", Args: cobra.ExactArgs(1),
		Long: `Takes a job up again that has failed or was cancelled. What has succeeded is not
done again, and not paid again. "uaol jobs redrive" begins anew instead.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return remote.with(cmd, func(ctx context.Context, c *client) error {
				var made job
				if err := c.do(ctx, http.MethodPost, jobPath(args[0])+"/retry", map[string]any{}, &made); err != nil {
					return err
				}
				return watching.after(ctx, cmd, c, made.ID)
			})
		},
	}
	watching.add(cmd)
	return cmd
}

func newJobsRedrive(remote *remoteFlags) *cobra.Command {
	var input string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "redrive JOB…", Short: "Make new jobs of ones that have failed", Args: cobra.MinimumNArgs(1),
		Long: `Makes a new job of each that has failed or was cancelled: the same workflow from
its beginning. Each is driven again once; asking again tells which job it became.`,
		Example: `  uaol jobs redrive 90c3b5a2-… 14f0…
  uaol jobs redrive 90c3b5a2-… --input @corrected.json`,
		RunE: func(cmd *cobra.Command, ids []string) error {
			for _, id := range ids {
				if !looksLikeID(id) {
					return fmt.Errorf("%s is no job's id; `uaol jobs dead` lists the jobs that have failed", id)
				}
			}
			body := map[string]any{"job_ids": ids}
			if cmd.Flags().Changed("input") {
				text, err := inputOf(input)
				if err != nil {
					return err
				}
				body["input"] = text
			}
			return remote.with(cmd, func(ctx context.Context, c *client) error {
				var made []struct {
					From string `json:"from"`
					Job  string `json:"job_id"`
				}
				if err := c.do(ctx, http.MethodPost, "/jobs/dead/redrive", body, &made); err != nil {
					return ofJobs(err, ids)
				}
				t := newTerminal(cmd)
				if asJSON {
					return t.json(made)
				}
				var rows [][]string
				for _, m := range made {
					rows = append(rows, []string{m.From, m.Job})
				}
				t.table([]string{"FAILED", "NEW JOB"}, rows)
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&input, "input", "", "JSON, or @FILE, instead of what the jobs had")
	cmd.Flags().BoolVar(&asJSON, "json", false, "for machines")
	return cmd
}

// ofJobs names the job that a refusal is about as it was named on the command line.
func ofJobs(err error, ids []string) error {
	var refused *apiError
	if !errors.As(err, &refused) {
		return err
	}
	for _, fault := range refused.Details {
		var i int
		if _, err := fmt.Sscanf(fault.Path, "body.job_ids[%d]", &i); err == nil && i < len(ids) {
			return fmt.Errorf("%s: %s", ids[i], plain(fault.Message, 300))
		}
	}
	return explained(err)
}
