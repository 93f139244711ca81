package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"uaol/app"
	"uaol/app/doctor"
	"uaol/providers/config"
	"uaol/providers/postgres"
)

func newDoctor() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:   "doctor [service…]",
		Short: "Look at a deployment as its settings describe it, and say what to do",
		Long: `Look at everything that the settings name: the database and its tables, clocks,
where files go, Redis, the broker, mail, model providers, the other processes.
What is not set up is not looked at.

Each line says ok, warn or FAIL, what was found, and what helps. The exit code is
1 if anything fails. It works whether a server runs or not, prints no secret, and
changes nothing but for a probe of a few bytes among the files, which it removes.

Services that are named are those that the server on this machine runs.`,
		Example: `  uaol doctor
  uaol doctor jobs                   on a machine that runs "uaol serve jobs"
  uaol doctor --json | jq '.[] | select(.status == "FAIL")'`,
		RunE: func(cmd *cobra.Command, names []string) error {
			set, err := app.ParseSet(names)
			if err != nil {
				return err
			}
			env, err := config.Read()
			if err != nil {
				return err
			}
			found := doctor.Examine(cmd.Context(), &doctor.Patient{Env: env, Set: set, Database: whereItIs})
			out, failed := newTerminal(cmd), 0
			for _, f := range found {
				if f.Status == doctor.Fail {
					failed++
				}
			}
			if asJSON {
				if err := out.json(found); err != nil {
					return err
				}
			} else {
				showFindings(out, found)
			}
			if failed > 0 {
				return fmt.Errorf("%s", count(failed, "check")+" failed")
			}
			return nil
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "for machines")
	return command
}

// whereItIs is database for whoever only looks: a cluster that does not exist yet is
// not made.
func whereItIs(ctx context.Context) (url string, release func() error, err error) {
	env, err := config.Read()
	if err != nil {
		return "", nil, err
	}
	cfg, err := config.Parse[postgres.Config](env)
	if err != nil {
		return "", nil, err
	}
	if cfg.Embedded() {
		if _, err := os.Stat(filepath.Join(cfg.DataDir, "postgres")); errors.Is(err, os.ErrNotExist) {
			return "", nil, nil
		}
	}
	url, _, release, err = database(ctx)
	return url, release, err
}

// showFindings prints a line of what was found and, below it, what helps.
func showFindings(out terminal, found []doctor.Finding) {
	for _, f := range found {
		out.say("%-4s  %-12s  %s", f.Status, f.Check, plain(f.Found, 500))
		if f.Do != "" {
			out.say("%-4s  %-12s  → %s", "", "", plain(f.Do, 500))
		}
	}
}
