package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func newJobsWatch(remote *remoteFlags) *cobra.Command {
	var watching watchFlags
	cmd := &cobra.Command{
		Use: "watch JOB", Short: "Follow a job until its end; exits 0 if it succeeds, 1 if not", Args: cobra.ExactArgs(1),
		Long: `Follows a job until its end, and prints what it came to. It exits 0 if the job
succeeds, 1 if it fails or is cancelled. A connection that breaks is made again, and
nothing is missed; interrupting it leaves the job alone.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return remote.with(cmd, func(ctx context.Context, c *client) error {
				return watching.watch(ctx, cmd, c, args[0])
			})
		},
	}
	cmd.Flags().BoolVar(&watching.json, "json", false, "print the job's last state, for machines; progress goes to standard error")
	return cmd
}

// watchFlags are what commands take that begin a job.
type watchFlags struct{ on, json bool }

func (f *watchFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.on, "watch", false, "follow it until its end; exits 0 if it succeeds, 1 if not")
	cmd.Flags().BoolVar(&f.json, "json", false, "for machines")
}

// after says which job was begun, and follows it if that is wanted.
func (f watchFlags) after(ctx context.Context, cmd *cobra.Command, c *client, id string) error {
	t := newTerminal(cmd)
	switch {
	case f.on:
		fmt.Fprintln(t.err, "job "+id)
		return f.watch(ctx, cmd, c, id)
	case f.json:
		return t.json(map[string]string{"job_id": id})
	}
	t.say("%s", id)
	return nil
}

func (f watchFlags) watch(ctx context.Context, cmd *cobra.Command, c *client, id string) error {
	steps, err := c.steps(ctx, id)
	if err != nil {
		return err
	}
	t := newTerminal(cmd)
	show := newProgress(t, id, steps, f.json)
	last, err := newFollower(c).follow(ctx, id, show.event)
	show.close()
	if err != nil {
		return err
	}
	if f.json {
		if err := t.json(last.raw); err != nil {
			return err
		}
	}
	switch end := last.job; end.Status {
	case "Success":
		if !f.json {
			t.say("Success in %s", took(end.Start, end.End))
			t.output(end.Output, mostOutput)
		}
		return nil
	case "Cancelled":
		return errors.New("the job was cancelled")
	default:
		return errors.New(plain(end.Error, 500))
	}
}

// progress shows what becomes of a job's steps: lines, and on a terminal a bar of
// those that have come to their end below them.
type progress struct {
	out    io.Writer
	id     string
	bar    *progressbar.ProgressBar // nil where nobody looks
	known  map[string]string        // each step's state that was told
	over   map[string]bool
	active []string
}

func newProgress(t terminal, id string, steps []step, asJSON bool) *progress {
	p := &progress{out: t.out, id: id, known: map[string]string{}, over: map[string]bool{}}
	if asJSON {
		p.out = t.err
	}
	all := 0
	for _, s := range steps {
		if s.Item == nil {
			all++
		}
	}
	if file, ok := t.err.(*os.File); ok && term.IsTerminal(int(file.Fd())) && all > 0 {
		p.bar = newBar(file, all)
	}
	return p
}

func newBar(to io.Writer, all int) *progressbar.ProgressBar {
	return progressbar.NewOptions(all, progressbar.OptionSetWriter(to), progressbar.OptionSetWidth(24), progressbar.OptionShowCount(),
		progressbar.OptionSetPredictTime(false), progressbar.OptionClearOnFinish())
}

// event shows something new. After a connection was cut some is told again, and
// shown once.
func (p *progress) event(e jobEvent) {
	s := e.step
	if s == nil {
		return
	}
	state := fmt.Sprintf("%s %d", s.Status, s.Attempt)
	if p.known[s.name()] == state {
		return
	}
	p.known[s.name()] = state
	p.active = slices.DeleteFunc(p.active, func(name string) bool { return name == s.name() })
	if s.Status == "Running" {
		p.active = append(p.active, s.name())
	}
	if s.Item == nil {
		p.over[s.ID] = ended(s.Status)
	}
	if p.bar == nil || s.Status != "Running" && s.Status != "Pending" {
		p.line(*s)
	}
	if p.bar == nil {
		return
	}
	done := 0
	for _, over := range p.over {
		if over {
			done++
		}
	}
	p.bar.Describe(plain(strings.Join(p.active, ", "), 40))
	if done < p.bar.GetMax() { // the last one would end the bar, and the job has not ended
		_ = p.bar.Set(done)
	}
}

func (p *progress) line(s step) {
	p.clear()
	text := plain(s.name(), 60) + "  " + s.Status
	if s.Start != nil && s.End != nil {
		text += "  " + took(s.Start, s.End)
	}
	if note := s.says(); note != "" {
		text += "  " + plain(note, 200)
	}
	if s.Attempt > 1 {
		text += fmt.Sprintf("  (attempt %d)", s.Attempt)
	}
	fmt.Fprintln(p.out, text)
	switch {
	case s.Asks != nil && s.Asks.Job == "":
		fmt.Fprintf(p.out, "  uaol jobs decide %s %s approve\n", p.id, s.ID)
	case s.Status == "Unknown":
		item := ""
		if s.Item != nil {
			item = fmt.Sprintf(" --item %d", *s.Item)
		}
		fmt.Fprintf(p.out, "  uaol jobs decide %s %s retry%s\n", p.id, s.ID, item)
	}
}

func (p *progress) clear() {
	if p.bar != nil {
		_ = p.bar.Clear() // it is drawn again with the next change
	}
}

func (p *progress) close() {
	if p.bar != nil {
		_ = p.bar.Clear()
		_ = p.bar.Exit()
	}
}
