package main

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/spf13/cobra"
)

// asked is a step that waits for somebody, with its job.
type asked struct {
	Job string `json:"job_id"`
	step
}

func newJobsWaiting(remote *remoteFlags) *cobra.Command {
	var limit int
	var asJSON bool
	cmd := &cobra.Command{
		Use: "waiting", Short: "List the steps that wait for somebody's decision, newest first", Args: cobra.NoArgs,
		Long: `Lists the steps of the organisation's jobs that wait for somebody's decision: those
that ask for an approval, and those of which nobody knows whether their call reached
the tool. What waits for a moment or for another job is not among them.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 {
				return errors.New("--limit must be 1 or more")
			}
			return remote.with(cmd, func(ctx context.Context, c *client) error {
				raw, all, err := several[asked](ctx, c, "/jobs/waiting", nil, limit)
				if err != nil {
					return err
				}
				t := newTerminal(cmd)
				if asJSON {
					return t.json(append([]json.RawMessage{}, raw...))
				}
				t.waiting(all)
				return nil
			})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 50, "at most so many")
	cmd.Flags().BoolVar(&asJSON, "json", false, "for machines")
	return cmd
}

func (t terminal) waiting(all []asked) {
	if len(all) == 0 {
		t.say("Nothing waits for anybody.")
		return
	}
	var rows [][]string
	for _, one := range all {
		rows = append(rows, []string{one.Job, one.name(), moment(one.Start), moment(one.Until), one.choices(), one.question()})
	}
	t.table([]string{"JOB", "STEP", "SINCE", "UNTIL", "DECISIONS", "QUESTION"}, rows)
	t.say("Decide with `uaol jobs decide JOB STEP DECISION`, and --item N about a STEP[N].")
}

// choices are the decisions that a step waits for.
func (s step) choices() string {
	if s.Status == "Unknown" {
		return "retry, skip, fail"
	}
	return "approve, reject"
}

// question is what somebody is asked to decide, in short.
func (s step) question() string {
	switch {
	case s.Asks == nil:
		return s.Error
	case s.Asks.Message == "" && s.Asks.Call != nil:
		return "call " + s.Asks.Call.Action
	}
	return s.Asks.Message
}
