package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"uaol/app"
	"uaol/app/backup"
	"uaol/migrations"
	"uaol/providers/config"
	"uaol/providers/logging"
	"uaol/providers/postgres"
	"uaol/providers/postgres/embedded"
	"uaol/services"
)

// database gives a command the database's URL: the one that is set, or that of
// the embedded cluster in the data directory, joined or started for as long as
// the command lasts.
func database(ctx context.Context) (url string, cfg postgres.Config, release func() error, err error) {
	env, err := config.Read()
	if err != nil {
		return "", cfg, nil, err
	}
	if cfg, err = config.Parse[postgres.Config](env); err != nil {
		return "", cfg, nil, err
	}
	if !cfg.Embedded() {
		url, err := cfg.Current()
		return url, cfg, func() error { return nil }, err
	}
	logs, err := config.Parse[logging.Config](env)
	if err != nil {
		return "", cfg, nil, err
	}
	logs.Level = max(logs.Level, zap.WarnLevel) // the command's own output matters
	url, release, err = embedded.Join(ctx, postgres.EmbeddedConfig(cfg, backup.Carry), logging.New(logs))
	return url, cfg, release, err
}

// withDatabase runs f on the database that migrations use.
func withDatabase(ctx context.Context, f func(url string) error) error {
	url, at, release, err := database(ctx)
	if err != nil {
		return err
	}
	env, err := config.Read()
	if err == nil {
		var cfg migrations.Config
		var own string
		if cfg, err = config.Parse[migrations.Config](env); err == nil {
			own, err = cfg.Address(at)
		}
		if err == nil {
			if own != "" {
				url = own
			}
			if err = f(url); err != nil && !services.Is(err, services.Conflict) {
				err = errors.New("DATABASE_URL: " + postgres.Cause(err))
			}
		}
	}
	return errors.Join(err, release())
}

func newMigrate() *cobra.Command {
	command := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the database's tables up to date, or take steps back",
		Long: `Each service that owns tables keeps them in a schema of its own, uaol_<service>,
with its own version. Nothing outside those schemas is ever touched.

Development applies migrations at the start; production does so only with
UAOL_MIGRATE=true. UAOL_MIGRATE_DATABASE_URL names a direct connection when
DATABASE_URL goes through a pooler in transaction mode.`,
	}
	up := &cobra.Command{
		Use: "up", Short: "Apply what is missing, for all services", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withDatabase(cmd.Context(), func(url string) error {
				if err := migrations.Up(cmd.Context(), url); err != nil {
					return err
				}
				return printStatus(cmd, url)
			})
		},
	}
	var steps int
	var yes bool
	down := &cobra.Command{
		Use: "down service…", Short: "Take back the newest steps of the named services (their data in those tables is lost)",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error {
			if !yes {
				return errors.New("this deletes tables with their data; say --yes to do it")
			}
			if steps < 1 {
				return errors.New("--steps must be 1 or more")
			}
			owners, err := owners(names)
			if err != nil {
				return err
			}
			return withDatabase(cmd.Context(), func(url string) error {
				if err := migrations.Down(cmd.Context(), url, steps, owners...); err != nil {
					return err
				}
				return printStatus(cmd, url)
			})
		},
	}
	down.Flags().IntVar(&steps, "steps", 1, "how many steps back")
	down.Flags().BoolVar(&yes, "yes", false, "yes, delete the tables")
	status := &cobra.Command{
		Use: "status", Short: "Show every service's version, here and in the database", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			url, _, release, err := database(cmd.Context())
			if err != nil {
				return err
			}
			if err := printStatus(cmd, url); err != nil {
				return errors.Join(errors.New("DATABASE_URL: "+postgres.Cause(err)), release())
			}
			return release()
		},
	}
	version := &cobra.Command{
		Use: "version", Short: "Show the versions that this binary brings", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, owner := range migrations.Owners() {
				fmt.Fprintf(cmd.OutOrStdout(), "%s %d\n", owner, migrations.Latest(owner))
			}
			return nil
		},
	}
	command.AddCommand(up, down, status, version)
	return command
}

func owners(names []string) ([]services.Name, error) {
	set, err := app.ParseSet(names)
	if err != nil {
		return nil, err
	}
	for _, name := range set {
		if migrations.Latest(name) == 0 {
			return nil, fmt.Errorf("%s owns no tables", name)
		}
	}
	return set, nil
}

func printStatus(cmd *cobra.Command, url string) error {
	ctx := cmd.Context()
	at, err := pgx.ParseConfig(url)
	if err != nil {
		return err
	}
	at.DefaultQueryExecMode = pgx.QueryExecModeExec // a pooler keeps no statement
	conn, err := pgx.ConnectConfig(ctx, at)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	states, err := migrations.Status(ctx, conn, migrations.Owners()...)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SERVICE\tDATABASE\tBINARY\tSTATE")
	for _, s := range states {
		state := "up to date"
		switch {
		case s.Dirty:
			state = "interrupted: `uaol migrate up` mends it, or says how"
		case s.Version < s.Latest:
			state = "behind: run `uaol migrate up`"
		case s.Version > s.Latest:
			state = "newer than this binary"
		}
		fmt.Fprintf(table, "%s\t%d\t%d\t%s\n", s.Service, s.Version, s.Latest, state)
	}
	return table.Flush()
}
