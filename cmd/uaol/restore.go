package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"uaol/app"
	"uaol/app/backup"
	"uaol/providers/config"
	"uaol/providers/postgres"
	"uaol/services/billing/ledger"
)

func newRestore() *cobra.Command {
	var word secretWord
	var asJSON bool
	command := &cobra.Command{
		Use:   "restore FILE",
		Short: "Make a deployment of a backup, in an empty database",
		Long: `Make a deployment of a file that uaol backup wrote: in the data directory, or in the
database and stores that the settings name, of whatever kind the backup was made. The
database must have no rows of ours; nothing is ever replaced.

Tables come as they were, then the migrations of this binary are applied, then the books
are checked as uaol ledger verify does. All rows are one transaction: a restore that was
cut short has left empty tables; run it again.

Secrets go to the data directory. Where they have to be set (in production, or if they
were set there), they must be the backup's: uaol backup secrets prints them.

Stop the deployment that the backup was made of before the restored one is served, or
both go on with the same jobs, schedules and callbacks.`,
		Example: `  UAOL_DATA_DIR=restored uaol restore uaol-2026-01-31.backup
  UAOL_DATA_DIR=restored uaol serve`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			began := time.Now()
			return withBackup(cmd, &word, args[0], func(r *backup.Reader) error {
				return withDirect(cmd, func(ctx context.Context, url string) error {
					env, err := config.Read()
					if err != nil {
						return err
					}
					m, err := backup.Restore(ctx, r, backup.Options{Env: env, URL: url, Version: app.Version, Progress: howFar(cmd.ErrOrStderr())})
					if err != nil {
						return err
					}
					if err := tell(cmd, asJSON, m, "Restored what was at "+r.At.UTC().Format(time.RFC3339), began); err != nil {
						return err
					}
					return verifyAt(ctx, cmd, url, asJSON)
				})
			})
		},
	}
	word.add(command)
	command.Flags().BoolVar(&asJSON, "json", false, "what was restored and what the books say, a line each, for machines")
	return command
}

// verifyAt is uaol ledger verify on a database.
func verifyAt(ctx context.Context, cmd *cobra.Command, url string, asJSON bool) error {
	_, trusted, err := ledgerKeys()
	if err != nil {
		return err
	}
	pool, err := postgres.Open(ctx, url)
	if err != nil {
		return err
	}
	defer pool.Close()
	return verify(cmd, ledger.Database(pool), ledger.Options{Trusted: trusted}, asJSON)
}
