package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"uaol/migrations"
	"uaol/providers/config"
	"uaol/providers/events"
	"uaol/providers/events/brokers"
	"uaol/services"
)

// eventFlags choose events.
type eventFlags struct {
	since, until, kind, service string
	asJSON                      bool
}

func (f *eventFlags) add(command *cobra.Command) {
	command.Flags().StringVar(&f.since, "since", "", "from this moment on: RFC 3339, or how long ago, such as 2h")
	command.Flags().StringVar(&f.until, "until", "", "until before this moment, likewise")
	command.Flags().StringVar(&f.kind, "type", "", "of this type, or of all that begin with it if it ends with a dot, such as tool.")
	command.Flags().StringVar(&f.service, "service", "", "of this service: auth, registry, jobs, billing or storage")
	command.Flags().BoolVar(&f.asJSON, "json", false, "for machines")
}

func (f *eventFlags) filter() (filter events.Filter, err error) {
	filter.Type = f.kind
	if filter.Since, err = momentOf("--since", f.since); err != nil {
		return filter, err
	}
	filter.Until, err = momentOf("--until", f.until)
	return filter, err
}

// momentOf reads a time, or how long ago it was.
func momentOf(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return time.Now().Add(-ago), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, fmt.Errorf("%s: %q is neither a moment such as 2026-01-31T08:00:00Z nor a duration such as 2h", flag, text)
	}
	return at, nil
}

// outboxes are those of the services that the flags name.
func (f *eventFlags) outboxes() (all []events.Outbox, err error) {
	names := servicesWithEvents()
	if f.service != "" {
		if !slices.Contains(names, services.Name(f.service)) {
			return nil, fmt.Errorf("--service: %q has no events; %v have", f.service, names)
		}
		names = []services.Name{services.Name(f.service)}
	}
	for _, name := range names {
		all = append(all, events.NewOutbox(name))
	}
	return all, nil
}

// servicesWithEvents are the services that have events.
func servicesWithEvents() (names []services.Name) {
	for _, t := range events.Types() {
		if !slices.Contains(names, t.Service) {
			names = append(names, t.Service)
		}
	}
	return names
}

// withOutboxes runs f for each outbox that is meant, in a database whose tables
// are up to date.
func (f *eventFlags) withOutboxes(ctx context.Context, do func(pool *pgxpool.Pool, o events.Outbox, filter events.Filter) error) error {
	outboxes, err := f.outboxes()
	if err != nil {
		return err
	}
	filter, err := f.filter()
	if err != nil {
		return err
	}
	return withTables(ctx, services.Auth, func(pool *pgxpool.Pool) error {
		if err := tablesOf(ctx, pool, migrations.Owners()...); err != nil {
			return err
		}
		for _, o := range outboxes {
			if err := do(pool, o, filter); err != nil {
				return err
			}
		}
		return nil
	})
}

func newEvents() *cobra.Command {
	command := &cobra.Command{
		Use: "events", Short: "Look at what happened, and publish it again",
		Long: `Every service writes what happens into a table of its own, from where it is
published to the broker that MQ_TYPE names. These commands look into those tables of
the database that DATABASE_URL names, or of this machine. docs/events.md explains
every type of events, and how to consume them.`,
	}
	command.AddCommand(newEventsList("list", "Show the newest events", ""), newEventsList("dead", "Show events that the broker refused for good, and why", events.StateDead),
		newEventsReplay(), newEventsRedrive())
	return command
}

func newEventsList(use, short string, state events.State) *cobra.Command {
	var f eventFlags
	var given string
	var limit int
	command := &cobra.Command{
		Use: use, Short: short, Args: cobra.NoArgs,
		Example: `  uaol events ` + use + ` --since 2h --type tool.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if state == "" && given != "" {
				state = events.State(given)
				if !slices.Contains([]events.State{events.StateWaiting, events.StatePublished, events.StateDead}, state) {
					return fmt.Errorf("--state: %q is none of waiting, published and dead", given)
				}
			}
			all := []events.Stored{}
			err := f.withOutboxes(cmd.Context(), func(pool *pgxpool.Pool, o events.Outbox, filter events.Filter) error {
				filter.State = state
				found, err := o.List(cmd.Context(), pool, filter, limit)
				all = append(all, found...)
				return err
			})
			if err != nil {
				return err
			}
			slices.SortStableFunc(all, func(a, b events.Stored) int { return b.Time.Compare(a.Time.Time) })
			all = all[:min(len(all), limit)]
			t := newTerminal(cmd)
			if f.asJSON {
				return t.json(all)
			}
			return showEvents(t, all)
		},
	}
	f.add(command)
	if state == "" {
		command.Flags().StringVar(&given, "state", "", "waiting, published or dead")
	}
	command.Flags().IntVar(&limit, "limit", 50, "how many at most")
	return command
}

func showEvents(t terminal, all []events.Stored) error {
	if len(all) == 0 {
		t.say("There are none.")
		return nil
	}
	var rows [][]string
	for _, e := range all {
		what := string(e.Data)
		if e.Refused != nil {
			what = *e.Refused
		}
		rows = append(rows, []string{e.ID.String(), e.Time.UTC().Format(time.RFC3339), e.Type, e.Subject, string(e.State), what})
	}
	t.table([]string{"ID", "TIME", "TYPE", "SUBJECT", "STATE", "DATA"}, rows)
	return nil
}

// changed is what a command did, or would do.
type changed struct {
	Events int64 `json:"events"`
	DryRun bool  `json:"dryRun,omitempty"`
}

func newEventsReplay() *cobra.Command {
	var f eventFlags
	var dry bool
	command := &cobra.Command{
		Use: "replay", Short: "Publish events again that were published", Args: cobra.NoArgs,
		Long: `Lets events be published again, in the order in which they happened and with the
ids that they had, so that consumers who remember ids pass over what they have. The
processes that run publish them; what happens meanwhile comes after. Within two
minutes NATS itself passes over an id that it has had, an SQS queue that is FIFO
within five.

Events are kept for 7 days.`,
		Example: `  uaol events replay --since 2h --type tool. --dry-run
  uaol events replay --since 2026-01-31T08:00:00Z --until 2026-01-31T09:00:00Z`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.since == "" {
				return errors.New("--since is needed: from when on?")
			}
			if err := published(); err != nil && !dry {
				return err
			}
			done := changed{DryRun: dry}
			err := f.withOutboxes(cmd.Context(), func(pool *pgxpool.Pool, o events.Outbox, filter events.Filter) error {
				filter.State = events.StatePublished
				act := o.Replay
				if dry {
					act = o.Count
				}
				n, err := act(cmd.Context(), pool, filter)
				done.Events += n
				return err
			})
			return done.show(cmd, f.asJSON, err)
		},
	}
	f.add(command)
	command.Flags().BoolVar(&dry, "dry-run", false, "only count them")
	return command
}

// published is an error where no broker would get anything.
func published() error {
	env, err := config.Read()
	if err != nil {
		return err
	}
	cfg, err := config.Parse[brokers.Config](env)
	if err == nil && cfg.None() {
		err = errors.New("MQ_TYPE is none, so nobody would get them; set it as the server's is")
	}
	return err
}

func newEventsRedrive() *cobra.Command {
	var f eventFlags
	var all bool
	command := &cobra.Command{
		Use: "redrive [EVENT…]", Short: "Try again to publish events that the broker refused for good",
		Long: `Lets events be published that the broker has refused, once it would take them: a
larger limit on messages, for example.`,
		Example: `  uaol events dead
  uaol events redrive 0199c0de-0000-7000-8000-000000000001
  uaol events redrive --all --type job.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if all == (len(args) > 0) {
				return errors.New("name events, or --all")
			}
			var ids []uuid.UUID
			for _, text := range args {
				id, err := uuid.Parse(text)
				if err != nil {
					return fmt.Errorf("%q is no event's id; `uaol events dead` lists them", text)
				}
				ids = append(ids, id)
			}
			var done changed
			err := f.withOutboxes(cmd.Context(), func(pool *pgxpool.Pool, o events.Outbox, filter events.Filter) error {
				filter.IDs = ids
				n, err := o.Redrive(cmd.Context(), pool, filter)
				done.Events += n
				return err
			})
			return done.show(cmd, f.asJSON, err)
		},
	}
	f.add(command)
	command.Flags().BoolVar(&all, "all", false, "all that are dead")
	return command
}

func (c changed) show(cmd *cobra.Command, asJSON bool, err error) error {
	if err != nil {
		return err
	}
	t := newTerminal(cmd)
	switch {
	case asJSON:
		return t.json(c)
	case c.DryRun:
		t.say("%d events would be published again.", c.Events)
	default:
		t.say("%d events wait to be published.", c.Events)
	}
	return nil
}
