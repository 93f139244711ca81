package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

var decisions = []string{"approve", "reject", "retry", "skip", "fail"}

func newJobsDecide(remote *remoteFlags) *cobra.Command {
	var item int
	var digest string
	var yes bool
	cmd := &cobra.Command{
		Use:   "decide JOB STEP approve|reject|retry|skip|fail",
		Short: "Decide about a step that waits for somebody",
		Long: `Decides about a step that waits for somebody.

  approve, reject    an approval. What it asks is shown first, and exactly the call
                     that was shown is approved: another one is not made.
  retry, skip, fail  a step of which nobody knows whether its call reached the tool:
                     make the call again, go on without its result, or let it fail.`,
		Example: `  uaol jobs decide 90c3b5a2-… ask approve
  uaol jobs decide 90c3b5a2-… pay retry
  uaol jobs decide 90c3b5a2-… mails skip --item 3`,
		Args: cobra.ExactArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			decision := strings.ToLower(args[2])
			if !slices.Contains(decisions, decision) {
				return fmt.Errorf("%s is no decision; say %s", args[2], strings.Join(decisions, ", "))
			}
			body := map[string]any{"decision": decision}
			if cmd.Flags().Changed("item") {
				body["item"] = item
			}
			return remote.with(cmd, func(ctx context.Context, c *client) error {
				t := newTerminal(cmd)
				if decision == "approve" {
					waiting, err := c.waitingStep(ctx, args[0], args[1])
					if err != nil {
						return err
					}
					t.asks(waiting)
					if digest == "" {
						digest = waiting.Asks.Digest // just what was shown
					}
					if ok, err := t.confirm(yes, "Approve %s?", waiting.name()); err != nil || !ok {
						return err
					}
				}
				if digest != "" {
					body["digest"] = digest
				}
				if err := c.do(ctx, http.MethodPost, jobPath(args[0])+"/steps/"+url.PathEscape(args[1])+"/decision", body, nil); err != nil {
					return err
				}
				t.say("Decided: %s.", decision)
				return nil
			})
		},
	}
	cmd.Flags().IntVar(&item, "item", 0, "which item of a for_each step, from 0")
	cmd.Flags().StringVar(&digest, "digest", "", "of the call that is approved: another is not; default: the one that is shown")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "approve without asking")
	return cmd
}

// waitingStep is a step that waits for approval.
func (c *client) waitingStep(ctx context.Context, job, id string) (step, error) {
	steps, err := c.steps(ctx, job)
	if err != nil {
		return step{}, err
	}
	for _, s := range steps {
		if s.ID == id && s.Item == nil {
			if s.Asks == nil || s.Asks.Job != "" {
				return step{}, fmt.Errorf("the step %s is %s and does not wait for approval", id, s.Status)
			}
			return s, nil
		}
	}
	return step{}, errors.New("the job has no step " + id)
}

// asks shows what somebody is asked to approve.
func (t terminal) asks(s step) {
	if s.Asks.Message != "" {
		t.say("%s", printable(s.Asks.Message))
	}
	if call := s.Asks.Call; call != nil {
		t.say("  step    %s\n  tool    %s, version %d\n  action  %s\n  costs   %s", plain(call.Step, 80), plain(call.Tool, 80), call.Version,
			plain(call.Action, 200), count(int(call.Price), "credit"))
		t.say("  with    %s", strings.ReplaceAll(indented(call.Arguments), "\n", "\n          "))
		t.say("  digest  %s", plain(s.Asks.Digest, 100))
	}
	if s.Until != nil {
		t.say("  until   %s", moment(s.Until))
	}
}

func indented(text json.RawMessage) string {
	pretty, err := json.MarshalIndent(text, "", "  ")
	if err != nil {
		return plain(string(text), 2000)
	}
	return printable(string(pretty))
}
