package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"uaol/app/original"
	"uaol/providers/config"
	"uaol/providers/egress"
	"uaol/providers/postgres"
	"uaol/services"
	"uaol/services/auth"
	"uaol/services/billing"
	"uaol/services/jobs"
	"uaol/services/registry"
)

func newImport() *cobra.Command {
	command := &cobra.Command{Use: "import", Short: "Bring over what another installation holds"}
	command.AddCommand(newImportOriginal())
	return command
}

func newImportOriginal() *cobra.Command {
	var in original.Options
	var asJSON bool
	command := &cobra.Command{
		Use:   "original --from URL",
		Short: "Bring users, API keys, tools, credits and jobs over from the original's database",
		Long: `Brings users, their API keys, tools, credits and ended jobs over from the database
of the original (https://github.com/mcpmessenger/uaol) into the one of DATABASE_URL.

The source is only read, in one read-only transaction. Stop the original first:
what changes there afterwards is not brought, and credits that were brought are not
taken back. It may be cut short and run again; what is here already stays as it is.

  users     keep their ids; of two addresses that differ in case the older user's
            counts, and the other user comes as <id>@original.invalid. Accounts are
            never put together. Nobody had a password; people sign in with their
            key, by a provider, or by a link that sets one. Nobody has proved an
            address yet: whoever proves it first, at a provider or by a link, ends
            the keys from before, since they may be somebody else's.
  API keys  go on working with the same text. Those that could be guessed (fewer
            than 32 characters) and those of another account here stay behind.
  credits   become one entry of the ledger each, beside the plan's own for the
            month; the plan is kept.
  tools     keep id, price and protocol. Pending and disabled ones stay so. In the
            original anybody could approve a tool, so an approved one waits for an
            admin here, who pins its methods; --keep-approvals puts it in force at
            once, with any method open to calls. Addresses that are not public are
            refused until TOOL_EGRESS_ALLOW lists them; then run it again.
  jobs      that have ended can be read, and driven again as new ones, as long as
            the plan keeps history. Others are listed and not run.

Left behind are guests, sign-in providers' tokens, keys of model providers, and
vectors of documents. A password in --from can be seen by other users of the
machine; leave it out and set PGPASSWORD, or use a ~/.pgpass.`,
		Example: `  uaol import original --dry-run --from postgres://uaol@db.example.com/uaol
  uaol import original --from postgres://uaol@db.example.com/uaol --json > report.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if in.From == "" {
				return errors.New("say from where: --from URL, such as postgres://user@host:5432/database")
			}
			ctx, cancel := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer cancel()
			report, err := importOriginal(ctx, in)
			if err != nil {
				if ctx.Err() != nil {
					return errors.New("cut short; what was brought until then stays, run it again for the rest")
				}
				return err
			}
			t := newTerminal(cmd)
			if asJSON {
				return t.json(report)
			}
			showImport(t, report)
			return nil
		},
	}
	command.Flags().StringVar(&in.From, "from", "", "the original's database, as a URL")
	command.Flags().BoolVar(&in.DryRun, "dry-run", false, "write nothing, and say what would become of everything")
	command.Flags().BoolVar(&in.KeepApprovals, "keep-approvals", false, "tools that are approved there are in force here, unpinned")
	command.Flags().BoolVar(&asJSON, "json", false, "the report as JSON")
	return command
}

func importOriginal(ctx context.Context, in original.Options) (report *original.Report, err error) {
	env, err := config.Read()
	if err != nil {
		return nil, err
	}
	addresses, err := config.Parse[egress.Config](env)
	if err != nil {
		return nil, err
	}
	policy, err := egress.New(addresses)
	if err != nil {
		return nil, err
	}
	url, cfg, release, err := database(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, release()) }()
	pool, err := importTables(ctx, url, cfg, in.DryRun)
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	history := jobs.NewRepository(pool)
	defer history.Close()
	return original.Run(ctx, original.Target{
		Auth: auth.NewRepository(pool), Billing: billing.NewRepository(pool), Registry: registry.NewRepository(pool), Jobs: history, Policy: policy,
	}, in)
}

// importTables opens the database with all tables that are written to; a dry run
// makes none.
func importTables(ctx context.Context, url string, cfg postgres.Config, dry bool) (pool *pgxpool.Pool, err error) {
	if dry {
		pool, err = postgres.Open(ctx, url)
	} else {
		pool, err = tables(ctx, url, cfg, services.Auth)
	}
	if err != nil {
		return nil, err
	}
	if err := tablesOf(ctx, pool, services.Auth, services.Billing, services.Registry, services.Jobs); err != nil {
		pool.Close()
		return nil, err
	}
	return pool, nil
}

// itemsShown are named of each finding; --json has more of them.
const itemsShown = 10

func showImport(t terminal, r *original.Report) {
	var rows [][]string
	for _, line := range []struct {
		name string
		original.Count
	}{{"users", r.Users}, {"API keys", r.Keys}, {"accounts with credits", r.Credits}, {"tools", r.Tools}, {"jobs", r.Jobs}} {
		row := []string{line.name}
		for _, n := range []int64{line.Found, line.Brought, line.Already, line.Left} {
			row = append(row, strconv.FormatInt(n, 10))
		}
		rows = append(rows, row)
	}
	t.table([]string{"", "FOUND", "BROUGHT", "HERE BEFORE", "LEFT"}, rows)
	t.say("%d credits granted.", r.Granted)
	for _, g := range r.Findings {
		t.say("\n%d %s.", g.Count, g.Meaning)
		for i, item := range g.Items {
			if i == itemsShown {
				break
			}
			t.say("  %s", plain(fmt.Sprintf("%s  %s", item.ID, item.Detail), 200))
		}
		if more := g.Count - int64(min(len(g.Items), itemsShown)); more > 0 && len(g.Items) > 0 {
			t.say("  … and %d more (--json names the first thousand)", more)
		}
	}
	if r.DryRun {
		t.say("\nThis was a dry run: nothing was written.")
	}
}
