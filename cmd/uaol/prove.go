package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"uaol/app/prove"
	"uaol/providers/config"
)

// errNotProved makes the command fail after it has said why.
var errNotProved = errors.New("the proof has failed")

func newProve() *cobra.Command {
	var o prove.Options
	var asJSON bool
	command := &cobra.Command{
		Use:   "prove",
		Short: "Kill worker processes again and again, and show that nothing is lost or done twice",
		Long: `Runs workflows on several worker processes that share one database, and kills the
processes meanwhile: while a call is at its tool, after the tool has answered but
before the result is stored, and anywhere; the database crashes and restarts as well.
A tool server of its own writes down every call. In the end every job must have come
to its end, no call that may not be repeated may have been made twice, every success
must have had its effect, each successful step must have been charged once, nobody
may have spent more than they had, and the ledger must add up.

Without --database all of it runs on a private PostgreSQL in a temporary directory.
With one, a database is made on that server and dropped in the end: nothing that is
there is touched. The same seed makes the same workflows and the same kills.

It ends with 0 only if nothing was lost, doubled, overdrawn or charged wrongly.`,
		Example: `  uaol prove
  uaol prove --jobs 200 --kills 6
  uaol prove --database postgres://postgres:secret@localhost:5432/postgres --restart "docker restart pg" --restarts 2`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !cmd.Flags().Changed("seed") {
				o.Seed = uint64(rand.Uint32())
			}
			o.Out = cmd.OutOrStdout()
			if asJSON {
				o.Out = cmd.ErrOrStderr()
			}
			env, err := config.Read()
			if err != nil {
				return err
			}
			ctx, cancel := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer cancel()
			report, err := prove.Run(ctx, env, o)
			if err != nil {
				return err
			}
			if asJSON {
				err = json.NewEncoder(cmd.OutOrStdout()).Encode(report)
			} else {
				tellProof(cmd.OutOrStdout(), report)
			}
			if err == nil && !report.Holds() {
				err = errNotProved
			}
			return err
		},
	}
	flags := command.Flags()
	flags.Uint64Var(&o.Seed, "seed", 0, "what the workflows and kills are made from; default: chance")
	flags.IntVar(&o.Jobs, "jobs", 2000, "how many workflows, of 1 to 8 steps; besides, an eighth more of somebody who cannot pay for all")
	flags.IntVar(&o.Kills, "kills", 60, "how often a worker process is killed")
	flags.IntVar(&o.Workers, "workers", 3, "how many worker processes")
	flags.IntVar(&o.Restarts, "restarts", 2, "how often the database is restarted; the first time it crashes")
	flags.StringVar(&o.Database, "database", "", "address of a PostgreSQL to make a database on; default: a private one")
	flags.StringVar(&o.Restart, "restart", "", "command that restarts the server of --database")
	flags.BoolVar(&asJSON, "json", false, "the report as JSON")
	return command
}

func tellProof(out io.Writer, r *prove.Report) {
	fmt.Fprintf(out, "\nJobs     %s; %d refused for want of credits\n", counts(r.Jobs), r.Refused)
	fmt.Fprintf(out, "Steps    %d successful, %d calls at the tool, %d credits charged\n", r.Steps, r.Calls, r.Charged)
	fmt.Fprintf(out, "Kills    %s; calls come upon: %s\n", counts(r.Kills), counts(r.Upon))
	fmt.Fprintf(out, "Database %d restarts\n", r.Restarts)
	fmt.Fprintf(out, "Unknown  %d calls made again, %d gone on without\n\n", r.Retried, r.Skipped)
	for _, fault := range r.Faults {
		fmt.Fprintf(out, "  %s\n", fault)
	}
	fmt.Fprintf(out, "seed %d: lost %d, doubled %d, overdrawn %d, charged wrongly %d (%s)\n", r.Seed, r.Lost, r.Doubled, r.Overdrawn, r.Wrong, r.Took.Round(time.Second))
}

// counts are numbers by name, as words.
func counts(of map[string]int) string {
	var said []string
	for _, name := range slices.Sorted(maps.Keys(of)) {
		said = append(said, fmt.Sprintf("%d %s", of[name], name))
	}
	if len(said) == 0 {
		return "none"
	}
	return strings.Join(said, ", ")
}
